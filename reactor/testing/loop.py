"""A Reactor whose time moves only when the test moves it.

What it is: a subclass of Reactor on a ManualClock, and :func:`run_until`.

What it must not know: connections.

How it works. ``advance`` does not wait: it sets the clock to each timer that is due on the way, in
order, and runs turns until nothing is left to do at that moment. A call on a helper thread takes
real time: it is waited for while the clock stands still. Other input from outside of the loop's
thread (from a peer over loopback, or a thread of the test) is not known beforehand. ``run_until``
waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..base.arguments import named, shows
from ..reactor import Reactor
from ..timers import Deadline, ManualClock, MonotonicClock
from .inside import calls_in_flight, has_events, report_to, take_stop

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack  # type checkers know them

    from ..signatures import ReactorArguments

__all__ = ["PATIENCE", "ManualReactor", "run_until"]

#: Real seconds after which a wait for something outside of the loop has failed.
PATIENCE = 10.0

#: Turns without time going on after which something is taken to go round in circles.
MOST_TURNS = 10_000

#: Real seconds of one wait: the condition may come true on another thread, which wakes nobody.
GLANCE = 0.02


class ManualReactor(Reactor):
    """A Reactor for tests: it never waits, and time moves by :meth:`advance`.

    What a callback of the loop raises (``call_later``, ``call_soon``) is raised by the method that
    has run it, rather than logged. Handlers of protocol objects keep their ``on_error``.

    Args:
        start: the time that the clock shows at first, in seconds (default 1000.0).
        options: what :class:`Reactor` takes, but ``clock``.

    Attributes:
        clock: the ManualClock.
    """

    @shows(named(Reactor, "clock"))
    def __init__(self, *, start: float = 1000.0, **options: Unpack[ReactorArguments]) -> None:
        self.clock = ManualClock(start)
        self._faults: list[BaseException] = []
        super().__init__(clock=self.clock, **options)  # type: ignore[misc]  # without a clock
        report_to(self, lambda exc, _source: self._faults.append(exc))

    if TYPE_CHECKING:

        def __enter__(self) -> Self: ...

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass: timers run in order, each at its own time, with all that follows.

        Args:
            seconds: 0 or more.

        Raises:
            ValueError: *seconds* is negative or NaN.
            RuntimeError: Callbacks go on asking for others without time going on.
            AssertionError: A call on a helper thread has not ended within 10 real seconds.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"seconds must be 0 or more, and finite, not {seconds!r}")
        end = self.clock.now() + seconds
        self.settle()
        while True:
            wait = self.next_timeout()
            left = end - self.clock.now()
            if wait is None or wait > left:
                break
            self.clock.advance(wait)
            self.settle()
        self.clock.advance(max(0.0, left))
        self.settle()

    def settle(self) -> None:
        """Run turns until nothing is left to do before time goes on.

        Calls on helper threads (``run_in_thread``, ``in_thread``, names that are looked up) are
        waited for, in real time, while the clock stands still.

        Raises:
            RuntimeError: There is still something to do after 10,000 turns.
            AssertionError: A call on a helper thread has not ended within 10 real seconds.
        """
        deadline = time.monotonic() + PATIENCE
        for _ in range(MOST_TURNS):
            self.run_once()
            if self.next_timeout() == 0.0 or has_events(self):
                continue
            if not calls_in_flight(self):
                return
            if not has_events(self, max(0.0, deadline - time.monotonic())):
                raise AssertionError(f"a call on a helper thread has not ended within {PATIENCE} s")
        raise RuntimeError(f"something is still left to do after {MOST_TURNS} turns")

    def run_until(self, condition: Callable[[], object], timeout: float = PATIENCE) -> None:
        """Run turns until *condition* is true, while the clock stands still.

        It is for input from outside of the loop's thread: a peer over loopback, another thread.

        Args:
            condition: called without arguments after every turn.
            timeout: real seconds.

        Raises:
            AssertionError: It did not come true in time.
        """
        run_until(self, condition, timeout)

    def run_once(self, timeout: float | None = 0.0) -> None:
        """Run one turn, without waiting.

        Args:
            timeout: not used; here because every Reactor has it.
        """
        super().run_once(0.0)
        self._raise_fault()

    def run_forever(self) -> None:
        """Run turns until :meth:`stop`, while the clock stands still.

        Raises:
            AssertionError: ``stop()`` was not called within 10 real seconds. Perhaps a timer
                should have called it: timers run only in :meth:`advance`.
        """
        run_until(self, lambda: take_stop(self))

    def shutdown(self, timeout: float = 5.0) -> None:
        """Close every connection, as any Reactor does.

        Args:
            timeout: real seconds, because the clock stands still.
        """
        self._shut_down(Deadline(MonotonicClock(), timeout))
        self._raise_fault()

    def _raise_fault(self) -> None:
        if self._faults:
            fault, *_ = self._faults
            self._faults.clear()
            raise fault


def run_until(loop: Reactor, condition: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Run turns of any Reactor until *condition* is true.

    Args:
        loop: the Reactor; must not be running.
        condition: called without arguments after every turn.
        timeout: real seconds.

    Raises:
        AssertionError: It did not come true in time.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        left = deadline - time.monotonic()
        if left <= 0:
            raise AssertionError(f"{condition!r} did not come true within {timeout} s")
        # Not the method of a ManualReactor, which does not wait.
        Reactor.run_once(loop, min(left, GLANCE))
        if isinstance(loop, ManualReactor):
            loop._raise_fault()
