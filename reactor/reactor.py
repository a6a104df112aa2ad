"""The Reactor that people use: an event loop, and WebSockets on it.

What it is: ``connect`` and ``listen``, and what users need of the event loop that the reactor has.

What it must not know: how any of this is done.

How it works. A Reactor has an EventLoop (``loop``), a Registry of what lives there, and nothing
else. Connections, listeners and tasks get the EventLoop. What the users of the ``rel`` package call
(``read``, ``timeout``, ``dispatch``, ...) is looked up in an object of its own, hosting/verbs.py,
when somebody asks for it; so a Reactor can be given as ``dispatcher=`` to websocket-client's
WebSocketApp, and these names are not in its way otherwise.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .base.marks import calls_user_code
from .base.mistakes import check_number
from .client.attempt import Pipeline
from .client.gate import Gate
from .client.lifecycle import ClientLifecycle
from .client.options import ClientOptions
from .client.pipeline import connect
from .connection.connection import Connection
from .connection.handlers import check_factory, check_protocol
from .hosting.verbs import VERBS, Verbs
from .loop.background import run_in_thread
from .loop.event_loop import EventLoop
from .loop.poller import Selector
from .loop.repeating import RepeatingTimer
from .protocols.websocket import WebSocketProtocol
from .registry import ReactorStats, Registry
from .server.listener import Listener
from .server.options import ServerOptions
from .signatures import Opens, shows
from .timers import Clock, Deadline, MonotonicClock, Pace, Timer
from .transports.bind import open_to_listen

__all__ = ["Reactor", "ReactorStats"]

P = TypeVar("P", bound=WebSocketProtocol)
T = TypeVar("T")

#: Methods that handlers call often. See Reactor.__init__.
OFTEN_CALLED = ("call_at", "call_later", "call_soon", "call_soon_threadsafe")

#: Seconds that closing handshakes have when an exception leaves the block of a Reactor.
FAREWELL = 1.0


class Reactor(Opens):
    """One thread, one selector, one timer wheel, any number of WebSockets.

    A Reactor is a context manager: leaving it closes everything. When an exception leaves it,
    Ctrl-C for example, open connections are closed with 1001 (going away) before, for which they
    have a second.

    Whatever the options are: an answer with Retry-After to the upgrade holds back all attempts at
    that host and port, for as long as the Backoff of the connection that got it heeds.

    All methods belong to the thread that runs the loop, but ``stop`` and
    ``call_soon_threadsafe``.

    Args:
        max_connecting: how many attempts to connect may be in flight, from DNS to the upgrade;
            further ones wait, those of new connections before those after a loss. None: any
            number. So 5,000 connections can be asked for in one line, and take no more memory
            than if they were asked for one by one.
        connect_pace: a Pace, ``Pace(5, per=1.0)`` for never more than 5 attempts in any second, for
            each host and port of a URL (before redirects, behind proxies); None: no limit. A
            connection may have another one, see ClientOptions.
        selector: an object with the interface of ``selectors.BaseSelector``; default: the
            best that selectors2 finds on this platform.
        clock: where time comes from; default: the monotonic clock. Never jumps back.
        random: the source of randomness: returns a uniform random number from 0 up to, not
            including, 1; default: ``random.random``.
        debug: check that methods are called on the loop's thread; default: whether the
            environment variable REACTOR_DEBUG is set and not empty.
        slow_callback: seconds that a callback or a handler may take; what takes longer is named in
            the log, with its duration. None: 0.1 in debug mode, else no limit.

    Attributes:
        loop: the event loop. For hosts, its ``on_wanted``; see EventLoop.
        connections: all connections that are not over, in both roles.
        listeners: all listeners that accept.
        gate: what every attempt to connect passes.
        time: returns the time of the loop's clock, in seconds, read now.
    """

    def __init__(
        self,
        *,
        max_connecting: int | None = 256,
        connect_pace: Pace | None = None,
        selector: Selector | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] = random.random,
        debug: bool | None = None,
        slow_callback: float | None = None,
    ) -> None:
        self.loop = EventLoop(
            selector=selector,
            clock=clock,
            random=random,
            debug=debug,
            slow_callback=slow_callback,
        )
        self.time = self.loop.time
        self.loop.owner = self
        try:
            self.gate = Gate(self.loop, max_connecting, connect_pace)
        except (TypeError, ValueError):
            self.loop.close()
            raise
        self._pipeline: Pipeline = connect  # what attempts run
        self._registry = Registry(self.loop)
        self.loop.residents.append(self._registry)
        self.connections = self._registry.connections
        self.listeners = self._registry.listeners
        for name in OFTEN_CALLED:
            # To pass *args on takes 0.25 us: so these are the loop's own methods, unless a
            # subclass has others.
            if getattr(type(self), name) is getattr(Reactor, name):
                setattr(self, name, getattr(self.loop, name))
        self._verbs: Verbs | None = None  # made when somebody asks for one of them
        self._latest_options: tuple[dict[str, Any], ClientOptions | None] = {}, None

    def __enter__(self) -> Reactor:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is not None and not self.loop._closed:
                # In real time, whatever the loop's clock is: one that stands still has no end.
                self._shut_down(Deadline(MonotonicClock(), FAREWELL))
        finally:
            self.close()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """The verbs of a dispatcher: see hosting/verbs.py."""
            if name in VERBS:
                if self._verbs is None:
                    self._verbs = Verbs(self.loop)
                return getattr(self._verbs, name)
            text = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(text, name=name, obj=self)

    # -- connections -----------------------------------------------------------------------

    if not TYPE_CHECKING:  # see signatures.py

        @shows(ClientOptions)
        def connect(
            self, url: str | Callable[[], str], protocol: Callable[[], P] | P, **options: Any
        ) -> P:
            """Open a WebSocket connection. Returns at once; the handlers tell how it goes.

            Args:
                url: ws:// or wss://, or a function that is called before every attempt.
                protocol: a subclass of WebSocketProtocol, another function without parameters
                    that returns an object of one, or such an object.
                options: see ClientOptions.

            Returns:
                The protocol object.

            Raises:
                ValueError: the URL cannot be used, or an option has a wrong value.
                TypeError: there is no such option, or one is of a wrong type.
                RuntimeError: the reactor is closed, or another thread runs it: see
                    ``call_soon_threadsafe``.
            """
            return self._connect(url, protocol, options)

    @calls_user_code
    def _connect(
        self,
        url: str | Callable[[], str],
        protocol: Callable[[], P] | P,
        options: dict[str, Any],
    ) -> P:
        self._registry.check_usable()
        checked = self._client_options(options)
        if isinstance(protocol, WebSocketProtocol):
            handlers = protocol
        else:
            check_factory(protocol)
            handlers = protocol()
        check_protocol(handlers)
        lifecycle = ClientLifecycle(url, checked, self.gate, self._pipeline)
        Connection(self.loop, self.connections, checked, lifecycle, handlers).start()
        return handlers

    def _client_options(self, given: dict[str, Any]) -> ClientOptions:
        """Return options that are shared by connections that were opened alike in a row."""
        before, options = self._latest_options
        if options is None or given != before:
            options = ClientOptions.of(given, "Reactor.connect()")
            self._latest_options = given, options
        return options

    if not TYPE_CHECKING:  # see signatures.py

        @shows(ServerOptions)
        def listen(
            self,
            host: str | None = None,
            port: int = 0,
            protocol: Callable[[], P] = WebSocketProtocol,
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
                unix_path: a path to listen on instead, or "\\0" and a name that is in no file
                    system (Linux). A dead socket at the path is replaced.
                options: see ServerOptions.

            Returns:
                The listener.

            Raises:
                OSError: the address cannot be used.
                ValueError, TypeError, RuntimeError: as for :meth:`connect`.
            """
            return self._listen(host, port, protocol, sock, unix_path, options)

    def _listen(
        self,
        host: str | None,
        port: int,
        protocol: Callable[[], P],
        sock: socket.socket | None,
        unix_path: str | os.PathLike[str] | None,
        options: dict[str, Any],
    ) -> Listener[P]:
        self._registry.check_usable()
        check_factory(protocol)
        check_number("port", port, "an int from 0 to 65535")
        checked = ServerOptions.of(options, "Reactor.listen()")
        bound, unlink = open_to_listen(
            host,
            port,
            sock,
            unix_path,
            backlog=checked.backlog,
            reuse_port=checked.reuse_port,
            unix_mode=checked.unix_mode,
        )
        listener = Listener(
            self.loop, self.connections, self.listeners, bound, protocol, checked, unlink
        )
        listener.start()
        return listener

    # -- running -----------------------------------------------------------------------------

    def run_forever(self) -> None:
        """Run turns until :meth:`stop`, KeyboardInterrupt or SystemExit.

        May be called again afterwards: everything registered is still there.

        Raises:
            RuntimeError: the loop is running already, or closed.
        """
        self.loop.run_forever()

    def run_once(self, timeout: float | None = None) -> None:
        """Run one turn.

        Args:
            timeout: seconds to wait for something to happen; None: no limit; 0 or less: do not
                wait.
        """
        self.loop.run_once(timeout)

    def stop(self) -> None:
        """End :meth:`run_forever` after the running turn. Any thread, any callback.

        Called while the loop does not run, it ends the next run before its first turn.
        """
        self.loop.stop()

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
        timer = RepeatingTimer(self.loop, interval, callback, args)
        timer.start()
        return timer

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
                self.loop.report(error, function)

        run_in_thread(self.loop, function, args, calls_user_code(finish))

    def shutdown(self, timeout: float = 5.0) -> None:
        """Close every connection with 1001 (going away), and wait for the ends.

        The end of a connection is that of its stream: a peer that has answered the close frame, but
        not closed TCP, is waited for as well.

        Args:
            timeout: seconds after which those that are left are aborted; so does Ctrl-C.

        Raises:
            RuntimeError: called from within a callback.
        """
        self._shut_down(Deadline(self.loop.clock, timeout))

    def _shut_down(self, deadline: Deadline) -> None:
        self.loop._check_idle()
        self.loop._run(self._registry.shut_down, deadline)

    def close(self) -> None:
        """End what lives on the loop, and release everything. Idempotent; not while it runs."""
        self.loop.close()

    # -- calls, timers, descriptors, signals -------------------------------------------------

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` in the next batch of calls, in the order of asking."""
        self.loop.call_soon(callback, *args)

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> None:
        """The same from any thread, or from a signal handler; wakes the loop.

        Raises:
            RuntimeError: the loop is closed.
        """
        self.loop.call_soon_threadsafe(callback, *args)

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call ``callback(*args)`` after *delay* seconds; never earlier.

        Returns:
            The timer, which has ``cancel()``.
        """
        return self.loop.call_later(delay, callback, *args)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call ``callback(*args)`` when :attr:`time` says *when*; never earlier.

        Returns:
            The timer, which has ``cancel()``.
        """
        return self.loop.call_at(when, callback, *args)

    def add_reader(self, fd: int, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` whenever *fd* is readable; replaces an earlier reader.

        Raises:
            OSError: the kernel cannot watch *fd* (a regular file, a closed one).
        """
        self.loop.add_reader(fd, callback, *args)

    def add_writer(self, fd: int, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` whenever *fd* is writable: see :meth:`add_reader`."""
        self.loop.add_writer(fd, callback, *args)

    def remove_reader(self, fd: int) -> bool:
        """Stop watching *fd* for reading. A descriptor must be removed before it is closed.

        Returns:
            Whether it was watched.
        """
        return self.loop.remove_reader(fd)

    def remove_writer(self, fd: int) -> bool:
        """Stop watching *fd* for writing: see :meth:`remove_reader`."""
        return self.loop.remove_writer(fd)

    def signal(self, signum: int, callback: Callable[..., object] | None, *args: Any) -> None:
        """Call ``callback(*args)`` on the loop when the process gets a signal.

        Args:
            signum: the signal's number.
            callback: what to call; None restores the handler that was there before.
            args: what to call it with.

        Raises:
            ValueError: not the main thread: Python handles signals there.
        """
        self.loop.signal(signum, callback, *args)

    # -- for a host, and to look at ----------------------------------------------------------

    def fileno(self) -> int:
        """Return the descriptor that is readable when a turn would find events.

        For another event loop that runs this one: it watches this descriptor, waits no longer than
        :meth:`next_timeout` says, then calls ``run_once(0)``. It sets ``loop.on_wanted`` to be told
        when a turn is wanted earlier.

        Raises:
            ValueError: the selector has none (those of poll() and select()).
        """
        return self.loop.fileno()

    def next_timeout(self) -> float | None:
        """Return the seconds until the loop has something to do by itself; None: until an event."""
        return self.loop.next_timeout()

    @property
    def now(self) -> float:
        """The time of this turn: read after the poll, cached until the next one."""
        return self.loop.now

    def stats(self, *, hosts: bool = False, connections: bool = False) -> ReactorStats:
        """Return a snapshot: cheap enough to be taken every second. Any thread, at any time.

        Args:
            hosts: whether it has sums for each host, in ``hosts``.
            connections: whether it has the numbers of each connection, in ``connections``.

        Returns:
            What the loop and its connections do, and have done. What is asked for by name takes
            longer the more connections there are, about 5 us for each.
        """
        return self._registry.stats(hosts, connections)
