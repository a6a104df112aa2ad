"""Connections: one stream, one session and one protocol object, and the parts that serve them.

What it is: :class:`Connection`, the same class for both roles. It has

    lifecycle   how it is opened, and what follows when it has ended; this depends on the role
    sender      the way from the methods that send to the stream
    reader      the way from the stream to the handlers
    and, while it is open, watches: keep-alive (alive.py) and silence (idle.py)

What it must not know: the wire format, selectors, how a socket gets connected.

How it works. phase.py has the phases. A connection in phase ATTACHED ends in ``_end``, which hands
the stream over to a Linger. The lifecycle then decides what comes next, and calls ``tell``, which
calls ``on_error`` if anything went wrong, and always ``on_close``.

Time: traffic touches no timer. Each watch has a timer, and the connection has one for the close
deadline.

Threads: ``close``, ``abort`` and the methods that send may be called from any thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..base.marks import calls_user_code
from ..base.mistakes import check_delay
from ..base.printable import quoted
from ..exceptions import (
    CloseCode,
    WebSocketException,
    WebSocketPeerException,
    WebSocketQueueFullException,
)
from ..loop.background import run_in_thread
from ..protocols.counters import Counters
from ..protocols.ending import Ending, find_initiator
from ..protocols.history import Step, add
from ..protocols.session import Close, Event, Failure, State, WebSocketSession, check_close
from ..transports.linger import Linger
from ..transports.stream import describe_loss
from ..transports.tls.nested import AnySocket
from ..transports.tls_stream import make_stream
from .alive import KeepAliveWatch
from .counting import describe_end, most_queued, note_error, public_place, stats_of
from .dispatcher import Undelivered, call_handler, call_on_error, conclude, report
from .handlers import HANDLERS
from .idle import IdleWatch
from .options import ConnectionOptions
from .phase import ATTACHED, Change, Phase, change
from .reader import Reader
from .sender import Sender
from .tracing import FileTap, TracingSession
from .wiretap import tell_attached

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop
    from ..protocols.deflate import Agreement
    from ..protocols.http.http11 import Request, Response
    from ..protocols.stats import ConnectionStats
    from ..protocols.websocket import WebSocketProtocol
    from ..timers import Timer
    from ..transports.stream import Stream
    from .connections import Connections
    from .lifecycle import Lifecycle

__all__ = ["Connection"]

logger = logging.getLogger("reactor.connection")

#: The most seconds that a peer which has violated the protocol gets to read our close frame.
FAREWELL = 1.0


class Connection:
    """One connection, from the first attempt until it is over for good. See the module.

    Args:
        loop: the event loop that this connection lives on.
        registry: where the connection is listed until it is over; this keeps it alive.
        options: see options.py.
        lifecycle: the lifecycle for its role. Each connection has its own.
        protocol: the object whose handlers are called.

    Attributes:
        phase: see phase.py; only ``change`` may assign it.
        session: the session since the connection was last opened. Not set before.
        stream: its stream, likewise.
        subprotocol: the subprotocol that was agreed on, or None.
        by_us: whether we have ended the connection.
        ending: how it ended; None while it is open, and before the first attempt has ended.
        counters: what is counted of it, all its life long.
        history: what has happened to it, see protocols/history.py.
        host: the host and the port that it is counted under, see HostStats; "" if that is not known
            yet.
    """

    __slots__ = (
        *("_alive", "_close_timer", "_idle", "_registry", "by_us", "counters", "ending", "history"),
        *("host", "lifecycle", "loop", "options", "phase", "protocol", "reader", "sender"),
        *("session", "stream", "subprotocol"),
    )

    session: WebSocketSession
    stream: Stream

    def __init__(
        self,
        loop: EventLoop,
        registry: Connections,
        options: ConnectionOptions,
        lifecycle: Lifecycle,
        protocol: WebSocketProtocol,
    ) -> None:
        self.loop = loop
        self.options = options
        self.lifecycle = lifecycle
        self.protocol = protocol
        self.phase = Phase.CONNECTING
        self.sender = Sender(self)
        self.reader = Reader(self)
        self.subprotocol: str | None = None
        self.ending: Ending | None = None
        self.by_us = False
        self.counters = Counters()
        self.history = b""
        self.host = ""
        self._registry = registry
        self._alive: KeepAliveWatch | None = None
        self._idle: IdleWatch | None = None
        self._close_timer: Timer | None = None

    def start(self) -> None:
        """Join the registry and the protocol object; the lifecycle does the rest."""
        self.protocol._connection = self
        if self.loop.slow is not None:
            self.loop.slow.watch(self.protocol, HANDLERS)
        self.phases[self.phase] += 1
        self.enlist()
        self.lifecycle.start(self)

    def enlist(self) -> None:
        """Join the registry of the connections that are not over."""
        self._registry.enter(self)

    # -- state ---------------------------------------------------------------------------

    @property
    def phases(self) -> list[int]:
        """How many connections of the loop are in each phase; see phase.py."""
        return self._registry.phases

    @property
    def stats(self) -> ConnectionStats:
        """See WebSocketProtocol."""
        return stats_of(self)

    @property
    def state(self) -> State:
        """The state in the terms of RFC 6455."""
        if self.phase is ATTACHED:
            return self.session.state
        return State.CLOSED if self.phase is Phase.OVER else State.CONNECTING

    @property
    def url(self) -> str:
        """See WebSocketProtocol."""
        return self.lifecycle.url

    @property
    def place(self) -> str:
        """The name of this connection in error messages and the log."""
        return self.lifecycle.place

    @property
    def request(self) -> Request | None:
        """See WebSocketProtocol."""
        return self.lifecycle.request

    @property
    def response(self) -> Response | None:
        """See WebSocketProtocol."""
        return self.lifecycle.response

    @property
    def compression(self) -> Agreement | None:
        """See WebSocketProtocol."""
        return self.session.agreement if self.phase is ATTACHED else None

    @property
    def latency(self) -> float | None:
        """Seconds between the keep-alive's last ping and its pong, or None."""
        return None if self._alive is None else self._alive.latency

    @property
    def last_activity(self) -> float:
        """When bytes last came, in seconds of ``loop.now``."""
        return self.reader.last_activity

    @property
    def sock(self) -> AnySocket | None:
        """The socket, while there is one."""
        return self.stream.sock if self.phase is ATTACHED else None

    def whose(self) -> str:
        """For whom it works: see loop/names.py. A protocol object of ours says whose it is."""
        ours = getattr(self.protocol, "_whose", None)
        name = type(self.protocol).__qualname__ if ours is None else ours()
        return f"{name} on {public_place(self)}"

    def note(self, step: Step, text: str = "") -> None:
        """Take something down in its history."""
        self.history = add(self.history, step, self.loop.time(), text)

    def note_end(self, ending: Ending) -> None:
        """Add to its history how it, or an attempt, has ended; before the phase changes."""
        self.note(*describe_end(ending, self.phase is ATTACHED))

    # -- what the dispatcher asks for ----------------------------------------------------

    def deliver_later(self, events: list[Event]) -> None:
        """Deliver events in the next turn: a handler has raised KeyboardInterrupt or SystemExit."""
        self.sender.cork()  # the session may have put out pongs
        self.loop.dirty.append(Undelivered(self, events))

    def pong_received(self) -> None:
        """Take note that a pong came."""
        if self._alive is not None:
            self._alive.pong_received()

    def last_word(self, event: Close | Failure) -> None:
        """End the connection: the peer has sent its close frame, or violated the protocol."""
        if isinstance(event, Failure):
            self.stream.drop_queue()  # after a violation, only the close frame is sent
        self.session.take_last_word(event)
        self.sender.flush()
        if isinstance(event, Close):
            self._end(event.code, event.reason, None)
        else:
            self._end(event.error.close_code, str(event.error), event.error)

    # -- beginning -----------------------------------------------------------------------

    def begin_attempt(self) -> None:
        """Take note that an attempt to connect begins."""
        change(self, Change.ATTEMPT)
        self.by_us = False

    @calls_user_code
    def attach(
        self,
        sock: AnySocket,
        leftover: bytes,
        on_open: Callable[[], object],
        agreement: Agreement | None = None,
    ) -> None:
        """Become open: the opening handshake has succeeded.

        Args:
            sock: the socket.
            leftover: bytes that came behind the opening handshake.
            on_open: the handler to call, ``on_open`` or ``on_reconnect``.
            agreement: the compression that was negotiated; None: no compression.
        """
        options = self.options
        self.session = self._new_session(agreement)
        self.session.opened()
        self.stream = make_stream(self.loop, sock, self.reader, *options.water_marks)
        change(self, Change.UPGRADED)
        self.ending = None
        self.by_us = False
        self.reader.begin()
        if self.loop.wiretaps or self.protocol._wiretaps:
            tell_attached(self, leftover)
        self.stream.start_reading()
        if options.keep_alive is not None:
            self._alive = KeepAliveWatch(self, options.keep_alive)
            self._alive.start()
        if options.idle_timeout is not None:
            self._idle = IdleWatch(self, options.idle_timeout)
            self._idle.start()
        try:
            call_handler(self.protocol, on_open)
        except BaseException:
            self.deliver_later(self.session.receive(leftover))
            if self.session.unfinished:
                self.reader.hold_back()
            raise
        # on_open may have ended the connection; then nothing more is delivered.
        if leftover and self.session.state is not State.CLOSED:
            self.reader.data_received(leftover)

    def _new_session(self, agreement: Agreement | None) -> WebSocketSession:
        options, lifecycle = self.options, self.lifecycle
        session = lifecycle.session_class(
            lifecycle.role,
            options.message_limits,
            decode_text=options.decode_text,
            fragments=options.fragments,
            fragment_size=options.fragment_size,
            lenient=lifecycle.lenient,
            new_mask=lifecycle.new_mask,
            agreement=agreement,
            counters=self.counters,
        )
        file = self.protocol._trace or self.loop._trace
        if file is not None and type(session) is WebSocketSession:
            session.tap = FileTap(self.place, file)
            session.__class__ = TracingSession
        return session

    # -- the user ends it ----------------------------------------------------------------

    def close(
        self, code: int = CloseCode.NORMAL, reason: str = "", timeout: float | None = None
    ) -> None:
        """See WebSocketProtocol."""
        check_close(code, reason)
        if timeout is not None:
            check_delay("timeout", timeout)
        self.on_loop(self._close, code, reason, timeout)

    def abort(self) -> None:
        """See WebSocketProtocol."""
        self.on_loop(self._abort)

    def reconnect(self, delay: float | None = None, reason: str = "") -> None:
        """See WebSocketProtocol."""
        self.lifecycle.reconnect(delay, reason)

    def on_loop(self, method: Callable[..., object], *args: Any) -> None:
        """Call a method that ends the connection, on the loop's thread. Any thread."""
        if threading.get_ident() == self.loop.thread_id:
            method(*args)
        elif self.phase is not Phase.OVER:
            self.sender.closing_soon = True
            self.loop.call_soon_threadsafe(method, *args)

    def _close(self, code: int, reason: str, timeout: float | None) -> None:
        self.lifecycle.retire()
        if self.phase is not Phase.OVER:
            self.note(Step.CLOSING, f"close({int(code)})")
        if self.phase is ATTACHED:
            self.close_stream(code, reason, timeout)
        else:
            self.lifecycle.give_up()

    def close_stream(self, code: int, reason: str, timeout: float | None = None) -> None:
        """Begin the closing handshake on this stream. The lifecycle decides what follows.

        Args:
            code: for our close frame.
            reason: for our close frame.
            timeout: seconds that the peer has to answer; None: ``close_timeout``.
        """
        if not self.session.close(code, reason):
            return
        self.by_us = True
        self._registry.closing.add(self)
        self.sender.drop_outbox()
        self.sender.cork()
        self.reader.await_close()
        self.stop_timers()
        limit = self.options.close_timeout if timeout is None else timeout
        self._close_timer = self.loop.call_later(limit, self.stream.abort)

    def _abort(self) -> None:
        self.lifecycle.retire()
        if self.phase is not Phase.OVER:
            self.note(Step.CLOSING, "abort()")
        if self.phase is not ATTACHED:
            self.lifecycle.give_up()
        elif self.session.state is not State.CLOSED:
            self.by_us = True
            self._registry.closing.add(self)
            self.session.lost()  # what has been read is not delivered any more
            self.stop_timers()
            self.stream.abort()  # this calls connection_lost()

    def cut_off(self, error: WebSocketQueueFullException) -> None:
        """End the connection because its write queue is full, after the running callback."""
        self._end_soon("", error, abort=True)

    def break_off(self, reason: str, error: Exception | None) -> None:
        """Send a close frame (1001, going away), and do not wait for the peer's answer.

        Args:
            reason: for the close frame and for ``on_close``.
            error: for ``on_error``; None if nothing went wrong.
        """
        self.session.close(CloseCode.GOING_AWAY, reason)
        self.sender.drop_outbox()
        self.sender.flush()
        self._end_soon(reason, error, abort=False)

    def _end_soon(self, reason: str, error: Exception | None, abort: bool) -> None:
        self.by_us = True
        self._registry.closing.add(self)
        self.session.lost()  # what has been read is not delivered any more
        self.stop_timers()
        self.stream.pause_reading()
        self.loop.call_soon(self._end_now, self.session, reason, error, abort)

    def _end_now(
        self, session: WebSocketSession, reason: str, error: Exception | None, abort: bool
    ) -> None:
        if self.phase is ATTACHED and self.session is session:
            if abort:
                self.stream.abort()
            self._end(CloseCode.ABNORMAL, reason, error)

    # -- the peer, the network or a fault ends it ------------------------------------------

    def lost(self, error: Exception | None) -> None:
        """End: the stream has ended without a close frame (1006, RFC 6455 section 7.1.5).

        Args:
            error: why the stream ended; None: the peer has ended it.
        """
        session = self.session
        if session.state is State.CLOSED or session.sent_close is not None:
            self._end(CloseCode.ABNORMAL, "", None)  # we were ending it: no error
        else:
            self._end(CloseCode.ABNORMAL, "", describe_loss(error))

    def fail(self, error: Exception) -> None:
        """Drop the stream without a closing handshake, because of an error."""
        self.stream.abort()
        self._end(CloseCode.ABNORMAL, "", error)

    def broken(self, exc: Exception) -> None:
        """Drop the stream: the session raised, so nothing more can be parsed."""
        logger.error("exception in the session of %s", self.place, exc_info=exc)
        error = WebSocketException(f"what came could not be processed: {quoted(exc)}")
        error.__cause__ = exc
        self.fail(error)

    def _end(self, code: int, reason: str, error: Exception | None) -> None:
        """Release the stream. The lifecycle decides what comes next, and calls the handlers."""
        self.stop_timers()
        self.sender.drop_outbox()
        self.reader.end()
        self._registry.closing.discard(self)
        self.counters.most_queued = most_queued(self)
        self._alive = None
        if self.session.state is not State.CLOSED:
            self.session.lost()
        timeout = self.options.close_timeout
        if isinstance(error, WebSocketPeerException):
            timeout = min(timeout, FAREWELL)
        Linger(self.loop, self.stream, timeout, self.lifecycle.when_closed()).start()
        self.lifecycle.over(code, reason, error)

    # -- what the lifecycle calls ----------------------------------------------------------

    def describe_end(self, code: int, reason: str, error: Exception | None) -> Ending:
        """Return how the connection ended. It must be called before the phase changes."""
        opened = self.phase is ATTACHED
        received = opened and self.session.received_close is not None
        initiator = find_initiator(error, self.by_us, opened, received)
        self.counters.losses += opened and initiator != "us"
        note_error(self.counters, error, self.loop.now)
        return Ending(code, reason, error, initiator)

    def finish(self) -> None:
        """Leave the registry: the connection is over for good."""
        change(self, Change.ENDED)
        self._registry.leave(self)

    def tell(self, code: int, reason: str, error: Exception | None) -> None:
        """Call ``on_error``, if there was an error, and ``on_close``.

        Args:
            code: for ``on_close``.
            reason: for ``on_close``.
            error: for ``on_error``, or None.
        """
        try:
            if error is not None:
                call_on_error(self.protocol, error)
        finally:  # KeyboardInterrupt and SystemExit pass through, but on_close must be called
            call_handler(self.protocol, self.protocol.on_close, code, reason)
            conclude(self.protocol)

    def stop_timers(self) -> None:
        """Stop the watches and the close deadline. :attr:`latency` stays known."""
        if self._alive is not None:
            self._alive.stop()
        if self._idle is not None:
            self._idle.stop()
            self._idle = None
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None

    def run_in_thread(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        then: Callable[[Any, Any], object] | None,
    ) -> None:
        """See WebSocketProtocol."""

        def finish(result: Any, error: Exception | None) -> None:
            if then is not None:
                call_handler(self.protocol, then, result, error)
            elif error is not None:
                report(self.protocol, error)

        run_in_thread(self.loop, function, args, finish)

    def forked(self) -> None:
        """In a forked child, end the connection, which is the parent's. No handler is called."""
        self._registry.closing.discard(self)
        if self.phase is ATTACHED:
            self.session.lost()
        if self.phase is not Phase.OVER:
            change(self, Change.ENDED)
        self.lifecycle.forked()

    def let_go(self) -> None:
        """In a forked child, close its copy of the socket, if there is one."""
        if hasattr(self, "stream"):
            self.stream.sock.close()
        self.lifecycle.let_go()
