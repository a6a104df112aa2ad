"""What the reconciler keeps: topics, their legs, the places in the pool, and lanes of places.

What it is: records without behaviour of their own, small because there may be 100,000 of them.

What it must not know: who changes them, and when.

How it works. A :class:`Record` is a topic that somebody wants, or that is not over yet. A
:class:`Leg` is its life on one link; it has as many as ``redundancy`` says, each in a
:class:`Lane` of its own, and one more while a link is replaced. A :class:`Place` is a link as
the reconciler sees it. A leg without a place is homeless: it waits in its lane until a link has
room.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

from ..events import Topic, TopicState, Update
from .lifecycle import Phase

__all__ = [
    "AGAIN",
    "ALONE",
    "FRESH",
    "MISSED",
    "RECOVERED",
    "RESTART",
    "Extra",
    "Lane",
    "Leg",
    "Place",
    "Record",
]

#: What may be said of a leg; bits of ``Leg.flags``.
AGAIN = 1  #: wanted again while it was ENDING: to be asked for as a new stream
RESTART = 2  #: ended by us because it is silent: to be asked for again as the same stream
ALONE = 4  #: to be asked for in a message of its own
FRESH = 8  #: became LIVE, and nobody was told
RECOVERED = 16  #: the confirmation said that nothing is missing
MISSED = 32  #: updates were dropped because nobody wanted them any longer


class Extra:
    """Attributes that only few topics need."""

    __slots__ = (
        "duplicate_at",
        "held",
        "held_at",
        "mark",
        "old_epoch",
        "refusal",
        "reset",
        "stale",
        "vain",
    )

    def __init__(self) -> None:
        self.duplicate_at = -math.inf  #: when an update was last dropped because it is not new
        self.held: dict[Any, Update] = {}  #: updates behind a hole that another link may fill
        self.held_at = math.inf  #: since when
        self.mark: Update | None = None  #: see Record.mark
        self.old_epoch: Any = None  #: the epoch before
        self.refusal: Any = None  #: why it was finally refused
        self.reset = False  #: the next update begins a new count
        self.stale = False  #: silent for too long
        self.vain = 0  #: how often it was found silent in a row


class Record:
    """A topic: who wants it, where it is, and how far its updates have come."""

    __slots__ = (
        "consumers",
        "extra",
        "hole",
        "last",
        "leg",
        "more",
        "name",
        "priority",
        "serial",
        "stale_after",
        "state",
    )

    def __init__(self, name: Topic, serial: int, priority: float) -> None:
        self.name = name
        self.consumers: Any = None  #: None: not wanted; a Subscription; or a tuple of them
        self.leg: Leg | None = None
        self.more: tuple[Leg, ...] = ()  #: legs beside the first
        self.state: TopicState | None = None
        self.last: Update | None = None  #: the latest that was delivered
        self.hole: str | None = None  #: why updates may be missing before the next one
        self.priority = priority
        self.serial = serial
        self.stale_after: float | None = None  #: None: as the feed says
        self.extra: Extra | None = None

    @property
    def wanted(self) -> bool:
        """Whether it has a subscription."""
        return self.consumers is not None

    @property
    def mark(self) -> Update | None:
        """The latest update that was delivered and has a sequence."""
        last = self.last
        if last is None or last.sequence is not None:
            return last
        return None if self.extra is None else self.extra.mark

    def delivered(self, update: Update) -> None:
        """An update is delivered now: it is the latest."""
        if update.sequence is None:
            mark = self.mark
            if mark is not None:
                self.rare.mark = mark
        self.last = update

    @property
    def legs(self) -> tuple[Leg, ...]:
        """All legs, the oldest first."""
        return () if self.leg is None else (self.leg, *self.more)

    def add(self, leg: Leg) -> None:
        """Add a leg behind those that there are."""
        if self.leg is None:
            self.leg = leg
        else:
            self.more = (*self.more, leg)

    def remove(self, leg: Leg) -> None:
        """Remove a leg."""
        rest = [each for each in self.legs if each is not leg]
        self.leg = rest[0] if rest else None
        self.more = tuple(rest[1:])

    def in_lane(self, lane: Lane) -> list[Leg]:
        """Return the legs in a lane: one, or two while its link is replaced."""
        return [leg for leg in self.legs if leg.lane is lane]

    def live(self, but: Leg | None = None) -> list[Leg]:
        """Return the legs that updates come by, *but* one."""
        return [leg for leg in self.legs if leg is not but and leg.carries]

    @property
    def rare(self) -> Extra:
        """The attributes that only few topics need; made on first use."""
        if self.extra is None:
            self.extra = Extra()
        return self.extra

    def forget_stream(self) -> None:
        """Begin a new stream: the next update follows no other."""
        self.last = self.hole = self.extra = None


class Leg:
    """A topic on one link, or on its way there."""

    __slots__ = (
        "due",
        "fast",
        "flags",
        "heard",
        "lane",
        "phase",
        "place",
        "position",
        "topic",
        "tries",
    )

    def __init__(self, topic: Record, lane: Lane) -> None:
        self.topic = topic
        self.lane = lane
        self.place: Place | None = None
        self.phase = Phase.QUEUED
        self.due = 0.0  #: when the phase is to end by itself; 0.0: not at all
        self.heard = (
            -math.inf
        )  #: when an update last came since it was asked for, or it became LIVE
        self.position: Any = None  #: the highest sequence that came by this leg, if it has company
        self.tries = 0  #: how often it was asked for in vain, in a row
        self.flags = 0
        self.fast: Any = None  #: takes updates that follow the last one; None: see sequences.py

    def __lt__(self, other: Leg) -> bool:
        """Whether it is asked for before another one: by priority, then by age."""
        one, two = self.topic, other.topic
        if one.priority == two.priority:
            return one.serial < two.serial
        return one.priority > two.priority

    @property
    def carries(self) -> bool:
        """Whether the service sends updates by it, as far as we know."""
        return self.phase is Phase.LIVE or (
            self.phase is Phase.LEAVING and bool(self.flags & RESTART)
        )


class Place:
    """A link, as the reconciler sees it.

    Args:
        lane: to which it belongs.
        size: how many topics it may carry; None: any number.
    """

    def __init__(self, lane: Lane, size: int | None) -> None:
        self.lane = lane
        self.size: float = math.inf if size is None else size
        self.ready = False  #: open, and logged in
        self.retiring = False  #: being replaced: no topic is added
        self.legs: dict[Topic, Leg] = {}
        self.queue: list[Leg] = []  #: a heap: to be asked for
        self.parting: OrderedDict[Topic, Leg] = (
            OrderedDict()
        )  #: the service is to be told that they are not wanted
        self.again: dict[Topic, None] = {}  #: it was told, and sends updates all the same
        self.alarms: list[tuple[float, list[Leg]]] = []  #: a heap: when phases end by themselves
        self.left: dict[Topic, Farewell] = {}  #: topics that were here
        self.awaited: set[Topic] = set()  #: topics that are not live elsewhere yet
        self.scan_due = math.inf  #: when the next topic may have been silent for too long
        self.retire_at = math.inf  #: when it is old
        self.close_at = math.inf  #: when it is replaced, and may be closed

    @property
    def room(self) -> float:
        """How many topics more it may carry."""
        return 0 if self.retiring or not self.ready else self.size - len(self.legs)

    def due(self) -> float:
        """Return when something is to be done here, in seconds of the loop's clock."""
        due = min(self.scan_due, self.close_at)
        if not self.retiring and self.retire_at < due:
            due = self.retire_at
        if self.alarms and self.alarms[0][0] < due:
            due = self.alarms[0][0]
        return due


class Farewell:
    """What a place remembers of a topic that has left it."""

    __slots__ = ("forgive", "repeat_at", "repeats")

    def __init__(self, forgive: bool, repeat_at: float) -> None:
        self.forgive = forgive  #: an answer to the unsubscription may still come
        self.repeat_at = repeat_at  #: from when on it is repeated if updates come
        self.repeats = 0


class Lane:
    """One of ``redundancy`` sets of places; every topic has a leg in each of them.

    Args:
        index: 0, 1, ...
        limit: how many places it may have; None: any number.
    """

    def __init__(self, index: int, limit: int | None) -> None:
        self.index = index
        self.limit: float = math.inf if limit is None else limit
        self.places: list[Place] = []  #: those that are not retiring
        self.opening = 0  #: places that were asked for and are not here yet
        self.roomy: dict[Place, None] = {}  #: those that take topics now
        self.homeless: list[Leg] = []  #: a heap
        self.load = 0  #: legs that are homeless, or on a place that is not retiring
        self.overfull = False  #: more topics than the places can carry, and it was told
        self.merge_at = math.inf  #: when places that are not needed may go
