"""The Reactor that people use: the event loop, and WebSockets on it.

What it is: the event loop plus ``connect`` and ``listen``.

What it must not know: how any of this is done.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, TypeVar

from .base.marks import calls_user_code
from .base.mistakes import check_called, check_number
from .client.connection import ClientConnection
from .client.gate import Gate
from .client.options import ClientOptions
from .connection.connection import Connection, Phase
from .connection.handlers import check_factory, check_protocol
from .exceptions import CloseCode
from .hosting.verbs import DispatchingLoop
from .loop.background import run_in_thread
from .loop.event_loop import LoopStats
from .loop.repeating import RepeatingTimer
from .protocols.session import State
from .protocols.websocket import WebSocketProtocol
from .server.listener import Listener
from .server.options import ServerOptions
from .timers import Deadline, MonotonicClock, Pace, Timer
from .transports.bind import bind_tcp, bind_unix

__all__ = ["Reactor", "ReactorStats"]

P = TypeVar("P", bound=WebSocketProtocol)
T = TypeVar("T")

#: Seconds that closing handshakes have when an exception leaves the block of a Reactor.
FAREWELL = 1.0


@dataclass(frozen=True)
class ReactorStats(LoopStats):
    """A snapshot of the loop and its connections.

    Attributes:
        connecting, open, closing, waiting: connections by what they do; waiting ones will
            reconnect.
        listeners: listening sockets.
    """

    connecting: int
    open: int
    closing: int
    waiting: int
    listeners: int


class Reactor(DispatchingLoop):
    """One thread, one selector, one timer wheel, any number of WebSockets.

    Parameters:
        max_connecting: how many attempts to connect may be in flight, from DNS to the upgrade;
            further ones wait, those of new connections before those after a loss. None: any
            number. So 5,000 connections can be asked for in one line, and take no more memory
            than if they were asked for one by one.
        connect_pace: a Pace, ``Pace(5, per=1.0)`` for never more than 5 attempts in any second, for
            each host and port of a URL (before redirects, behind proxies); None: no limit. A
            connection may have another one, see ClientOptions.
        others: see EventLoop.

    Whatever they are: an answer with Retry-After to the upgrade holds back all attempts at that
    host and port, for as long as the Backoff of the connection that got it heeds.

    A Reactor is a context manager: leaving it closes everything.
    When an exception leaves it, Ctrl-C for example, open connections are closed with 1001 (going
    away) before, for which they have a second.

    All methods belong to the thread that runs the loop, but ``stop`` and
    ``call_soon_threadsafe``.
    """

    def __init__(
        self,
        *,
        max_connecting: int | None = 256,
        connect_pace: Pace | None = None,
        **kwargs: Any,
    ) -> None:
        gate = Gate(self, max_connecting, connect_pace)  # what is wrong is an error before sockets
        super().__init__(**kwargs)
        self.gate = gate
        self.connections: set[Connection] = set()
        self.listeners: set[Listener[Any]] = set()
        self._closing = False  # close() has begun: nothing new is taken on
        self._latest_options: tuple[dict[str, Any], ClientOptions | None] = {}, None

    def __enter__(self) -> Reactor:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is not None and not self._closed:
                self._check_idle()
                # In real time, whatever the loop's clock is: one that stands still has no end.
                self._run(self._shut_down, Deadline(MonotonicClock(), FAREWELL))
        finally:
            self.close()

    @calls_user_code
    def connect(
        self, url: str | Callable[[], str], protocol: Callable[[], P] | P, **options: Any
    ) -> P:
        """Open a WebSocket connection. Returns at once; the handlers tell how it goes.

        Args:
            url: ws:// or wss://, or a function that is called before every attempt.
            protocol: a subclass of WebSocketProtocol, another function without parameters
                that returns an object of one, or such an object.
            options: see ClientOptions.

        Returns the protocol object. Raises ValueError for a URL that cannot be used, TypeError
        for an unknown option, ValueError or TypeError for a wrong one, and RuntimeError when
        the reactor is closed, or another thread runs it: see ``call_soon_threadsafe``.
        """
        self._check_usable()
        checked = self._client_options(options)
        if isinstance(protocol, WebSocketProtocol):
            handlers = protocol
        else:
            check_factory(protocol)
            handlers = protocol()
        check_protocol(handlers)
        ClientConnection(self, self.connections, url, handlers, checked, self.gate)
        return handlers

    def _client_options(self, given: dict[str, Any]) -> ClientOptions:
        """Return options that are shared by connections that were opened alike in a row."""
        before, options = self._latest_options
        if options is None or given != before:
            options = ClientOptions.of(given, "Reactor.connect()")
            self._latest_options = given, options
        return options

    def listen(
        self,
        host: str | None = None,
        port: int = 0,
        protocol: Callable[[], P] = WebSocketProtocol,  # type: ignore[assignment]
        *,
        sock: socket.socket | None = None,
        unix_path: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> Listener[P]:
        """Accept WebSocket connections.

        Args:
            host: address or name of the interface; None: all, IPv4 and, where possible, IPv6.
            port: 0 lets the system choose; see ``Listener.port``.
            protocol: a subclass of WebSocketProtocol, or a function that returns an object of
                one; called for every connection.
            sock: a bound stream socket to use instead.
            unix_path: a path to listen on instead, or "\\0" and a name that is in no file system
                (Linux). A socket there that nobody listens on any more is replaced.
            options: see ServerOptions.

        Returns the listener. Raises OSError when the address cannot be used, TypeError and
        ValueError for options as :meth:`connect` does, and RuntimeError as there.
        """
        self._check_usable()
        check_factory(protocol)
        check_number("port", port, "an int from 0 to 65535")
        checked = ServerOptions.of(options, "Reactor.listen()")
        bound, unlink = sock, None
        if bound is None and unix_path is not None:
            bound, unlink = bind_unix(unix_path, checked.unix_mode)
        elif bound is None:
            bound = bind_tcp(host, port, checked.reuse_port)
        try:
            bound.setblocking(False)
            bound.listen(checked.backlog)
        except BaseException:
            if sock is None:
                bound.close()
            if unlink is not None:
                unlink()
            raise
        return Listener(self, self.connections, self.listeners, bound, protocol, checked, unlink)

    def call_every(self, interval: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call ``callback(*args)`` every *interval* seconds, for the first time after one of them.

        The calls keep their rhythm; what a slow loop has missed is left out. An exception is
        logged, and the calls go on. The loop's thread only.

        Args:
            interval: seconds; more than 0.
            callback: what to call; further arguments are passed to it.

        Returns:
            The timer; its ``cancel()`` ends the calls, also from within one.

        Raises:
            ValueError: The interval is 0 or less, or infinite. TypeError: it is no number.
        """
        check_number("interval", interval, "more than 0 seconds")
        if not 0 < interval < inf:
            raise ValueError(f"interval must be more than 0 seconds and finite, not {interval!r}")
        check_called("call_every()'s callback", callback)
        return RepeatingTimer(self, interval, callback, args)

    def run_in_thread(
        self,
        function: Callable[..., T],
        *args: Any,
        then: Callable[[T | None, Exception | None], object] | None = None,
    ) -> None:
        """Call ``function(*args)``, which may block, on a helper thread. Returns at once.

        At most 32 such calls run at a time; further ones wait. Any thread may ask.

        Args:
            function: what to call; further arguments are passed to it.
            then: called on the loop's thread with two arguments: the result and None, or None and
                the exception that the function has raised. None: the result is dropped, and an
                exception is logged.

        Raises:
            TypeError: The function is none, or an ``async def``.
            RuntimeError: The reactor is closed.
        """

        def finish(result: T | None, error: Exception | None) -> None:
            if then is not None:
                then(result, error)
            elif error is not None:
                self.report(error, function)

        run_in_thread(self, function, args, calls_user_code(finish))

    def shutdown(self, timeout: float = 5.0) -> None:
        """Close every connection with 1001 (going away), and wait for the ends.

        Args:
            timeout: seconds after which those that are left are aborted; so does Ctrl-C.

        Not from within a callback: RuntimeError.
        """
        self._check_idle()
        self._run(self._shut_down, Deadline(self.clock, timeout))

    @calls_user_code
    def _shut_down(self, deadline: Deadline) -> None:
        try:
            self._stop_listening()
            for connection in list(self.connections):
                connection.close(CloseCode.GOING_AWAY)
            self._flush()
            while self.connections and not deadline.expired:
                self._turn(deadline.remaining())
        finally:  # Ctrl-C ends the waiting, not the closing
            self._abort_all()

    def _end_all(self) -> None:
        self._closing = True
        self._stop_listening()
        try:
            self._abort_all()
        finally:
            super()._end_all()

    def _check_usable(self) -> None:
        if self.running:  # else whoever runs it next will find what was asked for
            self._check_owner()
        if self._closing or self._closed:
            self._refuse()

    def _stop_listening(self) -> None:
        for listener in list(self.listeners):
            listener.stop_accepting()

    @calls_user_code
    def _abort_all(self) -> None:
        for connection in list(self.connections):
            connection.abort()
        # One turn for what is owed: on_close, and the ends of streams. A handler that leaves it by
        # KeyboardInterrupt or SystemExit owes nothing to the others: they are told all the same.
        interrupt: BaseException | None = None
        while True:
            try:
                self._turn(0)
            except Exception:
                raise
            except BaseException as exc:  # noqa: BLE001 - raised below
                interrupt = exc
            else:
                break
        if interrupt is not None:
            raise interrupt

    def unsent(self) -> bool:
        """See EventLoop."""
        return super().unsent() or any(each.unsent for each in list(self.connections))

    def handed_over(self) -> bool:
        """See EventLoop."""
        return any(each.handed_over for each in list(self.connections))

    def forked(self) -> None:
        """See EventLoop."""
        super().forked()
        for connection in self.connections:
            connection.forked()

    def _let_go(self) -> None:
        super()._let_go()
        for connection in self.connections:
            connection.let_go()
        for listener in self.listeners:
            listener.let_go()
        self.connections.clear()
        self.listeners.clear()

    def stats(self) -> ReactorStats:
        """Return a snapshot: cheap enough to be taken every second."""
        counts = {"connecting": 0, "open": 0, "closing": 0, "waiting": 0}
        for connection in self.connections:
            counts[_activity(connection)] += 1
        return ReactorStats(**vars(super().stats()), **counts, listeners=len(self.listeners))


def _activity(connection: Connection) -> str:
    if connection.phase is Phase.WAITING:
        return "waiting"
    state = connection.state
    if state is State.CONNECTING:
        return "connecting"
    return "open" if state is State.OPEN else "closing"
