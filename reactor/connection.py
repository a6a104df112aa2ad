"""Connections: one stream, one session, one protocol object, and what time does to them.

What it is: the place where transport, session, keep-alive and close deadline meet, for both
roles. client_connection.py adds connecting and reconnecting, server.py adds accepting.

What it must not know: the wire format, selectors, how a socket gets connected.

How it works. A connection is in one of four phases:

    CONNECTING --upgraded--> ATTACHED --ended--> OVER
        |   ^                    |                 ^
        |   +----timer---- WAITING <---ended----+  |
        +---failed---------------^--------give up--+

Only in ATTACHED are there a stream and a session, and the session's state says the rest. What
ends there goes through ``_end``, which lets go of both; from there, and after a failed attempt,
``_over`` decides what comes next and tells the protocol object (``on_error``, if anything went
wrong; ``on_close``, always). Only ``_give_up``, for a close() while there is no connection, has
nothing to decide.

Writing: what handlers send collects in the session's output, and leaves in one write when the
running callback is over (``flush``, called by the loop). Reading: ``data_received`` takes the
events out of the session and has the dispatcher deliver them.

Time: a connection has one timer, which is the keep-alive while the session is open, the close
deadline while it is closing, and the reconnect delay in between. Traffic writes
``last_activity`` and touches no timer.

Threads: the verbs that may be used from any thread (``send``, ``ping``, ``close``, ...) check
whether they are on the loop's; if not they check what can be checked, raise at once if the
connection is closed, and hand over to the loop in the order of the calls.
"""

from __future__ import annotations

import random
import threading
from _thread import get_ident
from collections.abc import Callable
from enum import IntEnum
from math import inf
from socket import socket
from typing import TYPE_CHECKING, Any

from .dispatcher import call, call_on_error, deliver
from .exceptions import (
    CloseCode,
    WebSocketConnectionClosedException,
    WebSocketQueueFullException,
    WebSocketStateException,
    WebSocketTimeoutException,
)
from .options import ConnectionOptions
from .protocols.frames import OP_BINARY, OP_PING, OP_PONG, OP_TEXT
from .protocols.session import (
    Close,
    Event,
    Failure,
    Role,
    State,
    WebSocketSession,
    check_close,
    check_frame,
)
from .protocols.websocket import WebSocketProtocol
from .timers import Action, KeepAlive
from .transports.stream import Linger, Stream, describe_loss, make_stream

if TYPE_CHECKING:
    from .loop import EventLoop
    from .protocols.http11 import Request, Response
    from .timers import Timer

__all__ = ["Connection", "Phase", "check_protocol"]

#: Output is written during a callback, not after it, when it has grown to this many bytes, or
#: to the high mark: then what is above the mark is in the stream's queue, which sees to
#: ``on_writable``.
CORK_LIMIT = 65536

_thread_lock = threading.Lock()


class Phase(IntEnum):
    """See the module."""

    CONNECTING = 0
    ATTACHED = 1
    WAITING = 2
    OVER = 3


def check_protocol(handlers: object) -> None:
    """Check that *handlers* can be given to a connection.

    Raises TypeError when it is no WebSocketProtocol, ValueError when it has a connection.
    """
    if not isinstance(handlers, WebSocketProtocol):
        raise TypeError(f"the protocol must be a WebSocketProtocol, not {handlers!r}")
    if handlers.state is not State.CLOSED:
        raise ValueError(f"{handlers!r} has a connection already")


class _Undelivered:
    """Events that are still to be delivered, at the beginning of the next turn."""

    def __init__(self, connection: Connection, events: list[Event]) -> None:
        self._connection = connection
        self._session = connection.session
        self._events = events

    def flush(self) -> None:
        """Called by the loop, which has this in its list of transports to be flushed."""
        connection = self._connection
        if connection.phase is Phase.ATTACHED and connection.session is self._session:
            deliver(connection, self._events)


