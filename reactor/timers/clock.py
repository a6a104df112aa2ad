"""Clocks, and the conversion between seconds and the ticks of the timer wheel.

A clock shows monotonic seconds as a float. The wheel counts integer ticks of one millisecond,
which is the resolution of epoll. This module must not know what waits for which time.

A deadline is converted with `to_ticks_late` (up), the current time with `to_ticks_early` (down).
Both compare with ``tick / 1000`` instead of trusting a rounded product. That gives two guarantees,
exact to the last bit of the float:

- never early: ``to_ticks_early(now) >= to_ticks_late(deadline)`` implies ``now >= deadline``;
- whole milliseconds stay what they are: both functions turn ``n / 1000`` into ``n``.
"""

from __future__ import annotations

import time
from typing import Protocol

__all__ = [
    "TICKS_PER_SECOND",
    "Clock",
    "ManualClock",
    "MonotonicClock",
    "to_ticks_early",
    "to_ticks_late",
]

TICKS_PER_SECOND = 1000


class Clock(Protocol):
    """The source of the time for everything that needs it."""

    def now(self) -> float:
        """Return the time in seconds, from any origin. It never goes back."""


class MonotonicClock:
    """The monotonic clock of the operating system. May be used on any thread."""

    __slots__ = ()

    # The function itself, not a method that calls it: hot paths call it.
    now = staticmethod(time.monotonic)


class ManualClock:
    """A clock that stands still until it is told to advance: for tests.

    Args:
        start: the time that it shows at first, in seconds (default 0.0).
    """

    __slots__ = ("_now",)

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        """Return the time that the clock shows, in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward.

        Args:
            seconds: by how much; 0 or more.

        Raises:
            ValueError: `seconds` is negative or NaN, since a monotonic clock never goes back.
        """
        if not seconds >= 0:
            raise ValueError(f"seconds must be 0 or more, not {seconds!r}")
        self._now += seconds


def to_ticks_late(seconds: float) -> int:
    """Convert a deadline to a tick.

    Args:
        seconds: a time on a clock; it must be finite.

    Returns:
        The first tick that is not earlier.

    Raises:
        OverflowError: `seconds` is infinite.
        ValueError: `seconds` is NaN.
    """
    tick = round(seconds * TICKS_PER_SECOND)
    return tick if tick / TICKS_PER_SECOND >= seconds else tick + 1


# Twin: to_ticks_early() in compiled/turn.pyx.
def to_ticks_early(seconds: float) -> int:
    """Convert the current time to a tick.

    Args:
        seconds: a time on a clock; it must be finite.

    Returns:
        The last tick that has been reached by then.

    Raises:
        OverflowError: `seconds` is infinite.
        ValueError: `seconds` is NaN.
    """
    tick = round(seconds * TICKS_PER_SECOND)
    return tick if tick / TICKS_PER_SECOND <= seconds else tick - 1
