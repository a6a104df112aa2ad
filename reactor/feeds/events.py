"""Events: the objects that a feed's ``parse`` returns, and that its handlers get.

What it is: small objects without behaviour.

What it must not know: where they come from, and what is done with them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = [
    "Ended",
    "Event",
    "Gap",
    "Refused",
    "Subscribed",
    "Topic",
    "TopicState",
    "Unsubscribed",
    "Update",
]

#: What names a topic: a str mostly, but anything that can be the key of a dict will do.
Topic = Hashable


class TopicState(Enum):
    """What a feed knows of a topic.

    WANTED: not asked for yet, or to be asked for again. ASKED: asked for, not confirmed. LIVE:
    confirmed, on one link at least. STALE: confirmed, but silent for too long. ENDING: not wanted
    any longer, and the service has not confirmed that yet. REFUSED: finally refused.
    """

    WANTED = "wanted"
    ASKED = "asked"
    LIVE = "live"
    STALE = "stale"
    ENDING = "ending"
    REFUSED = "refused"

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True, eq=False)
class Update:
    """An update of a topic.

    Args:
        topic: the topic, in the same spelling as in ``subscribe``.
        data: its contents; the feed does not look at them.
        sequence: the number of this update, if the service numbers them.
        previous: the number of the update before, if numbers do not go up by one.
        epoch: the series of numbers that this one belongs to; another epoch begins a new series.
        time: when the service made it, by its own clock; the feed does not look at it.
    """

    topic: Topic
    data: Any = None
    sequence: Any = None
    previous: Any = None
    epoch: Any = None
    time: Any = None


class _Answer:
    """What the service says about topics."""

    __slots__ = ("topics",)

    def __init__(self, topics: Iterable[Topic]) -> None:
        self.topics: tuple[Topic, ...] = (
            (topics,) if isinstance(topics, (str, bytes)) else tuple(topics)
        )

    def __repr__(self) -> str:
        slots = [name for kind in type(self).__mro__ for name in getattr(kind, "__slots__", ())]
        inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in slots)
        return f"{type(self).__name__}({inside})"


class Subscribed(_Answer):
    """The service has confirmed subscriptions.

    Args:
        topics: the topics; a str is one topic.
        recovered: True: the service sends all updates that were missed, so there is no gap.
    """

    __slots__ = ("recovered",)

    def __init__(self, topics: Iterable[Topic], recovered: bool = False) -> None:
        super().__init__(topics)
        self.recovered = recovered


class Refused(_Answer):
    """The service has refused subscriptions.

    Args:
        topics: which; a str is one topic.
        reason: why, in the service's words.
        retry: whether to ask again later; False (default): the refusal is final.
    """

    __slots__ = ("reason", "retry")

    def __init__(self, topics: Iterable[Topic], reason: Any = "", retry: bool = False) -> None:
        super().__init__(topics)
        self.reason = reason
        self.retry = retry


class Unsubscribed(_Answer):
    """The service has confirmed that subscriptions are over, asked to or not.

    Args:
        topics: which; a str is one topic.
    """

    __slots__ = ()


class Ended(_Answer):
    """The service has ended topics for good (delisted, expired). The feed does not ask again.

    Args:
        topics: which; a str is one topic.
        reason: why, in the service's words.
    """

    __slots__ = ("reason",)

    def __init__(self, topics: Iterable[Topic], reason: Any = "") -> None:
        super().__init__(topics)
        self.reason = reason


Event = Update | Subscribed | Refused | Unsubscribed | Ended


@dataclass(slots=True, eq=False)
class Gap:
    """A place in the updates of a topic where some are missing, or may be.

    Args:
        reason: "reconnect": the link was lost. "resubscribe": the subscription was ended, by the
            service or because it was silent. "sequence": numbers are missing. "dropped": the
            consumer was too slow. "reset": the service began a new count.
        last: the last update before the gap, or None if there was none. For "dropped": the update
            that was last taken from the mailbox, or None if that is no longer known.
        next: the first update after the gap, or None if it has not come yet: always for "dropped",
            and without sequence numbers for "reconnect" and "resubscribe".
    """

    reason: str
    last: Update | None = None
    next: Update | None = None
