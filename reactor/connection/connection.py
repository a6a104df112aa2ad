"""Connections: one stream, one session, one protocol object, and what time does to them.

What it is: the place where transport, session, keep-alive and close deadline meet, for both
roles. client/connection.py adds connecting and reconnecting, server/listener.py adds accepting.

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

Writing is that of a base class, see sending.py. Reading: ``data_received`` takes the events out of
the session, and has the dispatcher deliver them. What is more than one turn may deliver is held
back: see holding.py, the other base class.

Time: a connection has one timer, which is the keep-alive while the session is open, the close
deadline while it is closing, and the reconnect delay in between. Traffic writes
``message_at`` and touches no timer. Where there is an ``idle_timeout``, idle.py has a second one.

Threads: ``close`` and ``abort`` may be called from any thread, as the verbs that send.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from ..base.marks import calls_user_code
from ..base.printable import printable, quoted
from ..exceptions import (
    CloseCode,
    WebSocketException,
    WebSocketHandshakeException,
    WebSocketPeerException,
    WebSocketQueueFullException,
    WebSocketStateException,
    WebSocketTimeoutException,
)
from ..loop.background import run_in_thread
from ..protocols.ending import Ending, Initiator
from ..protocols.frames import new_mask
from ..protocols.session import (
    Close,
    Event,
    Failure,
    Ping,
    Pong,
    Role,
    State,
    WebSocketSession,
    check_close,
)
from ..timers import Action, KeepAlive
from ..transports.linger import Linger
from ..transports.stream import describe_loss
from ..transports.tls.nested import AnySocket
from ..transports.tls_stream import make_stream
from .dispatcher import call, call_on_error, conclude, deliver, report
from .holding import Holding
from .idle import IdleWatch
from .options import ConnectionOptions
from .sending import Phase

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop
    from ..protocols.deflate import Agreement
    from ..protocols.http.http11 import Request, Response
    from ..timers import Timer
    from ..transports.stream import Stream

__all__ = ["Connection", "Phase"]

logger = logging.getLogger("reactor")

#: What says nothing but that the peer is there.
CONTROLS = frozenset({Ping, Pong})

#: Seconds at most that a peer which has broken the protocol is given to read why.
FAREWELL = 1.0


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


class Connection(Holding):
    """What client and server connections share. See the module.

    Parameters:
        loop: the event loop that this connection lives on.
        registry: where the connection is listed until it is over; so it is kept alive.
        options: see options.py.
        role: client or server.
    """

    __slots__ = (
        "_by_us",
        "_control_at",
        "_frame_at",
        "_idle",
        "_keep_alive",
        "_registry",
        "_timer",
        "ending",
        "message_at",
        "subprotocol",
    )

    def __init__(
        self,
        loop: EventLoop,
        registry: set[Connection],
        options: ConnectionOptions,
        role: Role,
    ) -> None:
        super().__init__(loop, options, role)
        self.subprotocol: str | None = None
        #: When bytes of messages last came, by the clock of the loop's turns.
        self.message_at = 0.0
        self._control_at = 0.0  # when pings or pongs last came
        #: How it ended; None while it is open, and before the first attempt has ended.
        self.ending: Ending | None = None
        self._by_us = False  # whether the end was our wish
        self._idle: IdleWatch | None = None
        self._frame_at = 0.0  # when bytes last came of a frame that had begun before
        self._registry = registry
        self._timer: Timer | None = None
        self._keep_alive: KeepAlive | None = None
        registry.add(self)

    # -- what there is to know -----------------------------------------------------------

    @property
    def url(self) -> str:
        """See WebSocketProtocol."""
        raise AssertionError("the role's subclass says so")

    @property
    def loop(self) -> EventLoop:
        """The event loop that this connection lives on."""
        return self._loop

    @property
    def phase(self) -> Phase:
        """See the module."""
        return self._phase

    @property
    def _place(self) -> str:
        return printable(self.url)

    @property
    def compression(self) -> Agreement | None:
        """See WebSocketProtocol."""
        return self.session.agreement if self._phase is Phase.ATTACHED else None

    @property
    def request(self) -> Request | None:
        """See WebSocketProtocol."""
        return None

    @property
    def response(self) -> Response | None:
        """See WebSocketProtocol."""
        return None

    @property
    def latency(self) -> float | None:
        """Seconds between the keep-alive's last ping and its pong, or None."""
        return None if self._keep_alive is None else self._keep_alive.latency

    @property
    def last_activity(self) -> float:
        """When bytes last came, by the clock of the loop's turns."""
        return max(self.message_at, self._control_at)

    @property
    def sock(self) -> AnySocket | None:
        """The socket, while there is one."""
        return self.stream.sock if self._phase is Phase.ATTACHED else None

    # -- the stream's receiver -----------------------------------------------------------

    # Twin: data_received() in compiled/path.pyx.
    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        session = self.session
        if session.within_frame:
            self._frame_at = self._loop.now
        try:
            events = session.receive(data)
        except Exception as exc:  # noqa: BLE001 - no memory left, or a fault of ours; reported
            self._broken(exc)
            return
        if session.controls:
            self._controls_came(events)
        else:
            self.message_at = self._loop.now
        if session.output:
            self._answer()
        if session.unfinished:
            self.hold_back()
        if events:
            self._deliver(self, events)

    def _controls_came(self, events: list[Event]) -> None:
        """Pings or pongs came, which are a sign of life but no messages."""
        session = self.session
        session.controls = False
        self._control_at = now = self._loop.now
        if session.within_frame or any(type(each) not in CONTROLS for each in events):
            self.message_at = now

    def _answer(self) -> None:
        """The session has put out pongs."""
        if not self.stream.queued or self._corked:
            self.cork()
            return
        # A peer that reads slowly need not wait for its pong until the queue is empty; and one
        # that reads nothing is owed no more than one. RFC 6455 section 5.5.3: an endpoint "MAY
        # elect to send a Pong frame for only the most recently processed Ping frame".
        output = self.session.output
        self.stream.write_ahead(output[-1])
        output.clear()

    def _broken(self, exc: Exception) -> None:
        """What came could not be looked at, so that nothing behind it can be, either."""
        logger.error("exception in the session of %s", self._place, exc_info=exc)
        error = WebSocketException(f"what came could not be processed: {quoted(exc)}")
        error.__cause__ = exc
        self.stream.abort()
        self._end(CloseCode.ABNORMAL, "", error)

    def eof_received(self) -> None:
        """The peer has ended its side, without a close frame of this attempt being seen."""
        if not self.comes_later(self.eof_received):
            self.flush()  # a TLS stream tells of the last data and of the end in one call
            self._lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        """The stream has ended, without a close frame of this attempt being seen."""
        if not self.comes_later(self.connection_lost, error):
            self._lost(error)

    def queue_drained(self) -> None:
        """The write queue is below its low mark again."""
        self._catch_up_soon()
        if self._outbox is not None:
            self._outbox.run()
            if self.stream.above_high:
                return  # this will come again
        if self.session.state is State.OPEN:
            call(self.protocol, self.protocol.on_writable)

    # -- what the dispatcher asks for ----------------------------------------------------

    def deliver_later(self, events: list[Event]) -> None:
        """A handler has left the loop by KeyboardInterrupt or SystemExit: the rest comes later."""
        self.cork()  # the answers to pings among them
        self._loop.dirty.append(_Undelivered(self, events))

    def pong_received(self) -> None:
        """A pong came."""
        if self._keep_alive is not None:
            self._keep_alive.on_pong(self._loop.time())

    def last_word(self, event: Close | Failure) -> None:
        """The peer has sent its close frame, or broken the protocol."""
        if isinstance(event, Failure):
            self.stream.drop_queue()  # nothing is kept for who breaks the rules
        self.session.accept(event)
        self.flush()
        if isinstance(event, Close):
            self._end(event.code, event.reason, None)
        else:
            self._end(event.error.close_code, str(event.error), event.error)

    # -- beginning -----------------------------------------------------------------------

    @calls_user_code
    def _attach(
        self,
        sock: AnySocket,
        leftover: bytes,
        on_open: Callable[[], object],
        agreement: Agreement | None = None,
    ) -> None:
        """The opening handshake is done on *sock*: be open."""
        options = self.options
        self.session = self._new_session(agreement)
        self.session.opened()
        self.stream = make_stream(self._loop, sock, self, *options.water_marks)
        self._phase = Phase.ATTACHED
        self.message_at = self._loop.now
        self.ending = None
        self._by_us = False
        self._forget_what_was_held()
        self.stream.start_reading()
        if options.keep_alive is not None:
            self._keep_alive = KeepAlive(options.keep_alive)
            grid = options.keep_alive.grid
            due = self._keep_alive.start(self._loop.time(), random.random(), grid)
            self._timer = self._loop.call_at(due, self._on_keep_alive)
        if options.idle_timeout is not None:
            self._idle = IdleWatch(self, options.idle_timeout)
        try:
            call(self.protocol, on_open)
        except BaseException:
            self.deliver_later(self.session.receive(leftover))
            if self.session.unfinished:
                self.hold_back()
            raise
        # Unless on_open has ended the connection: what came with the handshake's last bytes.
        if leftover and self.session.state is not State.CLOSED:
            self.data_received(leftover)

    def _new_session(
        self, agreement: Agreement | None, kind: type[WebSocketSession] = WebSocketSession
    ) -> WebSocketSession:
        options = self.options
        return kind(
            self._role,
            options.message_limits,
            decode_text=options.decode_text,
            fragments=options.fragments,
            fragment_size=options.fragment_size,
            lenient=self._lenient,
            new_mask=self._new_mask(),
            agreement=agreement,
        )

    @property
    def _lenient(self) -> bool:
        return False

    def _new_mask(self) -> Callable[[], bytes | str]:
        return new_mask

    # -- keep-alive ----------------------------------------------------------------------

    def _on_keep_alive(self) -> None:
        keep_alive = self._keep_alive
        assert keep_alive is not None
        now = self._loop.time()
        action, due = keep_alive.on_timer(now, self.last_activity, self._moved_at())
        if action is Action.SUSPECT:
            # Before the peer is declared dead, what the kernel already holds is read: one
            # read a turn, so that nobody is starved, until the pong is found or nothing is
            # left. It may also be in what is held back. Who has paused reading cannot know, and
            # is not told.
            stream = self.stream
            silent = stream.reading and not stream.read_now()
            if self._behind:  # it is not heard until it has taken something
                silent = stream.queued > 0 and not self._paused
            if silent and not keep_alive.on_backlog(now, stream.backlog()):
                self._dead()
                return
            if self.state is not State.OPEN:
                return  # what was read, or its handler, has ended the connection
            if not stream.reading and not self.session.unfinished:
                due = keep_alive.start(now, grid=keep_alive.policy.grid)
        elif action is Action.PING:
            self._send_ping(keep_alive.policy.payload)
        self._timer = self._loop.call_at(due, self._on_keep_alive)

    def _moved_at(self) -> float:
        """When bytes last moved in a way that says that the peer is alive, pongs apart.

        It takes what is queued; or it is in the middle of a frame, where no pong can come, or
        was until then.
        """
        frame_at = self.last_activity if self.session.within_frame else self._frame_at
        return max(self.stream.progress_at, frame_at)

    def _send_ping(self, payload: bytes) -> None:
        """Send a ping of the keep-alive."""
        assert self._keep_alive is not None
        self._keep_alive.note_backlog(self.stream.backlog())
        self.sent(self.session.ping(payload))

    def _dead(self) -> None:
        self.stream.abort()
        self._end(CloseCode.ABNORMAL, "", WebSocketTimeoutException("ping/pong timed out"))

    def listens(self) -> bool:
        """Whether what the peer sends would be heard now."""
        return self.stream.reading and not self._behind

    def cut_off(self, error: WebSocketQueueFullException) -> None:
        """See Sending."""
        self._end_soon("", error, abort=True)

    def break_off(self, reason: str, error: Exception | None) -> None:
        """End an open connection by our own wish, without waiting for the peer's answer.

        Args:
            reason: goes into the close frame (1001, going away), and to ``on_close``.
            error: what ``on_error`` hears of, if anything.
        """
        self.session.close(CloseCode.GOING_AWAY, reason)
        self._drop_outbox()
        self.flush()
        self._end_soon(reason, error, abort=False)

    def _end_soon(self, reason: str, error: Exception | None, abort: bool) -> None:
        """End it, but not from within the verb that was called."""
        self._by_us = True
        self.session.lost()  # no handler hears of what was read already
        self._stop_timer()
        self.stream.pause_reading()
        self._loop.call_soon(self._end_now, self.session, reason, error, abort)

    def _end_now(
        self, session: WebSocketSession, reason: str, error: Exception | None, abort: bool
    ) -> None:
        if self._phase is Phase.ATTACHED and self.session is session:
            if abort:
                self.stream.abort()
            self._end(CloseCode.ABNORMAL, reason, error)

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

    def reconnect(self, delay: float | None = None, reason: str = "") -> None:
        """See WebSocketProtocol."""
        raise WebSocketStateException(
            "a server's connection cannot be opened anew: only the client can do that"
        )

    def run_in_thread(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        then: Callable[[Any, Any], object] | None,
    ) -> None:
        """See WebSocketProtocol."""

        def finish(result: Any, error: Exception | None) -> None:
            if then is not None:
                call(self.protocol, then, result, error)
            elif error is not None:
                report(self.protocol, error)

        run_in_thread(self._loop, function, args, finish)

    def _on_loop(self, method: Callable[..., object], *args: Any) -> None:
        if threading.get_ident() == self._loop.thread_id:
            method(*args)
        elif self._phase is not Phase.OVER:
            self._ending = True
            self._loop.call_soon_threadsafe(method, *args)

    def _close(self, code: int, reason: str, timeout: float | None = None) -> None:
        if self._phase is not Phase.ATTACHED:
            self._give_up()
        elif self.session.close(code, reason):
            self._by_us = True
            self._drop_outbox()
            self.cork()
            self._paused = False
            self._catch_up_soon()
            self._read_on()  # for the answer
            self._stop_timer()
            if timeout is None:
                timeout = self.options.close_timeout
            self._timer = self._loop.call_later(timeout, self.stream.abort)

    def _abort(self) -> None:
        if self._phase is not Phase.ATTACHED:
            self._give_up()
        elif self.session.state is not State.CLOSED:
            self._by_us = True
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
        self._drop_outbox()
        if self.pacing is not None:
            self.pacing.held.clear()
        self._keep_alive = None
        if self.session.state is not State.CLOSED:
            self.session.lost()
        timeout = self.options.close_timeout
        if isinstance(error, WebSocketPeerException):
            timeout = min(timeout, FAREWELL)
        Linger(self._loop, self.stream, timeout, self._when_closed())
        self._over(code, reason, error)

    def _when_closed(self) -> Callable[[], object] | None:
        """Return what to call when the socket is closed, which may be later than the end."""
        return None

    def _over(self, code: int, reason: str, error: Exception | None) -> None:
        self.ending = self._ended(code, reason, error)
        self._phase = Phase.OVER
        self._registry.discard(self)
        self._tell(code, reason, error)

    def _ended(self, code: int, reason: str, error: Exception | None) -> Ending:
        """Say how it ended; to be asked before the phase changes."""
        return Ending(code, reason, error, self._initiator(error))

    def _initiator(self, error: Exception | None) -> Initiator:
        if self._by_us or isinstance(error, (WebSocketPeerException, WebSocketQueueFullException)):
            return "us"
        if self._phase is Phase.ATTACHED and self.session.received_close is not None:
            return "peer"
        return "peer" if isinstance(error, WebSocketHandshakeException) else "network"

    def _tell(self, code: int, reason: str, error: Exception | None) -> None:
        try:
            if error is not None:
                call_on_error(self.protocol, error)
        finally:  # KeyboardInterrupt and SystemExit pass through, and on_close is still owed
            call(self.protocol, self.protocol.on_close, code, reason)
            conclude(self.protocol)

    # -- in a forked child ---------------------------------------------------------------

    def forked(self) -> None:
        """The connection is the parent's: here it is over, and nobody is told."""
        if self._phase is Phase.ATTACHED:
            self.session.lost()
        self._phase = Phase.OVER

    def let_go(self) -> None:
        """Close the child's copy of the socket, if there is one."""
        stream: Stream | None = getattr(self, "stream", None)
        if stream is not None:
            stream.sock.close()

    def _stop_timer(self) -> None:
        if self._idle is not None:
            self._idle.stop()
            self._idle = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
