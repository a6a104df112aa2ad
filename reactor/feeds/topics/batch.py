"""Batches: what is asked for in one message. What it must not know: the text of the message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..events import Topic
from .topic import Leg

__all__ = ["Ask", "Batch"]


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
