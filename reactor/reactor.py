"""The Reactor that people use: an event loop, and WebSockets on it.

What it is: ``connect`` and ``listen``, and what users need of the event loop that the reactor has.

What it must not know: how any of this is done.

How it works. A Reactor has an EventLoop (``loop``), a Registry of what lives on it, and an Opener,
which opens connections and listeners. These get the EventLoop. The methods that users of the
``rel`` package call (``read``, ``timeout``, ``dispatch``, ...) are those of another object
(hosting/verbs.py), which is made when one of them is first used. So a Reactor can be given as
``dispatcher=`` to websocket-client's WebSocketApp, and does not show these names otherwise.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .base.arguments import parameters, shows
from .base.marks import calls_user_code
from .base.mistakes import check_delay
from .client.gate import Gate
from .client.options import ClientOptions
from .hosting.verbs import VERBS, Verbs
from .loop.answers import Answer
from .loop.background import run_in_thread
from .loop.event_loop import EventLoop
from .loop.poller import Selector
from .loop.repeating import RepeatingTimer
from .opening import Opener
from .protocols.websocket import WebSocketProtocol
from .registry import ReactorStats, Registry
from .server.listener import Listener
from .server.options import ServerOptions
from .signatures import Opens
from .timers import Clock, Deadline, MonotonicClock, Pace, Timer

__all__ = ["Reactor", "ReactorStats"]

P = TypeVar("P", bound=WebSocketProtocol)
T = TypeVar("T")

#: Methods that handlers call often. See Reactor.__init__.
OFTEN_CALLED = ("call_at", "call_later", "call_soon", "call_soon_threadsafe")

#: Seconds for the closing handshakes when an exception leaves a ``with`` block of a Reactor.
FAREWELL = 1.0


class Reactor(Opens):
    """One thread, one selector, one timer wheel, any number of WebSockets.

    A Reactor is a context manager; at the end of the ``with`` block, everything is closed. If an
    exception ends the block, Ctrl-C for example, open connections are first closed with 1001 (going
    away), and the peers have a second to answer.

    If a server refuses an upgrade with Retry-After, all attempts at that host and port wait, for as
    long as the Backoff of the refused connection allows.

    All methods are for the thread that runs the loop, except ``stop``, ``run_in_thread`` and
    ``call_soon_threadsafe``, which may be called from any thread.

    Args:
        max_connecting: how many attempts to connect may be in flight, from DNS to the upgrade
            (256). Further ones wait, and those of new connections come before those after a loss.
            So a program can ask for 5,000 connections at once. None: any number.
        connect_pace: a Pace for each host and port of a URL (that of the user, not of a redirect
            or a proxy): ``Pace(5, per=1.0)`` allows at most 5 attempts in any second. None: no
            limit. A connection may have a pace of its own, see ClientOptions.
        selector: an object with the interface of ``selectors.BaseSelector``; default: the best
            one of selectors2 on this platform.
        clock: the source of time, which must be monotonic; default: the system's monotonic clock.
        random: the source of randomness: returns a uniform random number from 0 up to, not
            including, 1; default: ``random.random``.
        debug: check that methods are called on the loop's thread; default: whether the
            environment variable REACTOR_DEBUG is set and not empty.
        slow_callback: seconds that a callback or a handler may take; a slower one is logged with
            its name and duration. None: 0.1 in debug mode, else no limit.
        pacing: seconds that a busy loop sleeps before each poll, for example 0.0001 to 0.0002. It
            then finds more messages in a turn: many small messages take less CPU, at the price of
            that much latency. A loop that is not busy does not sleep. None or 0 (default): never.
        backend: "io_uring": many connections that are ready receive in one system call of Linux,
            and send in another, where the system allows it; else the log says why not, and all is
            as without. None (default): each makes its own system calls, unless the environment
            variable REACTOR_BACKEND is "io_uring".

    Attributes:
        loop: the event loop. A host uses its ``on_wanted``; see EventLoop.
        connections: all connections that are not over, in both roles.
        listeners: all listeners that accept connections.
        time: a function that reads the loop's clock and returns the time in seconds.
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
        pacing: float | None = None,
        backend: str | None = None,
    ) -> None:
        if pacing is not None:
            check_delay("pacing", pacing)
        self.loop = EventLoop(
            selector=selector,
            clock=clock,
            random=random,
            debug=debug,
            slow_callback=slow_callback,
            pacing=pacing,
            backend=backend,
        )
        self.time = self.loop.time
        self.loop.owner = self
        try:
            gate = Gate(self.loop, max_connecting, connect_pace)
        except (TypeError, ValueError):
            self.loop.close()
            raise
        self._registry = Registry(self.loop)
        self._opener = Opener(self._registry, gate)
        self.loop.residents.append(self._registry)
        self.connections = self._registry.connections
        self.listeners = self._registry.listeners
        for name in OFTEN_CALLED:
            # To pass *args on takes 0.25 us: so these are the loop's own methods, unless a
            # subclass has others.
            if getattr(type(self), name) is getattr(Reactor, name):
                setattr(self, name, getattr(self.loop, name))
        self._verbs: Verbs | None = None  # made when somebody asks for one of them

    def __enter__(self) -> Reactor:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is not None and not self.loop._closed:
                # The deadline is in real time: the loop's clock may be one that stands still.
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

        @shows(parameters(ClientOptions))
        def connect(
            self, url: str | Callable[[], str], protocol: Callable[[], P] | P, **options: Any
        ) -> P:
            """Open a WebSocket connection. It returns at once; the handlers are called later.

            Args:
                url: ws:// or wss://, or a function that returns one and is called before every
                    attempt.
                protocol: a subclass of WebSocketProtocol, a function without parameters that
                    returns an object of such a class, or such an object.
                **options: see ClientOptions.

            Returns:
                The protocol object.

            Raises:
                ValueError: The URL or the value of an option cannot be used.
                TypeError: There is no such option, or an argument is of a wrong type.
                RuntimeError: The reactor is closed, or another thread runs it: see
                    ``call_soon_threadsafe``.
            """
            return self._opener.connect(url, protocol, options)

    if not TYPE_CHECKING:  # see signatures.py

        @shows(parameters(ServerOptions))
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
            r"""Accept WebSocket connections.

            Args:
                host: address or name of the interface; None: all interfaces, IPv4 and, where
                    possible, IPv6.
                port: the port; 0: the system chooses one, see ``Listener.port``.
                protocol: a subclass of WebSocketProtocol, or a function that returns an object of
                    such a class; called for every connection.
                sock: a bound stream socket to use instead.
                unix_path: the path of a unix socket to listen on instead, which is replaced if
                    nobody listens on it; or "\0" and a name outside of the file system (Linux).
                **options: see ServerOptions.

            Returns:
                The listener.

            Raises:
                OSError: The address cannot be used.
                ValueError: An argument cannot be used.
                TypeError: There is no such option, or an argument is of a wrong type.
                RuntimeError: As for :meth:`connect`.
            """
            return self._opener.listen(host, port, protocol, sock, unix_path, options)

    # -- running -----------------------------------------------------------------------------

    def run_forever(self) -> None:
        """Run turns until :meth:`stop`, KeyboardInterrupt or SystemExit.

        It may be called again afterwards: connections, timers and all else are still there.

        Raises:
            RuntimeError: The loop is running already, or closed.
        """
        self.loop.run_forever()

    def run_once(self, timeout: float | None = None) -> None:
        """Run one turn.

        Args:
            timeout: seconds to wait for an event; None: no limit; 0 or less: do not wait.
        """
        self.loop.run_once(timeout)

    def stop(self) -> None:
        """End :meth:`run_forever` after the running turn. Any thread.

        If the loop is not running, the next run ends before its first turn.
        """
        self.loop.stop()

    def call_every(self, interval: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call ``callback(*args)`` every *interval* seconds, the first time after one interval.

        The calls keep their rhythm; calls that a slow loop has missed are skipped. An exception is
        logged, and the calls go on. The loop's thread only.

        Args:
            interval: seconds; more than 0.
            callback: the function.
            *args: its arguments.

        Returns:
            The timer; its ``cancel()`` ends the calls, also from within one.

        Raises:
            ValueError: The interval is 0 or less, or infinite.
            TypeError: The interval is not a number.
        """
        timer = RepeatingTimer(self.loop, interval, callback, args)
        timer.start()
        return timer

    def run_in_thread(
        self,
        function: Callable[..., T],
        *args: Any,
        then: Callable[[T | None, Exception | None], object] | None = None,
    ) -> Answer[T]:
        """Call ``function(*args)``, which may block, on a helper thread. Any thread.

        It returns at once. At most 32 such calls of the process run at a time; further ones wait.

        Args:
            function: the function.
            *args: its arguments.
            then: called on the loop's thread with two arguments: the result and None, or None and
                the exception that the function raised. None: an exception is logged, unless the
                answer is awaited.

        Returns:
            The answer, for a coroutine on this loop, such as the ``login`` of a Feed:
            ``token = await loop.run_in_thread(fetch_token)``.

        Raises:
            TypeError: *function* cannot be called, or is an ``async def``.
            RuntimeError: The reactor is closed.
        """

        def finish(result: T | None, error: Exception | None) -> None:
            assert then is not None
            then(result, error)

        told = None if then is None else calls_user_code(finish)
        return run_in_thread(
            self.loop, function, args, told, lambda error: self.loop.report(error, function)
        )

    def shutdown(self, timeout: float = 5.0) -> None:
        """Close every connection with 1001 (going away), and wait until they have ended.

        It also waits for peers that have answered the close frame but have not closed TCP.

        Args:
            timeout: seconds after which the remaining connections are aborted (5). Ctrl-C aborts
                them at once.

        Raises:
            RuntimeError: It was called from within a callback.
        """
        self._shut_down(Deadline(self.loop.clock, timeout))

    def _shut_down(self, deadline: Deadline) -> None:
        self.loop._check_idle()
        self.loop._run(self._registry.shut_down, deadline)

    def close(self) -> None:
        """End everything that lives on the loop, and release it. Idempotent.

        Raises:
            RuntimeError: The loop is running.
        """
        self.loop.close()

    # -- calls, timers, descriptors, signals -------------------------------------------------

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` in the next batch of calls. The order is kept."""
        self.loop.call_soon(callback, *args)

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> None:
        """As :meth:`call_soon`, from any thread or from a signal handler; it wakes the loop.

        Raises:
            RuntimeError: The loop is closed.
        """
        self.loop.call_soon_threadsafe(callback, *args)

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call ``callback(*args)`` after *delay* seconds; never earlier.

        Returns:
            The timer, which has ``cancel()``.
        """
        return self.loop.call_later(delay, callback, *args)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call ``callback(*args)`` when ``time()`` has reached *when*; never earlier.

        Returns:
            The timer, which has ``cancel()``.
        """
        return self.loop.call_at(when, callback, *args)

    def add_reader(self, fd: int, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` whenever *fd* is readable. It replaces an earlier reader.

        Raises:
            OSError: The kernel cannot watch *fd*: it is a regular file, or closed.
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
            callback: the function; None: restore the handler that was there before.
            *args: its arguments.

        Raises:
            ValueError: This is not the main thread, where Python handles signals.
        """
        self.loop.signal(signum, callback, *args)

    # -- for hosts, and for monitoring -------------------------------------------------------

    def fileno(self) -> int:
        """Return the descriptor that is readable when a turn would find events.

        It is for another event loop that runs this one. Such a host watches the descriptor, waits
        no longer than :meth:`next_timeout` says, and then calls ``run_once(0)``. It sets
        ``loop.on_wanted`` to be told when a turn is wanted earlier.

        Raises:
            ValueError: The selector has no descriptor (those of poll() and select()).
        """
        return self.loop.fileno()

    def next_timeout(self) -> float | None:
        """Return the seconds until the next timer is due; 0: at once; None: there is no timer."""
        return self.loop.next_timeout()

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