class Connection:
    """What client and server connections share. See the module.

    Parameters:
        loop: the event loop that this connection lives on.
        registry: where the connection is listed until it is over; so it is kept alive.
        options: see options.py.
        role: client or server.
    """

    __slots__ = (
        "_cork_limit",
        "_corked",
        "_ending",
        "_from_threads",
        "_keep_alive",
        "_loop",
        "_phase",
        "_registry",
        "_role",
        "_timer",
        "_write_limit",
        "last_activity",
        "options",
        "protocol",
        "session",
        "stream",
        "subprotocol",
    )

    protocol: WebSocketProtocol
    session: WebSocketSession
    stream: Stream

    def __init__(
        self,
        loop: EventLoop,
        registry: set[Connection],
        options: ConnectionOptions,
        role: Role,
    ) -> None:
        self.options = options
        self.subprotocol: str | None = None
        #: When bytes last came, by the clock of the loop's turns.
        self.last_activity = 0.0
        self._loop = loop
        self._write_limit = options.write_limit
        self._cork_limit = min(CORK_LIMIT, options.high_water)
        self._registry = registry
        self._role = role
        self._phase = Phase.CONNECTING
        self._timer: Timer | None = None
        self._keep_alive: KeepAlive | None = None
        self._corked = 0  # bytes in the session's output
        self._from_threads = 0  # bytes on their way from other threads to the loop
        self._ending = False  # another thread has asked for the end: its later sends are too late
        registry.add(self)

    # -- what there is to know -----------------------------------------------------------

    @property
    def url(self) -> str:
        """See WebSocketProtocol."""
        raise AssertionError("the role's subclass says so")

    @property
    def phase(self) -> Phase:
        """See the module."""
        return self._phase

    @property
    def state(self) -> State:
        """The state as RFC 6455 has it."""
        if self._phase is Phase.ATTACHED:
            return self.session.state
        return State.CLOSED if self._phase is Phase.OVER else State.CONNECTING

    @property
    def request(self) -> Request | None:
        """See WebSocketProtocol."""
        return None

    @property
    def response(self) -> Response | None:
        """See WebSocketProtocol."""
        return None

    @property
    def buffered_amount(self) -> int:
        """Bytes that were sent and have not left the process."""
        if self._phase is not Phase.ATTACHED:
            return 0
        return self._corked + self.stream.queued + self._from_threads

    @property
    def latency(self) -> float | None:
        """Seconds between the keep-alive's last ping and its pong, or None."""
        return None if self._keep_alive is None else self._keep_alive.latency

    @property
    def sock(self) -> socket | None:
        """The socket, while there is one."""
        return self.stream.sock if self._phase is Phase.ATTACHED else None

    # -- the stream's receiver -----------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self.last_activity = self._loop.now
        session = self.session
        events = session.receive(data)
        if session.output:
            if self.stream.queued >= self._write_limit:
                self._overflow()  # it sends pings, and does not read our pongs
                return
            self._cork(session)
        if events:
            deliver(self, events)

    def eof_received(self) -> None:
        """The peer has ended its side, without a close frame of this attempt being seen."""
        self.flush()  # a TLS stream tells of the last data and of the end in one call
        self._lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        """The stream has ended, without a close frame of this attempt being seen."""
        self._lost(error)

    def queue_drained(self) -> None:
        """The write queue is below its low mark again."""
        if self.session.state is State.OPEN:
            call(self.protocol, self.protocol.on_writable)

    # -- what the dispatcher asks for ----------------------------------------------------

    def deliver_later(self, events: list[Event]) -> None:
        """A handler has left the loop by KeyboardInterrupt or SystemExit: the rest comes later."""
        self._cork(self.session)  # the answers to pings among them
        self._loop.dirty.append(_Undelivered(self, events))

    def pong_received(self) -> None:
        """A pong came."""
        if self._keep_alive is not None:
            self._keep_alive.on_pong(self._loop.time())

    def last_word(self, event: Close | Failure) -> None:
        """The peer has sent its close frame, or broken the protocol."""
        self.session.accept(event)
        self.flush()
        if isinstance(event, Close):
            self._end(event.code, event.reason, None)
        else:
            self._end(event.error.close_code, str(event.error), event.error)

    # -- sending -------------------------------------------------------------------------

    def send(self, message: str | bytes | bytearray | memoryview) -> int:
        """See WebSocketProtocol."""
        loop = self._loop
        if get_ident() != loop.thread_id:
            if isinstance(message, str):
                return self._send_from_thread(OP_TEXT, message.encode())
            if isinstance(message, (bytes, bytearray, memoryview)):
                return self._send_from_thread(OP_BINARY, bytes(message))
            raise TypeError(f"a message is str or bytes, not {type(message).__name__}")
        # From here to the end: what _sendable() and _sent() do, without the calls.
        if self._phase is not Phase.ATTACHED:
            self._refuse()
        if self.stream.queued >= self._write_limit:
            raise self._queue_full(self.stream.queued)
        session = self.session
        size = session.send(message)
        self._corked += size
        if self._corked >= self._cork_limit or not loop.running:
            self.flush()
        elif len(session.output) == 1:
            loop.dirty.append(self)
        return size

    def send_frame(self, opcode: int, payload: bytes, fin: bool = True) -> int:
        """See WebSocketProtocol."""
        if get_ident() != self._loop.thread_id:
            return self._send_from_thread(opcode, payload, fin)
        session = self._sendable()
        size = session.send_frame(opcode, payload, fin)
        self._sent(size)
        return size

    def ping(self, payload: bytes = b"") -> int:
        """See WebSocketProtocol."""
        if get_ident() != self._loop.thread_id:
            return self._send_from_thread(OP_PING, payload)
        session = self._sendable()
        size = session.ping(payload)
        self._sent(size)
        return size

    def pong(self, payload: bytes = b"") -> int:
        """See WebSocketProtocol."""
        if get_ident() != self._loop.thread_id:
            return self._send_from_thread(OP_PONG, payload)
        session = self._sendable()
        size = session.pong(payload)
        self._sent(size)
        return size

    def _sendable(self) -> WebSocketSession:
        """Return the session, if there is one and its write queue is not full."""
        if self._phase is not Phase.ATTACHED:
            self._refuse()
        if self.stream.queued >= self._write_limit:
            raise self._queue_full(self.stream.queued)
        return self.session

    def _refuse(self) -> None:
        if self._phase is Phase.CONNECTING:
            raise WebSocketStateException("the connection is not open yet")
        raise WebSocketConnectionClosedException("Connection is already closed.")

    def _queue_full(self, queued: int) -> WebSocketQueueFullException:
        return WebSocketQueueFullException(
            f"the write queue of {self._place} holds {queued} bytes, "
            f"write_limit is {self._write_limit}"
        )

    @property
    def _place(self) -> str:
        """How error messages call this connection."""
        return self.url

    def _sent(self, size: int) -> None:
        """*size* bytes were added to the session's output."""
        self._corked += size
        if self._corked >= self._cork_limit or not self._loop.running:
            self.flush()
        elif len(self.session.output) == 1:  # it was empty, so nobody else has seen to it
            self._loop.dirty.append(self)

    def _cork(self, session: WebSocketSession) -> None:
        """The session itself has put out frames: answers to what came."""
        self._corked = sum(map(len, session.output))
        self._loop.flush_soon(self)

    def flush(self) -> None:
        """Write what has collected. Called by the loop after the callback that sent.

        The connection may have ended meanwhile: its stream takes nothing more then.
        """
        output = self.session.output
        if output:
            data = output[0] if len(output) == 1 else b"".join(output)
            output.clear()
            self._corked = 0
            self.stream.write(data)

    def _send_from_thread(self, opcode: int, payload: bytes, fin: bool = True) -> int:
        """Send from another thread: check what can be checked, and hand over to the loop."""
        if self._ending or self.state is not State.OPEN:
            self._refuse()
        check_frame(opcode, payload, fin)
        buffered = self.buffered_amount
        if buffered >= self._write_limit:
            raise self._queue_full(buffered)
        with _thread_lock:
            self._from_threads += len(payload)
        self._loop.call_soon_threadsafe(self._send_handed_over, self.session, opcode, payload, fin)
        length = len(payload)
        mask = 4 if self._role is Role.CLIENT else 0
        return 2 + (0 if length < 126 else 2 if length < 65536 else 8) + mask + length

    def _send_handed_over(
        self, session: WebSocketSession, opcode: int, payload: bytes, fin: bool
    ) -> None:
        with _thread_lock:
            self._from_threads -= len(payload)
        # The connection may have ended, and even begun anew, since the call: with a new session.
        if session.state is State.OPEN:
            self._sent(session.send_frame(opcode, payload, fin))

    # -- reading, and not ----------------------------------------------------------------

    def pause_reading(self) -> None:
        """See WebSocketProtocol."""
        self._loop._check_thread()
        if self.state is State.OPEN:  # else the peer's close frame would not be seen
            self.stream.pause_reading()

    def resume_reading(self) -> None:
        """See WebSocketProtocol."""
        self._loop._check_thread()
        if self._phase is Phase.ATTACHED:
            self.stream.start_reading()

    # -- beginning -----------------------------------------------------------------------

    def _attach(self, sock: socket, leftover: bytes, on_open: Callable[[], object]) -> None:
        """The opening handshake is done on *sock*: be open."""
        options = self.options
        self.session = self._new_session()
        self.session.opened()
        self.stream = make_stream(self._loop, sock, self, options.high_water, options.low_water)
        self._phase = Phase.ATTACHED
        self.last_activity = self._loop.now
        self.stream.start_reading()
        if options.keep_alive is not None:
            self._keep_alive = KeepAlive(options.keep_alive)
            due = self._keep_alive.start(self._loop.time(), random.random())
            self._timer = self._loop.call_at(due, self._on_keep_alive)
        try:
            call(self.protocol, on_open)
        except BaseException:
            self.deliver_later(self.session.receive(leftover))
            raise
        # Unless on_open has ended the connection: what came with the handshake's last bytes.
        if leftover and self.session.state is not State.CLOSED:
            self.data_received(leftover)

    def _new_session(self) -> WebSocketSession:
        options = self.options
        return WebSocketSession(
            self._role,
            options.message_limits,
            decode_text=options.decode_text,
            fragments=options.fragments,
        )

    # -- keep-alive ----------------------------------------------------------------------

    def _on_keep_alive(self) -> None:
        keep_alive = self._keep_alive
        assert keep_alive is not None
        now = self._loop.time()
        action, due = keep_alive.on_timer(now, self.last_activity)
        if action is Action.SUSPECT:
            # Before the peer is declared dead, what the kernel already holds is read: one
            # read a turn, so that nobody is starved, until the pong is found or nothing is
            # left. Who has paused reading cannot know, and is not told.
            stream = self.stream
            if stream.reading and not stream.read_now():
                self._dead()
                return
            if self.state is not State.OPEN:
                return  # what was read, or its handler, has ended the connection
            if not stream.reading:
                due = keep_alive.start(now)
        elif action is Action.PING:
            self._send_ping(keep_alive.policy.payload)
        self._timer = self._loop.call_at(due, self._on_keep_alive)

    def _send_ping(self, payload: bytes) -> None:
        """Send a ping of the keep-alive."""
        self._sent(self.session.ping(payload))

    def _dead(self) -> None:
        self.stream.abort()
        self._end(CloseCode.ABNORMAL, "", WebSocketTimeoutException("ping/pong timed out"))

    def _overflow(self) -> None:
        error = self._queue_full(self.stream.queued)
        self.stream.abort()
        self._end(CloseCode.ABNORMAL, "", error)

    # -- ending --------------------------------------------------------------------------

    def close(
        self, code: int = CloseCode.NORMAL, reason: str = "", timeout: float | None = None
    ) -> None:
        """See WebSocketProtocol."""
        check_close(code, reason)
        if timeout is not None and not 0 <= timeout < inf:
            raise ValueError(f"timeout must be 0 or more seconds and finite, not {timeout!r}")
        self._on_loop(self._close, code, reason, timeout)

    def abort(self) -> None:
        """See WebSocketProtocol."""
        self._on_loop(self._abort)

    def _on_loop(self, method: Callable[..., object], *args: Any) -> None:
        if get_ident() == self._loop.thread_id:
            method(*args)
        elif self._phase is not Phase.OVER:
            self._ending = True
            self._loop.call_soon_threadsafe(method, *args)

    def _close(self, code: int, reason: str, timeout: float | None = None) -> None:
        if self._phase is not Phase.ATTACHED:
            self._give_up()
        elif self.session.close(code, reason):
            self._cork(self.session)
            self.stream.start_reading()  # where it was paused: for the answer
            self._stop_timer()
            if timeout is None:
                timeout = self.options.close_timeout
            self._timer = self._loop.call_later(timeout, self.stream.abort)

    def _abort(self) -> None:
        if self._phase is not Phase.ATTACHED:
            self._give_up()
        elif self.session.state is not State.CLOSED:
            self.session.lost()  # no handler hears of what was read already
            self._stop_timer()
            self.stream.abort()  # connection_lost() follows

    def _give_up(self) -> None:
        """Closed by the user while there is no connection: nothing is left to do."""

    def _lost(self, error: Exception | None) -> None:
        """The transport ended, and there was no close frame: RFC 6455 section 7.1.5, 1006."""
        session = self.session
        if session.state is State.CLOSED or session.sent_close is not None:
            self._end(CloseCode.ABNORMAL, "", None)  # we wanted it so
        else:
            self._end(CloseCode.ABNORMAL, "", describe_loss(error))

    def _end(self, code: int, reason: str, error: Exception | None) -> None:
        """The connection is over. Tell the protocol object, and see what comes next."""
        self._stop_timer()
        self._keep_alive = None
        if self.session.state is not State.CLOSED:
            self.session.lost()
        Linger(self._loop, self.stream, self.options.close_timeout)
        self._over(code, reason, error)

    def _over(self, code: int, reason: str, error: Exception | None) -> None:
        self._phase = Phase.OVER
        self._registry.discard(self)
        self._tell(code, reason, error)

    def _tell(self, code: int, reason: str, error: Exception | None) -> None:
        try:
            if error is not None:
                call_on_error(self.protocol, error)
        finally:  # KeyboardInterrupt and SystemExit pass through, and on_close is still owed
            call(self.protocol, self.protocol.on_close, code, reason)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
