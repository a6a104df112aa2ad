"""Silence: topics that are live and from which nothing comes.

What it is: the scan of a link's topics, and what follows.

What it must not know: timers, sockets. An update writes the time into its leg and nothing else.

How it works. ``scan_due`` of a place is not later than the earliest time at which one of its
topics may have been silent for too long. The scan then looks at all topics of that link, finds
those that are, and computes the next time, which is at least a twentieth of the limit away.

A topic that is found silent is ended and asked for again on the same link; it stays STALE until
an update comes. Each time in vain the wait is longer by half of the limit; each third time, the
link is replaced. One from which only updates came that were seen before has begun to count
anew.
"""

from __future__ import annotations

from math import inf

from .board import Board, Order
from .lifecycle import Phase, Signal
from .pool import Pool
from .topic import RESTART, Leg, Place, Record

__all__ = ["Silence"]

#: A link is scanned at most this often, as a share of the limit.
GRID = 0.05

#: The wait grows until it is so many times the limit.
LONGEST = 10.0


class Silence:
    """See the module.

    Args:
        board: what is known of all topics.
        pool: what replaces links.
    """

    def __init__(self, board: Board, pool: Pool) -> None:
        self._board = board
        self._pool = pool

    def limit(self, leg: Leg) -> float:
        """Return for how many seconds a topic may be silent on a link; infinite: for ever."""
        record = leg.topic
        limit = record.stale_after
        if limit is None:
            limit = self._board.policy.stale_after
        if limit is None:
            return inf
        extra = record.extra
        if extra is None or not extra.vain:
            return limit
        if self._board.policy.on_stale_do == "report" and extra.stale:
            return inf  # it was told, and is told again only after an update
        return limit * min(1 + extra.vain / 2, LONGEST)

    def watch(self, leg: Leg) -> None:
        """A leg is live: its silence counts from now on."""
        place = leg.place
        assert place is not None
        due = leg.heard + self.limit(leg)
        if due < place.scan_due:
            place.scan_due = due
            self._board.tell(Order.WAKE, place)

    def look_again(self, record: Record, now: float) -> None:
        """The limit of a topic has changed."""
        for leg in record.legs:
            if leg.place is not None:
                leg.place.scan_due = now
                self._board.tell(Order.WAKE, leg.place)

    def suspects(self, place: Place, now: float) -> bool:
        """Whether a topic of a link looks silent; plans the next scan if none does."""
        earliest, shortest, found = inf, inf, False
        for leg in place.legs.values():
            if leg.phase is Phase.LIVE:
                limit = self.limit(leg)
                due = leg.heard + limit
                found = found or due <= now
                earliest, shortest = min(earliest, due), min(shortest, limit)
        place.scan_due = max(earliest, now + GRID * shortest) if earliest < inf else inf
        return found

    def scan(self, place: Place, now: float) -> None:
        """See which topics of a link are silent, and do what the feed was told to do then."""
        for leg in list(place.legs.values()):
            if leg.phase is Phase.LIVE and leg.heard + self.limit(leg) <= now:
                self._found(leg, place, now)
        self.suspects(place, now)

    def _found(self, leg: Leg, place: Place, now: float) -> None:
        record, board = leg.topic, self._board
        extra = record.rare
        silence = now - leg.heard
        if extra.duplicate_at > leg.heard:  # only such came as were seen before
            extra.reset, leg.heard = True, now
            board.refresh(record)
            return
        extra.vain += 1
        if all(other.heard + self.limit(other) <= now for other in record.live(but=leg)):
            extra.stale = True
            board.counts["stale"] += 1
            board.tell(Order.STALE, record.name, silence)
        if board.policy.on_stale_do == "resubscribe":
            if extra.vain % 3 == 0:
                leg.heard = now
                self._pool.retire(place, now)
            else:
                board.step(leg, Signal.DROP)
                leg.flags |= RESTART
                self._pool.part(leg)
        board.refresh(record)
