"""How often something may be done: at most n times in any window of time.

What it is: :class:`Pace`, the limit, and :class:`PaceWindow`, the actions under it.

What it must not know: what is paced. It reads no clock: the time is passed in.

A token bucket of n tokens lets 2n - 1 actions pass within one window, if it was full at the
beginning. Services count in a sliding window; so the times of the latest n actions are kept, and
the next one must wait until the oldest of them is a whole window old.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from ..base.mistakes import check_number

__all__ = ["Pace", "PaceWindow"]


@dataclass(frozen=True)
class Pace:
    """At most *count* actions in any window of *per* seconds.

    Immutable: one may serve any number of links or hosts; each has its own window.

    Args:
        count: the number of actions; 1 or more.
        per: the length of the window in seconds; more than 0 (default 1.0).

    Raises:
        ValueError: a value is outside its range; the message names it.
        TypeError: a value is not a number.
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
    """The latest actions under a :class:`Pace`. It keeps at most ``pace.count`` times.

    Args:
        pace: the limit.

    Attributes:
        pace: the same.
    """

    __slots__ = ("_times", "pace")

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._times: deque[float] = deque(maxlen=pace.count)

    def wait(self, now: float) -> float:
        """Return how long to wait before the next action.

        Args:
            now: the time in seconds, on any clock that never goes back; all calls use the same
                clock.

        Returns:
            Seconds; 0.0 if the action may be done now.
        """
        times = self._times
        if len(times) < self.pace.count:
            return 0.0
        left = self.pace.per - (now - times[0])
        # At least enough for the clock to show another time afterwards.
        return max(left, math.ulp(now)) if left > 0 else 0.0

    def take(self, now: float) -> None:
        """Note that an action is done now. Call this only if :meth:`wait` has returned 0.

        Args:
            now: as for :meth:`wait`.
        """
        self._times.append(now)

    def idle(self, now: float) -> bool:
        """Return whether the last window had no action, so that there is nothing to remember.

        Args:
            now: as for :meth:`wait`.
        """
        return not self._times or now - self._times[-1] >= self.pace.per
