"""Batches: what is asked for in one message, and what is asked next.

What it is: :class:`Batch`, and :class:`Batches`, which takes the next one of a link from the queues
of topic.py.

What it must not know: the text of the message; when it is sent, and what is answered.

How it works. First comes what is not wanted any longer, which makes room; then what is wanted, by
priority and age. Topics that are resumed, and those that are asked for alone, share no message with
others.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import Enum
from math import inf

from ..events import Topic
from .board import Board
from .lifecycle import Signal
from .pool import Pool
from .topic import ALONE, RESTART, UNBUILT, Leg, Place

__all__ = ["Ask", "Batch", "Batches"]


class Ask(Enum):
    """What a batch asks for."""

    SUBSCRIBE = "subscribe"
    RESUME = "resume"  #: the same, for topics with a last update
    UNSUBSCRIBE = "unsubscribe"


@dataclass(slots=True, eq=False)
class Batch:
    """Topics for one message.

    Attributes:
        ask: what for.
        topics: their names, in order.
        legs: those of them that wait for an answer.
    """

    ask: Ask
    topics: list[Topic]
    legs: list[Leg]


class Batches:
    """See the module.

    Args:
        board: what is known of all topics.
        pool: which topic is on which link.
        resumes: whether topics with a last update are asked for in another way.
    """

    def __init__(self, board: Board, pool: Pool, resumes: bool) -> None:
        self._board = board
        self._pool = pool
        self._resumes = resumes
        self._limit = board.policy.topics_per_message or inf

    def take(self, place: Place) -> Batch | None:
        """Return the topics of the next message on a link; None: there is nothing to say.

        The batch has to be sent, and :meth:`Reconciler.sent` be called then.
        """
        if place.parting or place.again:
            return self._take_parting(place)
        leg = self._pool.next_to_ask(place)
        if leg is None:
            return None
        ask = self._ask(leg)
        legs: list[Leg] = []
        while leg is not None and self._ask(leg) is ask and len(legs) < self._limit:
            if legs and (leg.flags | legs[0].flags) & ALONE:
                break
            heapq.heappop(place.queue)
            self._board.step(leg, Signal.SENT)
            leg.due, leg.heard = inf, -inf
            leg.flags &= ~UNBUILT
            legs.append(leg)
            self._board.refresh(leg.topic)
            leg = self._pool.next_to_ask(place)
        self._board.counts["asked"] += len(legs)
        return Batch(ask, [leg.topic.name for leg in legs], legs)

    def _take_parting(self, place: Place) -> Batch:
        legs: list[Leg] = []
        topics: list[Topic] = []
        while place.parting and len(topics) < self._limit:
            name, leg = place.parting.popitem(last=False)
            self._board.step(leg, Signal.PARTED)
            if leg.flags & RESTART:
                self._board.lost_stream(leg.topic, "resubscribe")
            leg.due = inf
            legs.append(leg)
            topics.append(name)
            self._board.refresh(leg.topic)
        while place.again and len(topics) < self._limit:
            name = next(iter(place.again))
            del place.again[name]
            topics.append(name)
        return Batch(Ask.UNSUBSCRIBE, topics, legs)

    def _ask(self, leg: Leg) -> Ask:
        resumed = self._resumes and leg.topic.last is not None
        return Ask.RESUME if resumed else Ask.SUBSCRIBE
