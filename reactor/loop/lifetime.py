"""The lifetime of event loops: runs, close(), the end of the process, and forks.

What it is: the list of the loops that exist; two hooks that Python calls, at the end of the
interpreter and in a forked child; and the outer half of a loop, :class:`Lifetime`: how its runs
begin and end, signals, and how the loop itself ends: by ``close()``, with its process, or as a copy
in a child.

What it must not know: turns, connections.

How it works. Loops are held weakly: the list keeps none of them alive. What lives on a loop (the
connections of a Reactor, say) is told of all this through one interface: residents.py.

*The end.* At that time, threads that are not daemons have ended, and daemon threads still run. If
a daemon thread runs a loop, the data that the program's last lines have handed over to the loop
(``send``, ``close``) would be lost with it. So the hook asks each loop whether anything is still to
be sent, and lets it go on until nothing is. A loop that no thread runs any more is given turns for
what other threads have handed over. All loops together have :data:`LAST_MOMENT`, whatever their
handlers and peers do.

*A fork.* The child has copies of all objects, and shares the kernel's part of them with its
parent: the sockets, and the set of descriptors that epoll watches. Whatever a child did with its
copy of a loop would affect the parent. So each loop is told, before anything else runs in the
child, that it is a copy; it releases what belongs to the copy alone, and refuses to be used.
"""

from __future__ import annotations

import atexit
import os
import threading
from _thread import get_ident
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakValueDictionary

from ..base.marks import calls_user_code
from ..exceptions import WebSocketForkException
from ..timers import Timer, TimerWheel
from .interrupts import Interrupts
from .nap import Nap
from .poller import Poller
from .residents import Abortable, Resident
from .wakeup import Wakeup

__all__ = ["Lifetime", "take_note"]

#: Seconds that all loops together have at the end of the interpreter.
LAST_MOMENT = 1.0

#: Seconds after which a loop that still had something to send is asked again.
PAUSE = 0.01


class Lifetime:
    """How an event loop is run, and how it ends.

    The base class of EventLoop, which defines these attributes.
    """

    awaited: int
    debug: bool
    dirty: list[Any]
    lingering: set[Abortable]
    nap: Nap | None
    now: float
    poller: Poller
    residents: list[Resident]
    running: bool
    thread_id: int
    wakeup: Wakeup
    wheel: TimerWheel
    _before_turn: Callable[[], object] | None
    _calls: deque[tuple[Callable[..., object], tuple[Any, ...]]]
    _closed: bool
    _due: deque[Timer]
    _forked: bool  # this is a child's copy of its parent's loop
    _interrupted: bool
    _interrupts: Interrupts
    _stopping: bool

    if TYPE_CHECKING:  # these, too

        def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> None:
            """See EventLoop."""

        def _turn(self, limit: float | None) -> None:
            """See EventLoop."""

        def _wake_up(self) -> None:
            """See EventLoop."""

    # -- runs ------------------------------------------------------------------------------

    def run_forever(self) -> None:
        """Run turns until :meth:`stop`, KeyboardInterrupt or SystemExit.

        May be called again afterwards: everything that was registered is still there.

        Raises:
            RuntimeError: the loop is already running, or closed.
        """
        self._run(self._run_turns, None)

    def run_until_idle(self) -> None:
        """The same, but also return when there is nothing left to wait for.

        That is: no descriptor is watched, no timer is armed, no call is queued, and no helper
        thread has still to answer.
        """
        self._run(self._run_turns, self._busy)

    def _busy(self) -> bool:
        if self._before_turn is not None:
            self._before_turn()
        return bool(
            self._calls
            or self._due
            or self.poller.writers
            or len(self.poller.readers) > 1  # one is the loop's own
            or self.awaited
            or len(self.wheel)  # next_expiry() may be that of a cancelled timer
        )

    @calls_user_code
    def _run_turns(self, wanted: Callable[[], bool] | None) -> None:
        self._interrupts.borrow_wakeup(self.wakeup.writer)
        try:
            while not self._stopping and (wanted is None or wanted()):
                if self.nap is not None:
                    self.nap.take()
                self._turn(None)
        finally:
            self._stopping = False

    def run_once(self, timeout: float | None = None) -> None:
        """Run one turn.

        Args:
            timeout: the longest wait for something to happen, in seconds. None: no limit; 0 or
                less: do not wait.
        """
        self._run(self._turn, timeout)

    def stop(self) -> None:
        """End :meth:`run_forever` after the current turn. Any thread, any callback.

        If the loop is not running, the next run ends before its first turn.
        """
        self._stopping = True
        self._wake_up()

    @calls_user_code
    def _run(self, work: Callable[..., object], *args: Any) -> None:
        """Call *work*, which runs turns. All runs go through here."""
        if self.running:
            raise RuntimeError("the event loop is running already")
        if self._closed:
            self._refuse()
        self.thread_id = threading.get_ident()
        try:
            self.running = True
            self._interrupts.begin()
            work(*args)
        finally:
            self.running = False
            self._interrupts.end()
        if self._interrupted:
            self._raise_interrupt()  # one that arrived after the last turn had checked

    def _raise_interrupt(self) -> None:
        if self._interrupted:
            self._interrupted = False
            self.check_process()
            raise KeyboardInterrupt

    def _check_idle(self) -> None:
        if self.running:
            raise RuntimeError("the event loop is running")

    def _check_thread(self) -> None:
        if self.debug:
            self.check_process()
            if self.running:
                self._check_owner()

    def _check_owner(self) -> None:
        if threading.get_ident() != self.thread_id:
            raise RuntimeError(
                "called from a thread that does not run the event loop; use call_soon_threadsafe()"
            )

    # -- signals -------------------------------------------------------------------------

    def signal(self, signum: int, callback: Callable[..., object] | None, *args: Any) -> None:
        """Call ``callback(*args)`` on the loop when the process gets a signal.

        Args:
            signum: the signal's number.
            callback: what to call; None restores the handler that was there before.

        Raises:
            ValueError: this is not the main thread, the only one on which Python handles signals.
        """
        self.check_process()
        self._interrupts.watch(signum, None if callback is None else partial(callback, *args))

    # -- close() ---------------------------------------------------------------------------

    def close(self) -> None:
        """End what lives on the loop, and release everything. Idempotent; not while it runs.

        Raises:
            RuntimeError: the loop is running.
        """
        self._check_idle()
        if self._forked:
            self._let_go()
        elif not self._closed:
            self._run(self._close)

    def _close(self) -> None:
        try:
            with ExitStack() as ends:  # each of these runs, whatever another one raises
                ends.callback(self._abort_lingering)
                for resident in self.residents:
                    ends.callback(resident.end)
        finally:
            self._closed = True
            self.poller.remove(self.wakeup.reader)
            self.wakeup.close()
            self.poller.close()
            self._calls.clear()
            self._due.clear()
            self._interrupts.forget_all()

    def _abort_lingering(self) -> None:
        for transport in list(self.lingering):
            transport.abort()

    # -- the end of the process --------------------------------------------------------------

    def unsent(self) -> bool:
        """Whether something is still to be sent, or a requested close is not complete."""
        return any(each.unsent for each in self.lingering) or any(
            each.unsent() for each in self.residents
        )

    def handed_over(self) -> bool:
        """Whether other threads have sent or closed something that is not processed yet."""
        return any(each.handed_over() for each in self.residents)

    # -- a forked child ----------------------------------------------------------------------

    def check_process(self) -> None:
        """Check that this is not a forked child.

        Raises:
            WebSocketForkException: this process was forked from the loop's process.
        """
        if self._forked:
            raise WebSocketForkException

    def _refuse(self) -> NoReturn:
        self.check_process()
        raise RuntimeError("the event loop is closed")

    def forked(self) -> None:
        """This is a copy in a forked child: forget everything; leave the parent's sockets alone.

        Called before anything else runs in the child; even if a handler has forked, in the middle
        of a turn, which then ends with an error.
        """
        if self._closed:
            return
        self._forked = self._closed = True
        self.debug = True  # from now on every call is checked, and refused
        self.running = False
        self._interrupted = True
        self._interrupts.forget_all()
        self._interrupts.end()
        self.wakeup.close()
        self.poller.close()  # closes a descriptor; what the kernel watches stays the same
        self.dirty.clear()
        self._due.clear()
        self.wheel = TimerWheel(self.wheel.now)
        # A turn that is running its calls has counted them.
        for place in range(len(self._calls)):
            self._calls[place] = (_nothing, ())
        for resident in self.residents:
            resident.forked()

    def _let_go(self) -> None:
        """Close the child's copies of the sockets. The connections stay, in the parent."""
        for transport in self.lingering:
            transport.let_go()
        self.lingering.clear()
        for resident in self.residents:
            resident.let_go()


