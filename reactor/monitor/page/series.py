"""Series: what the loop did in each second of the last ten minutes.

What it is: :class:`Series`, which takes a snapshot every second, and keeps what the plots show.

What it must not know: who looks at it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from ...base.histogram import Distribution

if TYPE_CHECKING:
    from ...reactor import Reactor, ReactorStats

__all__ = ["POINTS", "Point", "Series"]

#: Seconds that are kept.
POINTS = 600


class Point(NamedTuple):
    """A second of a loop.

    Attributes:
        time: when it ended, in seconds of the loop's clock.
        messages_in, messages_out: messages a second, over all connections.
        lag: how late timers were, 99 of 100 of them, in seconds.
        busy: the share of the time in which the loop was busy, 0.0 to 1.0.
    """

    time: float
    messages_in: float
    messages_out: float
    lag: float
    busy: float


class Series:
    """The last ten minutes of a loop. The loop's thread only.

    Args:
        loop: the reactor.
    """

    def __init__(self, loop: Reactor) -> None:
        self._loop = loop
        self.points: deque[Point] = deque(maxlen=POINTS)
        self.latest: ReactorStats = loop.stats()
        self._messages = loop.connections.messages()

    def take(self) -> Point:
        """Add the time since the last call as a point, and return it."""
        before, now = self.latest, self._loop.stats()
        messages = self._loop.connections.messages()
        passed = now.now - before.now
        rates = [
            (new - old) / passed if passed > 0 else 0.0
            for new, old in zip(messages, self._messages, strict=True)
        ]
        lag = _since(now.timer_lag, before.timer_lag).p99 or 0.0
        point = Point(
            round(now.now, 3),
            round(rates[0], 1),
            round(rates[1], 1),
            round(lag, 6),
            round(now.busy_share_since(before), 4),
        )
        self.points.append(point)
        self.latest, self._messages = now, messages
        return point


def _since(now: Distribution, before: Distribution) -> Distribution:
    """Return what was counted between two snapshots of one histogram."""
    buckets = tuple(new - old for new, old in zip(now.buckets, before.buckets, strict=True))
    return Distribution(sum(buckets), now.total - before.total, 0.0, now.most, buckets)
