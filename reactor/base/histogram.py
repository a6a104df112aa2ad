"""Histograms: how durations are distributed, in a fixed number of buckets.

What it is: :class:`Histogram`, which counts durations, and :class:`Distribution`, what it has
counted so far, with mean and quantiles.

What it must not know: what the durations are of.

How it works. The buckets are the same everywhere, so that histograms can be added up: 1, 2 and 5 in
each decade from 0.1 ms to 50 s. A quantile lies within a bucket, and is interpolated; so it is
wrong by half a bucket at most, and never outside of what was measured.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from math import inf
from operator import add
from typing import ClassVar

__all__ = ["BOUNDS", "NOTHING", "Distribution", "Histogram"]

#: The upper bounds of the buckets, in seconds; one more bucket takes what is longer.
BOUNDS = tuple(float(f"{digit}e{decade}") for decade in range(-4, 2) for digit in (1, 2, 5))

_EMPTY = (0,) * (len(BOUNDS) + 1)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Durations that were counted, as of one moment. Immutable.

    Attributes:
        count: how many.
        total: their sum, in seconds.
        least, most: the shortest and the longest, in seconds; 0.0 if there is none.
        buckets: how many are in each bucket: up to the bound of the same index in ``bounds``, and
            above the one before. The last number is of those that are longer than any bound.
        bounds: the upper bounds, in seconds; the same for all.
    """

    count: int = 0
    total: float = 0.0
    least: float = 0.0
    most: float = 0.0
    buckets: tuple[int, ...] = _EMPTY

    bounds: ClassVar[tuple[float, ...]] = BOUNDS

    @property
    def mean(self) -> float | None:
        """The mean, in seconds; None if nothing was counted."""
        return self.total / self.count if self.count else None

    @property
    def p99(self) -> float | None:
        """The duration that 99 of 100 do not exceed, in seconds; None if nothing was counted."""
        return self.quantile(0.99)

    def quantile(self, share: float) -> float | None:
        """Return the duration that a share of all do not exceed, about.

        Args:
            share: 0.0 to 1.0; 0.5 for the median.

        Returns:
            Seconds, interpolated within a bucket; None if nothing was counted.
        """
        wanted = share * self.count
        below = 0
        for index, number in enumerate(self.buckets):
            if number and below + number >= wanted:
                low = BOUNDS[index - 1] if index else 0.0
                high = BOUNDS[index] if index < len(BOUNDS) else self.most
                value = low + (high - low) * (wanted - below) / number
                return min(max(value, self.least), self.most)
            below += number
        return None


#: Nothing was counted.
NOTHING = Distribution()


class Histogram:
    """Counts durations. One thread counts; any thread may take a :meth:`snapshot`."""

    __slots__ = ("_buckets", "_least", "_most", "_total")

    def __init__(self) -> None:
        self._buckets = array("I", _EMPTY)
        self._total = 0.0
        self._least = inf
        self._most = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration; less than 0, from a clock that was set back, counts as 0."""
        if seconds < 0.0:
            seconds = 0.0
        if seconds > self._most:
            self._most = seconds
        if seconds < self._least:
            self._least = seconds
        self._total += seconds
        index = bisect_left(BOUNDS, seconds)
        try:
            self._buckets[index] += 1
        except OverflowError:
            self._widen()
            self._buckets[index] += 1

    def absorb(self, other: Histogram) -> None:
        """Count what another one has counted, too."""
        more = other.snapshot()
        if not more.count:
            return
        self._least = min(self._least, more.least)
        self._most = max(self._most, more.most)
        self._total += more.total
        try:
            self._buckets = array(self._buckets.typecode, map(add, self._buckets, more.buckets))
        except OverflowError:
            self._widen()
            self._buckets = array("Q", map(add, self._buckets, more.buckets))

    def _widen(self) -> None:
        """A bucket has all that 32 bits hold: with 10,000 timers a second, after five days."""
        self._buckets = array("Q", self._buckets)

    def release(self, other: Histogram) -> None:
        """Forget what :meth:`absorb` has taken over from another one; but not its extremes."""
        less = other.snapshot()
        self._total = max(0.0, self._total - less.total)
        for index, number in enumerate(less.buckets):
            self._buckets[index] -= number

    def snapshot(self) -> Distribution:
        """Return what was counted so far. Any thread; what is being counted may be missing."""
        buckets = tuple(self._buckets)
        count = sum(buckets)
        least = self._least if count else 0.0
        return Distribution(count, self._total, least, self._most, buckets)
