"""The board: all topics of a feed, their states, and the orders that follow from them.

What it is: the bookkeeping that the parts of the reconciler share: it moves legs through the table
of lifecycle.py, derives the state of a topic from its legs, and collects orders.

What it must not know: sockets, messages, handlers; and when what happens.

How it works. Nothing here or in the rest of the reconciler calls user code or does I/O. What is to
be done is appended to ``orders``, in order; whoever drives the reconciler carries it out.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable
from enum import Enum
from typing import Any

from ..events import Gap, Topic, TopicState, Update
from ..policy import Policy, Random
from .lifecycle import TABLE, UNCONFIRMED, Phase, Signal
from .topic import FRESH, RECOVERED, Leg, Record

__all__ = ["Board", "Order"]


class Order(Enum):
    """What the driver of the reconciler is to do; the arguments follow."""

    OPEN = "open"  #: (lane) make a place, and tell Pool.add()
    CLOSE = "close"  #: (place, reason) close its link for good
    WAKE = "wake"  #: (place) it has something to ask, or its next due time is earlier
    DELIVER = "deliver"  #: (record, update)
    SUBSCRIBED = "subscribed"  #: (topic)
    REFUSED = "refused"  #: (topic, reason, final)
    ENDED = "ended"  #: (topic, reason, consumers)
    GAP = "gap"  #: (topic, gap)
    STALE = "stale"  #: (topic, silence)
    STRAY = "stray"  #: (update) of a topic that was never asked for
    OVERFULL = "overfull"  #: (how many topics wait)


_UNSETTLED = frozenset({TopicState.WANTED, TopicState.ASKED, TopicState.STALE})


class Board:
    """See the module.

    Args:
        policy: what the feed was told about its service.
        random: returns an even random number from 0 up to 1.
    """

    def __init__(self, policy: Policy, random: Random = random.random) -> None:
        self.policy = policy
        self.random = random
        self.topics: dict[Topic, Record] = {}
        self.orders: deque[tuple[Any, ...]] = deque()
        self.counts: Counter[str] = Counter()
        self.wanted = 0  #: topics that somebody wants
        self.unsettled = 0  #: those of them that are neither LIVE nor finally refused
        self.storm = False  #: some have been unsettled since all were live
        self._serial = 0
        #: Returns what takes the updates of a topic; set by the driver.
        self.handler_of: Callable[[Record], Any] = lambda record: None

    def tell(self, *order: Any) -> None:
        """Append an order."""
        self.orders.append(order)

    def new(self, name: Topic, priority: float) -> Record:
        """Return the record of a topic that is not known yet."""
        self._serial += 1
        record = self.topics[name] = Record(name, self._serial, priority)
        return record

    def step(self, leg: Leg, signal: Signal) -> bool:
        """Move a leg; returns whether the table has such a move. :meth:`refresh` is to follow."""
        phase = TABLE.get((leg.phase, signal))
        if phase is None:
            self.counts["ignored"] += 1
            return False
        leg.phase = phase
        return True

    # -- the state of a topic -------------------------------------------------------------

    def refresh(self, record: Record) -> None:
        """Derive the state of a topic again, and order what follows: something has changed."""
        before, after = record.state, self._state(record)
        record.state = after
        if (before in _UNSETTLED) != (after in _UNSETTLED):
            self.unsettled += 1 if after in _UNSETTLED else -1
            self.storm = self.storm or self.unsettled > 0
        if after is TopicState.LIVE:
            self._live(record, before is not TopicState.LIVE)
        elif after is None and self.topics.get(record.name) is record:
            del self.topics[record.name]
        self._set_fast(record)

    def _state(self, record: Record) -> TopicState | None:
        if record.consumers is None:
            return None if record.leg is None else TopicState.ENDING
        extra = record.extra
        if extra is not None:
            if extra.refusal is not None:
                return TopicState.REFUSED
            if extra.stale:
                return TopicState.STALE
        state = TopicState.WANTED
        for leg in record.legs:
            if leg.carries:
                return TopicState.LIVE
            if leg.phase in UNCONFIRMED:
                state = TopicState.ASKED
        return state

    def _live(self, record: Record, newly: bool) -> None:
        """A topic is LIVE: if it was not before, tell so, and of the hole before it."""
        flags = 0
        for leg in record.legs:
            flags |= leg.flags
            leg.flags &= ~(FRESH | RECOVERED)
        if not newly or not flags & FRESH:
            return
        self.tell(Order.SUBSCRIBED, record.name)
        if record.hole is None:
            return
        if flags & RECOVERED:
            record.hole = None
        elif record.mark is None or self.policy.sequences != "contiguous":
            self.gap(record, record.hole, None)

    def _set_fast(self, record: Record) -> None:
        """Updates of a topic with nothing special about it take the short way."""
        leg = record.leg
        if leg is None:
            return
        for other in record.more:
            other.fast = None
        extra = record.extra
        leg.fast = (
            self.handler_of(record)
            if (
                record.state is TopicState.LIVE
                and leg.phase is Phase.LIVE
                and not record.more
                and record.hole is None
                and (extra is None or not (extra.held or extra.reset))
            )
            else None
        )

    def gap(self, record: Record, reason: str, following: Update | None) -> None:
        """Order that a gap is reported, which ends the hole of the topic."""
        record.hole = None
        self.counts["gaps"] += 1
        self.counts[f"gap {reason}"] += 1
        self.tell(Order.GAP, record.name, Gap(reason, record.last, following))

    def lost_stream(self, record: Record, reason: str) -> None:
        """A leg has stopped carrying updates: there is a hole if no other one does."""
        if record.wanted and not record.live() and record.hole is None:
            record.hole = reason
