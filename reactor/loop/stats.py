"""What an event loop reports about itself.

What it is: :class:`LoopStats`, a snapshot.

What it must not know: how the numbers are counted (counters.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..base.histogram import NOTHING, Distribution

__all__ = ["LoopStats"]


@dataclass(frozen=True)
class LoopStats:
    """A snapshot of the loop. Times and durations are seconds of the loop's clock.

    Two snapshots are equal if the numbers up to ``calls`` are: time always goes on.

    Attributes:
        turns: turns since the loop was made.
        readers, writers: descriptors watched.
        timers: timers armed.
        calls: calls queued.
        now: when this was taken.
        since: when the loop was made.
        busy: seconds in which the loop has called handlers, timers and other callbacks, since it
            was made: the rest was spent waiting, or not running.
        timer_lag: how late timers were, in seconds: behind other callbacks, mostly.
        longest_callback: the longest time that one callback, with all that it has called, has kept
            the loop; 0.0 before the first one.
        longest_callback_of: what that was, in words, safe to show: ``"what came for Trades on
            wss://example.com/"``; "" before the first one.
        longest_callback_at: when it had ended.
    """

    turns: int
    readers: int
    writers: int
    timers: int
    calls: int
    now: float = field(default=0.0, compare=False)
    since: float = field(default=0.0, compare=False)
    busy: float = field(default=0.0, compare=False)
    timer_lag: Distribution = field(default=NOTHING, compare=False)
    longest_callback: float = field(default=0.0, compare=False)
    longest_callback_of: str = field(default="", compare=False)
    longest_callback_at: float = field(default=0.0, compare=False)

    @property
    def busy_share(self) -> float:
        """The share of all time in which the loop was busy, 0.0 to 1.0, since it was made."""
        return _share(self.busy, self.now - self.since)

    def busy_share_since(self, earlier: LoopStats) -> float:
        """Return the share of the time since an earlier snapshot in which the loop was busy.

        Args:
            earlier: of the same loop.

        Returns:
            0.0 to 1.0.
        """
        return _share(self.busy - earlier.busy, self.now - earlier.now)


def _share(part: float, whole: float) -> float:
    return min(max(part / whole, 0.0), 1.0) if whole > 0.0 else 0.0
