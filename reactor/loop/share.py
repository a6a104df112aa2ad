"""A share of each turn: the expensive steps of many connections, a bounded amount at a time.

What it is: a queue of steps that compute for a long time, such as those of a TLS handshake, which
costs a hundred times as much as a message. Hundreds of them can become ready at once.

What it must not know: what the steps do; the event loop, except for its turns.

How it works. A step runs at once if this turn's share is not used up. Otherwise it waits in line,
and the line moves on in the next turn's calls. The share is measured as CPU time of the thread. The
first step of a handshake waits behind the later steps of others: their peers have timeouts, too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["TurnShare"]

#: Seconds of a turn that are for expensive steps. The last step may overrun it.
SHARE = 0.01

CPU_TIME: Callable[[], float] = getattr(time, "thread_time", time.perf_counter)


class Loop(Protocol):
    """What a TurnShare needs of the event loop."""

    @property
    def turns(self) -> int:
        """The number of the current turn."""

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Call in the next batch of calls."""


class TurnShare:
    """Runs expensive steps in the order of the requests. See the module.

    Args:
        clock: returns the CPU time of this thread, in seconds.
    """

    __slots__ = ("_beginning", "_clock", "_going_on", "_spent", "_spent_in")

    def __init__(self, clock: Callable[[], float] = CPU_TIME) -> None:
        self._clock = clock
        self._spent = 0.0
        self._spent_in = -1  # the turn in which _spent was used
        # The steps that wait; the one that runs stays in front until it is done.
        self._going_on: deque[Callable[[], object]] = deque()
        self._beginning: deque[Callable[[], object]] = deque()

    def run(self, loop: Loop, step: Callable[[], object], begins: bool = False) -> None:
        """Call *step*, now or in one of the next turns.

        Args:
            loop: the event loop; always the same one.
            step: what to call.
            begins: whether it is the first step of many; then it waits behind later steps.
        """
        idle = not (self._going_on or self._beginning)
        if idle and self._has_time(loop):
            self._call(step)
            return
        (self._beginning if begins else self._going_on).append(step)
        if idle:
            loop.call_soon(self._go_on, loop)

    def _go_on(self, loop: Loop) -> None:
        try:
            while (line := self._going_on or self._beginning) and self._has_time(loop):
                try:
                    self._call(line[0])
                finally:
                    line.popleft()
        finally:
            if self._going_on or self._beginning:
                loop.call_soon(self._go_on, loop)

    def _has_time(self, loop: Loop) -> bool:
        if loop.turns != self._spent_in:
            self._spent, self._spent_in = 0.0, loop.turns
        return self._spent < SHARE

    def _call(self, step: Callable[[], object]) -> None:
        before = self._clock()
        try:
            step()
        finally:
            self._spent += self._clock() - before
