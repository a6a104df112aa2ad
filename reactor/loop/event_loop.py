"""The event loop: descriptors, timers, calls, and the turn that serves them.

What it is: one thread, one poller, one timer wheel. It knows callbacks, nothing else.

What it must not know: transports, WebSocket, what a callback does.

This module has what is asked of a loop. turn.py has one turn of it, and lifetime.py how it is run.

An exception of a callback is logged, and affects nothing else. KeyboardInterrupt and SystemExit
leave the loop, which can be run again.

Threads: ``call_soon_threadsafe`` and ``stop`` may be called from any thread, and from signal
handlers; everything else belongs to the thread that runs the loop (in debug mode this is
checked). These two reach the loop through a deque and one byte on a socket pair (wakeup.py).

Hosts: another event loop can run the turns of this one. It watches ``fileno()``, comes back
after ``next_timeout()`` seconds at the latest, and then calls ``run_once(0)``. Work that is
requested between two turns may be due earlier than the host was told, so the host sets
``on_wanted``: :meth:`EventLoop._want` is the one place that calls it. A turn does not look at it.

What lives on the loop (``residents``) is told when the loop or its process ends: lifetime.py.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from ..base.histogram import Histogram
from ..base.marks import calls_user_code
from ..base.mistakes import not_seconds
from ..timers import Clock, MonotonicClock, Timer, TimerWheel, to_ticks_early, to_ticks_late
from .answers import HostTasks
from .backend import give_ring, wants_ring
from .interrupts import Interrupts
from .lifetime import Lifetime, take_note
from .nap import Nap
from .poller import Selector, make_poller
from .residents import Abortable, Flushable, Resident
from .share import TurnShare
from .slow import SLOW_CALLBACK, SlowCallbacks
from .stats import LoopStats
from .turn import MAX_SLEEP, turn
from .wakeup import Wakeup

__all__ = ["EventLoop"]

logger = logging.getLogger("reactor.loop")


class EventLoop(Lifetime):
    """One thread's event loop.

    Args:
        selector: an object with the interface of ``selectors.BaseSelector``; default: the
            best that selectors2 finds on this platform.
        clock: the source of time; default: the monotonic clock. It never goes back.
        random: the source of randomness: returns a uniform random number from 0 up to, not
            including, 1; default: ``random.random``.
        debug: check that methods are called on the loop's thread; default: whether the
            environment variable REACTOR_DEBUG is set and not empty.
        slow_callback: seconds that a callback or a handler may take; one that takes longer is named
            in the log, with its duration. None: 0.1 in debug mode, otherwise no limit.
        pacing: seconds that the loop sleeps before it polls, if its last turn was busy: see nap.py.
            None or 0: it does not.
        backend: "io_uring", or None: see backend.py.

    Attributes:
        owner: the object that owns this loop, a Reactor, for the objects that live on the loop; or
            None. The loop itself does not use it.
        on_wanted: for a host (see the module): called without arguments when the loop wants a
            turn earlier than ``next_timeout()`` said, because of something that was requested
            between two turns. None, the default: there is no host. May be called from any thread,
            and more than once before the next turn; it must not run the loop itself.
    """

    # What every message uses; the rest is in the dict.
    __slots__ = (
        "_before_turn",
        "_busy_for",
        "_calls",
        "_due",
        "_interrupted",
        "_longest",
        "_mark",
        "_stopping",
        "_turns",
        "dirty",
        "now",
        "poller",
        "running",
        "thread_id",
        "time",
        "wheel",
    )

    #: Where the frames of the loop's connections are shown: set by reactor.trace().
    _trace: Any = None

    #: The tasks of the host, for coroutines of the user's. None: it has none, or there is no host.
    host_tasks: HostTasks | None = None

    #: Who listens to the loop's connections: see connection/wiretap.py. Replaced, never changed.
    wiretaps: tuple[Any, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in EventLoop.__slots__:
            if name in vars(cls) and not name.startswith("__"):
                raise TypeError(f"{cls.__name__}.{name} would hide an attribute of the event loop")

    def __init__(
        self,
        *,
        selector: Selector | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] = random.random,
        debug: bool | None = None,
        slow_callback: float | None = None,
        pacing: float | None = None,
        backend: str | None = None,
    ) -> None:
        ring = wants_ring(backend)
        self.debug = bool(os.environ.get("REACTOR_DEBUG")) if debug is None else debug
        #: The source of time.
        self.clock: Clock = MonotonicClock() if clock is None else clock
        #: Returns an even random number from 0 up to, not including, 1.
        self.random = random
        #: Returns the time of the loop's clock, in seconds, read now.
        self.time: Callable[[], float] = self.clock.now
        #: The time of this turn: read after the poll, cached until the next one.
        self.now: float = self.time()
        self.wheel = TimerWheel(to_ticks_early(self.now))
        self.poller = make_poller(selector)
        #: Why io_uring is not used although it was asked for; or "".
        self.no_ring = give_ring(self.poller) if ring else ""
        #: Transports that have something to write, flushed after the running callback.
        self.dirty: list[Flushable] = []
        #: Transports that are closing, with nothing else to look after them.
        self.lingering: set[Abortable] = set()
        self.owner: Any = None
        #: What is told of the end of the loop and of its process.
        self.residents: list[Resident] = []
        self.on_wanted: Callable[[], object] | None = None
        # Set if there are sockets that may be closed without notice (hosting/verbs.py): called at
        # the beginning of every turn, and with a descriptor that is about to be watched.
        self._before_turn: Callable[[], object] | None = None
        self._before_watching: Callable[[int], object] | None = None
        #: Runs the expensive steps of many connections.
        self.share = TurnShare()
        #: How many answers of helper threads the loop waits for.
        self.awaited = 0
        #: The thread that runs the loop; before the first run, the thread that created it.
        self.thread_id = threading.get_ident()
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        #: Timers that are due and have not run. The queue is empty between turns, unless
        #: KeyboardInterrupt or SystemExit has left the loop.
        self._due: deque[Timer] = deque()
        self._turns = 0
        # What stats() says. The time that a callback takes is that since the one before has ended,
        # so that the clock is read once for each.
        self._since = self.now
        self._mark = self.now  # when the latest callback ended, or the turn began
        self._busy_for = 0.0
        self._longest = 0.0
        self._longest_of = ""
        self._longest_at = 0.0
        self._timer_lag = Histogram()
        #: Whether run_once or run_forever is running.
        self.running = False
        self._stopping = False  # stop() was called, and the loop has not stopped yet
        self._interrupted = False  # Ctrl-C waits for the end of the turn: see interrupts.py
        self._closed = False
        self._forked = False  # this is a child's copy of its parent's loop
        self.wakeup = Wakeup()
        self.poller.add_reader(self.wakeup.reader, self.wakeup.drain)
        self._interrupts = Interrupts(self)  # and other signals
        take_note(self)
        #: Logs slow callbacks; None: off.
        self.slow: SlowCallbacks | None = None
        if slow_callback is None and self.debug:
            slow_callback = SLOW_CALLBACK
        if slow_callback is not None:
            self.slow = SlowCallbacks(self, slow_callback)
        #: Collects messages while the loop is busy; None: off.
        self.nap = Nap(self, pacing) if pacing else None

    # -- descriptors ---------------------------------------------------------------------

    def add_reader(self, fd: int, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` whenever *fd* is readable; replaces an earlier reader.

        Raises:
            OSError: the kernel cannot watch *fd* (a regular file, a closed one).
        """
        self._check_thread()
        if self._before_watching is not None:
            self._before_watching(fd)
        self.poller.add_reader(fd, partial(callback, *args) if args else callback)

    def add_writer(self, fd: int, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` whenever *fd* is writable; replaces an earlier writer.

        Raises:
            OSError: the kernel cannot watch *fd* (a regular file, a closed one).
        """
        self._check_thread()
        if self._before_watching is not None:
            self._before_watching(fd)
        self.poller.add_writer(fd, partial(callback, *args) if args else callback)

    def remove_reader(self, fd: int) -> bool:
        """Stop watching *fd* for reading; return whether it was watched.

        A descriptor must be removed before it is closed.
        """
        self._check_thread()
        return self.poller.remove_reader(fd)

    def remove_writer(self, fd: int) -> bool:
        """Stop watching *fd* for writing; return whether it was watched."""
        self._check_thread()
        return self.poller.remove_writer(fd)

    # -- time ----------------------------------------------------------------------------

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call ``callback(*args)`` after *delay* seconds; never earlier.

        Returns:
            The timer, which has ``cancel()``.
        """
        if self.debug:
            self._check_thread()
        try:
            due = to_ticks_late(self.time() + delay)
        except TypeError:
            raise not_seconds("delay", delay) from None
        timer = self.wheel.schedule(due, callback, *args)
        if self.on_wanted is not None:
            self._want_by(timer)
        return timer

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call ``callback(*args)`` when the loop's clock shows *when*; never earlier.

        Returns:
            The timer, which has ``cancel()``.
        """
        if self.debug:
            self._check_thread()
        try:
            due = to_ticks_late(when)
        except TypeError:
            raise not_seconds("when", when) from None
        timer = self.wheel.schedule(due, callback, *args)
        if self.on_wanted is not None:
            self._want_by(timer)
        return timer

    # -- calls ---------------------------------------------------------------------------

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` in the next batch of calls. Calls keep their order."""
        if self.debug:
            self._check_thread()
        self._calls.append((callback, args))
        if self.on_wanted is not None:
            self._want()

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> None:
        """The same from any thread, or from a signal handler; wakes the loop.

        Raises:
            RuntimeError: the loop is closed.
        """
        if self._closed:
            self._refuse()
        self._calls.append((callback, args))
        # On the loop's own thread too: a signal handler or a finalizer can run there when the
        # turn has already decided how long to sleep.
        self._wake_up()

    def _wake_up(self) -> None:
        """End the current wait, or the next one. Any thread."""
        self.wakeup.send()
        self._want()

    @calls_user_code
    def _want(self) -> None:
        """Tell the host that there is work it does not know of. Any thread."""
        on_wanted = self.on_wanted
        if on_wanted is not None and not self.running:
            on_wanted()

    def _want_by(self, timer: Timer) -> None:
        """The same, if *timer* is the next one, or if the host has missed the one before."""
        tick = self.wheel.next_expiry()
        if tick is not None and (timer.when <= tick or tick / 1000 <= self.time()):
            self._want()

    # -- one turn ------------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """Return the seconds until the loop has something to do by itself; None: until an event.

        For another loop that hosts this one: see the module. It is not to be overridden: the turn
        itself does not always call it.
        """
        if self._calls or self._due or self.dirty:
            return 0.0
        tick = self.wheel.next_expiry()
        if tick is None:
            return None
        return min(max(0.0, tick / 1000 - self.time()), MAX_SLEEP)

    def fileno(self) -> int:
        """Return the descriptor that is readable when a turn would find events.

        Raises:
            ValueError: the selector has none (those of poll() and select(): the kernel keeps
                nothing for them between two calls).
        """
        return self.poller.fileno()

    _turn = turn

    def flush_soon(self, transport: Flushable) -> None:
        """Have *transport* flushed when the running callback is over; at once if none runs."""
        self.dirty.append(transport)
        if not self.running:
            self._flush()

    # Twin: flush_dirty() in compiled/turn.pyx.
    def _flush(self) -> None:
        dirty = self.dirty
        while dirty:
            transport = dirty.pop()
            try:
                transport.flush()
            except Exception as exc:  # noqa: BLE001 - it must not affect other transports
                self.report(exc, transport)

    def report(self, exc: BaseException, source: object) -> None:
        """Log the exception of a callback, with its traceback."""
        logger.error("exception in callback %r", source, exc_info=exc)

    # -- the rest ------------------------------------------------------------------------

    @property
    def turns(self) -> int:
        """The number of turns so far, including the current one."""
        return self._turns

    def stats(self) -> LoopStats:
        """Return a snapshot of what the loop holds, and how it fares. Any thread."""
        return LoopStats(
            turns=self._turns,
            readers=len(self.poller.readers) - (not self._closed),  # without the loop's wake-up
            writers=len(self.poller.writers),
            timers=len(self.wheel) + sum(timer.active for timer in list(self._due)),
            calls=len(self._calls),
            now=self.time(),
            since=self._since,
            busy=self._busy_for,
            timer_lag=self._timer_lag.snapshot(),
            longest_callback=self._longest,
            longest_callback_of=self._longest_of,
            longest_callback_at=self._longest_at,
        )
