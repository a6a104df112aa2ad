"""What a feed is told about its service: the class attributes of a Feed, checked once.

What it is: a frozen dataclass. What it must not know: who goes by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from ..base.mistakes import check_number
from ..timers import Backoff, Pace
from .links.heartbeat import Heartbeat

__all__ = [
    "FIVE_A_SECOND",
    "FULL_JITTER",
    "OnStale",
    "Policy",
    "Sequences",
    "check_limit",
    "check_seconds",
]

#: What becomes of a stale topic.
OnStale = Literal["resubscribe", "report"]

#: How the sequences of a topic go up.
Sequences = Literal["contiguous", "increasing"]

FIVE_A_SECOND = Pace(5, per=1.0)
FULL_JITTER = Backoff(first=1.0, cap=60.0)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The knobs of a feed; see Feed, where each of them is explained.

    Raises:
        ValueError: A value is outside its range; the message names it.
        TypeError: It is of the wrong type.
    """

    topics_per_link: int | None = 50
    topics_per_message: int | None = 10
    max_links: int | None = None
    message_pace: Pace | None = FIVE_A_SECOND
    connect_pace: Pace | None = None
    ack_timeout: float | None = 5.0
    ask_again: Backoff = FULL_JITTER
    stale_after: float | None = 30.0
    on_stale_do: OnStale = "resubscribe"
    idle_after: float | None = 60.0
    max_link_age: float | None = 23 * 3600.0
    redundancy: int = 1
    sequences: Sequences = "contiguous"
    heartbeat: Heartbeat | None = None

    def __post_init__(self) -> None:
        for name in ("topics_per_link", "topics_per_message", "max_links"):
            self._check_count(name, True)
        self._check_count("redundancy", False)
        for name in ("ack_timeout", "stale_after", "idle_after", "max_link_age"):
            self._check_seconds(name)
        self._check_kind("message_pace", (Pace, type(None)))
        self._check_kind("connect_pace", (Pace, type(None)))
        self._check_kind("ask_again", (Backoff,))
        self._check_kind("heartbeat", (Heartbeat, type(None)))
        self._check_word("on_stale_do", get_args(OnStale))
        self._check_word("sequences", get_args(Sequences))
        if self.max_links is not None and self.max_links < self.redundancy:
            raise ValueError(
                f"max_links={self.max_links!r} is less than redundancy={self.redundancy!r}: "
                "no topic could be on so many links"
            )

    def _check_count(self, name: str, optional: bool) -> None:
        value = getattr(self, name)
        if optional and value is None:
            return
        expected = "1 or more" + (", or None" if optional else "")
        check_number(name, value, expected)
        if not isinstance(value, int):
            raise TypeError(f"{name} must be {expected}, not {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be {expected}, not {value!r}")

    def _check_seconds(self, name: str) -> None:
        check_seconds(name, getattr(self, name))

    def _check_kind(self, name: str, kinds: tuple[type, ...]) -> None:
        value = getattr(self, name)
        if not isinstance(value, kinds):
            names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
            raise TypeError(f"{name} must be a {names}, not {value!r}")

    def _check_word(self, name: str, words: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in words:
            raise ValueError(f"{name} must be one of {words}, not {value!r}")

    @classmethod
    def of(cls, source: object) -> Policy:
        """Return the policy that the attributes of an object describe."""
        return cls(**{each.name: getattr(source, each.name) for each in fields(cls)})


def check_seconds(name: str, value: Any) -> None:
    """Raise an error that names the attribute if it is neither None nor a number of seconds."""
    expected = "None, or more than 0 seconds and finite"
    check_number(name, value, expected)
    if value is None:
        return
    if not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be {expected}, not {value!r}")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be {expected}, not {value!r}")


def check_limit(name: str, value: Any) -> None:
    """The same, where infinity is allowed, too."""
    if value != math.inf:
        check_seconds(name, value)


#: Draws an even random number from 0 up to, not including, 1.
Random = Callable[[], float]