def _nothing() -> None:
    """A queued call is replaced by this in a forked child."""


# By id(): listing the values of a dict is one step, which no other thread can interrupt.
_loops: WeakValueDictionary[int, Lifetime] = WeakValueDictionary()


def take_note(loop: Lifetime) -> None:
    """Remember a new event loop of this process."""
    _loops[id(loop)] = loop


def _living() -> list[Lifetime]:
    return [loop for reference in _loops.valuerefs() if (loop := reference()) is not None]


# -- the end of the interpreter ------------------------------------------------------------------


def _at_exit() -> None:
    until = monotonic() + LAST_MOMENT
    try:
        # First the loops that no thread runs: a thread that hangs would take all of the time.
        for loop in sorted(_living(), key=lambda loop: loop.running):
            if not loop.running:
                _run(loop, until)
            elif loop.thread_id != get_ident():
                _wait_for(loop, until)
    except (KeyboardInterrupt, SystemExit):
        pass  # the user does not want to wait; or one of the last handlers raised it


def _wait_for(loop: Lifetime, until: float) -> None:
    """Wait for a loop that runs on another thread."""
    done = threading.Event()

    def look() -> None:
        if not loop.unsent():
            done.set()

    while loop.running and not done.is_set() and monotonic() < until:
        try:
            loop.call_soon_threadsafe(look)
        except RuntimeError:
            return  # it has just been closed
        done.wait(PAUSE)


def _run(loop: Lifetime, until: float) -> None:
    """Run a loop that no thread runs, if something is still to be sent."""
    wanted = loop.handed_over() or loop.unsent()
    while wanted and monotonic() < until:
        try:
            loop.run_once(PAUSE)
        except RuntimeError:
            return  # it is closed, or a thread runs it after all
        wanted = loop.unsent()


atexit.register(_at_exit)

# -- a forked child ------------------------------------------------------------------------------


def _after_fork() -> None:
    loops = _living()
    _loops.clear()
    for loop in loops:
        loop.forked()
    # A child of multiprocessing ends without calling atexit's functions; but it calls this one.
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        register(_at_exit)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
