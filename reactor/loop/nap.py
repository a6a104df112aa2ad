"""Naps: under load, the loop may wait a moment before it polls, to find more in one turn.

What it is: :class:`Nap`, which `Reactor(pacing=...)` turns on.

What it must not know: what the loop's callbacks do.

How it works. Each turn costs system calls, however many messages it finds. While messages come
faster than turns end, a sleep of some 100 us before the poll lets them collect: fewer turns, and
often several messages for one read. A message then waits up to that long, so this is off by
default. Only a loop that was busy in its last turn naps, never beyond its next timer, and never
while calls are queued. `run_once` does not nap: its caller has said how long it may wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .event_loop import EventLoop

__all__ = ["Nap"]

#: A turn was busy if its work took at least this part of a nap.
BUSY = 1 / 20


class Nap:
    """Sleeps before the poll, when the last turn was busy.

    Args:
        loop: the event loop.
        length: seconds of a nap.
        sleep: sleeps for so many seconds.
    """

    __slots__ = ("_busy", "_loop", "_sleep", "length")

    def __init__(
        self, loop: EventLoop, length: float, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self.length = length
        self._loop = loop
        self._busy = length * BUSY
        self._sleep = sleep

    def take(self) -> None:
        """Sleep, if it serves. Called between two turns, on the loop's thread."""
        loop = self._loop
        # loop.now was read when the last turn's poll was over: since then, it has worked.
        if loop.time() - loop.now < self._busy:
            return
        due = loop.next_timeout()
        if due != 0:
            self._sleep(self.length if due is None else min(self.length, due))
