"""Connections: one stream, one session and one protocol object, and the parts that serve them.

What it is: :class:`Connection`, the same class for both roles. It has

    lifecycle   how it is opened, and what follows when it has ended; this depends on the role
    sender      the way from the methods that send to the stream
    reader      the way from the stream to the handlers
    and, while it is open, watches: keep-alive (alive.py) and silence (idle.py)

What it must not know: the wire format, selectors, how a socket gets connected.

How it works. phase.py has the phases. closing.py has the ways in which a connection ends that is
open. The lifecycle then decides what comes next, and calls ``tell``, which calls ``on_error`` if
anything went wrong, and always ``on_close``.

Time: traffic touches no timer. Each watch has a timer, and the connection has one for the close
deadline.

Threads: ``close``, ``abort`` and the methods that send may be called from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..base.marks import calls_user_code
from ..base.mistakes import check_delay
from ..exceptions import CloseCode
from ..loop.background import run_in_thread
from ..protocols.counters import Counters
from ..protocols.ending import Ending, find_initiator
from ..protocols.history import Step, add
from ..protocols.session import Close, Event, Failure, State, WebSocketSession, check_close
from ..transports.tls.nested import AnySocket
from ..transports.tls_stream import make_stream
from . import closing
from .alive import KeepAliveWatch
from .counting import describe_end, note_error, public_place, stats_of
from .dispatcher import Undelivered, call_handler, call_on_error, conclude, report
from .handlers import HANDLERS
from .idle import IdleWatch
from .options import ConnectionOptions
from .over import NOBODY, let_go_soon
from .phase import ATTACHED, Change, Phase, change
from .reader import Reader
from .sender import Sender
from .tracing import FileTap, TracingSession
from .wiretap import tell_attached

if TYPE_CHECKING:
    from ..loop.answers import Answer
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
        registry: as given.
        keep_alive, idle: what watches it while it is open, or None.
        close_timer: while we wait for the peer's close frame, the deadline for that.
        ending: how it ended; None while it is open, and before the first attempt has ended.
        counters: what is counted of it, all its life long.
        history: what has happened to it, see protocols/history.py.
        host: the host and the port that it is counted under, see HostStats; "": not known yet.
    """

    __slots__ = (
        *("_protocol_left", "by_us", "close_timer", "counters", "ending", "history", "host"),
        *("idle", "keep_alive", "lifecycle", "loop", "options", "phase", "protocol", "reader"),
        *("registry", "sender", "session", "stream", "subprotocol"),
    )

    session: WebSocketSession
    stream: Stream
    _protocol_left: ref[WebSocketProtocol]

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
        self.registry = registry
        self.keep_alive: KeepAliveWatch | None = None
        self.idle: IdleWatch | None = None
        self.close_timer: Timer | None = None

    def start(self) -> None:
        """Join the registry and the protocol object; the lifecycle does the rest."""
        self.protocol._reactor_connection = self
        if self.loop.slow is not None:
            self.loop.slow.watch(self.protocol, HANDLERS)
        self.phases[self.phase] += 1
        self.enlist()
        self.lifecycle.start(self)

    def enlist(self) -> None:
        """Join the registry of the connections that are not over."""
        self.registry.enter(self)

    # -- state ---------------------------------------------------------------------------

    @property
    def phases(self) -> list[int]:
        """How many connections of the loop are in each phase; see phase.py."""
        return self.registry.phases

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
        return None if self.keep_alive is None else self.keep_alive.latency

    @property
    def last_activity(self) -> float:
        """When bytes last came, in seconds of ``loop.now``."""
        return self.reader.last_activity

    @property
    def sock(self) -> AnySocket | None:
        """The socket, while there is one."""
        return self.stream.sock if self.phase is ATTACHED else None

    @property
    def _reactor_subject(self) -> WebSocketProtocol:
        """See subject.py."""
        return self.protocol

    def whose(self) -> str:
        """For whom it works: see loop/names.py. A protocol object of ours says whose it is."""
        ours = getattr(self.protocol, "_reactor_whose", None)
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
        if self.keep_alive is not None:
            self.keep_alive.pong_received()

    def last_word(self, event: Close | Failure) -> None:
        """End the connection: the peer has sent its close frame, or violated the protocol."""
        closing.last_word(self, event)

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
        if self.loop.wiretaps or self.protocol._reactor_wiretaps:
            tell_attached(self, leftover)
        self.stream.start_reading()
        if options.keep_alive is not None:
            self.keep_alive = KeepAliveWatch(self, options.keep_alive)
            self.keep_alive.start()
        if options.idle_timeout is not None:
            self.idle = IdleWatch(self, options.idle_timeout)
            self.idle.start()
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
        file = self.protocol._reactor_trace or self.loop._trace
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

    def reconnect(self, protocol: WebSocketProtocol, delay: float | None, reason: str) -> None:
        """See WebSocketProtocol. It passes itself: see over.py."""
        self.lifecycle.reconnect(self, protocol, delay, reason)

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
            closing.begin_close(self, code, reason, timeout)
        else:
            self.lifecycle.give_up()

    def _abort(self) -> None:
        self.lifecycle.retire()
        if self.phase is not Phase.OVER:
            self.note(Step.CLOSING, "abort()")
        if self.phase is not ATTACHED:
            self.lifecycle.give_up()
        else:
            closing.abort(self)

    # -- what the lifecycle calls ----------------------------------------------------------

    def describe_end(
        self, code: int, reason: str, error: Exception | None, attempt: int = 0
    ) -> Ending:
        """Return how the connection ended, for good. It is called before the phase changes."""
        opened = self.phase is ATTACHED
        received = opened and self.session.received_close is not None
        initiator = find_initiator(error, self.by_us, opened, received)
        self.counters.losses += opened and initiator != "us"
        note_error(self.counters, error, self.loop.now)
        return Ending(code, reason, error, initiator, attempt=attempt)

    def finish(self) -> None:
        """Leave the registry: the connection is over for good."""
        change(self, Change.ENDED)
        self.registry.leave(self)

    def tell(self, code: int, reason: str, error: Exception | None) -> None:
        """Call ``on_error``, if there was an error, and ``on_close``.

        Args:
            code: for ``on_close``.
            reason: for ``on_close``.
            error: for ``on_error``, or None.
        """
        protocol = self.protocol
        if self.phase is Phase.OVER:
            let_go_soon(self)
        try:
            if error is not None:
                call_on_error(protocol, error)
        finally:  # KeyboardInterrupt and SystemExit pass through, but on_close must be called
            call_handler(protocol, protocol.on_close, code, reason)
            conclude(protocol)

    def forget_protocol(self) -> None:
        """Have only a weak reference to the protocol object from now on: see over.py."""
        self._protocol_left = ref(self.protocol)
        del self.protocol
        self.__class__ = _Forgetful

    def keep_protocol(self, protocol: WebSocketProtocol) -> None:
        """Have a protocol object again."""
        self.__class__ = Connection
        self.protocol = protocol

    def stop_timers(self) -> None:
        """Stop the watches and the close deadline. :attr:`latency` stays known."""
        if self.keep_alive is not None:
            self.keep_alive.stop()
        if self.idle is not None:
            self.idle.stop()
            self.idle = None
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = None

    def run_in_thread(
        self,
        protocol: WebSocketProtocol,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        then: Callable[[Any, Any], object] | None,
    ) -> Answer[Any]:
        """See WebSocketProtocol. It passes itself: see over.py."""
        told = None if then is None else partial(call_handler, protocol, then)
        return run_in_thread(self.loop, function, args, told, partial(report, protocol))

    def forked(self) -> None:
        """In a forked child, end the connection, which is the parent's. No handler is called."""
        self.registry.closing.discard(self)
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


class _Forgetful(Connection):
    """A connection that has only a weak reference to its protocol object.

    It is a class of its own, since a ``__getattr__`` of :class:`Connection` would make every
    attribute of every connection slower.
    """

    __slots__ = ()

    @property
    def protocol(self) -> WebSocketProtocol:  # type: ignore[override]
        """The protocol object, if it is still there."""
        protocol = self._protocol_left()
        return NOBODY if protocol is None else protocol
