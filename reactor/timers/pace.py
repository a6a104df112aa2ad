"""How fast something may be done: never more than so often in any window of time.

What it is: :class:`Pace`, the limit, and :class:`PaceWindow`, what has been done under it.

What it must not know: what is paced. It reads no clock: the time is passed in.

A token bucket of n tokens lets 2n - 1 pass within one window, when it was full at its beginning.
What services count is a sliding window; so the times of the latest n are kept, and one more has to
wait until the oldest of them is a whole window old.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from ..base.mistakes import check_number

__all__ = ["Pace", "PaceWindow"]


@dataclass(frozen=True)
class Pace:
    """Never more than *count* in any window of *per* seconds.

    Immutable: one may serve for any number of links or hosts; each has a window of its own.

    Args:
        count: how many; 1 or more.
        per: the length of the window in seconds; more than 0 (default 1.0).

    Raises:
        ValueError: A value is outside its range; the message names it.
        TypeError: It is no number.
    """

    count: int
    per: float = 1.0

    def __post_init__(self) -> None:
        for name in ("count", "per"):
            check_number(name, getattr(self, name), "a number")
        if not isinstance(self.count, int):
            raise TypeError(f"count must be an int, not {self.count!r}")
        if self.count < 1:
            raise ValueError(f"count must be 1 or more, not {self.count!r}")
        if not 0 < self.per < math.inf:
            raise ValueError(f"per must be more than 0 seconds and finite, not {self.per!r}")

    def window(self) -> PaceWindow:
        """Return a window in which nothing has been done yet."""
        return PaceWindow(self)


class PaceWindow:
    """What has been done under a :class:`Pace`. It keeps at most ``pace.count`` times.

    Args:
        pace: the limit.
    """

    __slots__ = ("_times", "pace")

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._times: deque[float] = deque(maxlen=pace.count)

    def wait(self, now: float) -> float:
        """Return how long to wait before the next one.

        Args:
            now: seconds on any clock that never goes back; the same for all calls.

        Returns:
            Seconds; 0.0 when it may be done now.
        """
        times = self._times
        if len(times) < self.pace.count:
            return 0.0
        left = self.pace.per - (now - times[0])
        # At least so much that the clock will show another time then.
        return max(left, math.ulp(now)) if left > 0 else 0.0

    def take(self, now: float) -> None:
        """Note that it is done now. Call it only when :meth:`wait` has said 0.

        Args:
            now: as for :meth:`wait`.
        """
        self._times.append(now)

    def idle(self, now: float) -> bool:
        """Return whether nothing has been done within a window: there is nothing to remember.

        Args:
            now: as for :meth:`wait`.
        """
        return not self._times or now - self._times[-1] >= self.pace.per
