"""Names: the subjects, buckets and keys of a fleet.

What it is: where everything of a fleet is found in NATS.

What it must not know: connections.

    stream  NAME            all that is stored
      NAME.u.TOPIC          updates
      NAME.b.SHARD          batches of updates
      NAME.p.SHARD          where batches have left their topics
      NAME.n.TOPIC          notices: gaps, refusals, ends
      NAME.epoch.SHARD      epochs
    bucket  NAME-wanted     what is to be so: fleet, slot.N (topics), node.X
    bucket  NAME-leases     lease.SHARD, connects (tokens)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

__all__ = ["Names", "topic_of", "topic_token"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

#: What may stand in a subject as it is: printable, and no wildcard, space or percent sign.
_SAFE = "-_.~:/@+=,;!$&'()[]{}|^#"


def topic_token(topic: str) -> str:
    """Return a topic as it is written in subjects: percent-encoded where it must be.

    Dots stay, so that consumers may filter by parts of a topic, unless parts would be empty.
    """
    if not topic:
        raise ValueError("a topic must not be empty")
    token = quote(topic, safe=_SAFE)
    if token.startswith(".") or token.endswith(".") or ".." in token:
        token = token.replace(".", "%2E")
    return token


def topic_of(token: str) -> str:
    """Return the topic that is written so."""
    return unquote(token)


@dataclass(frozen=True)
class Names:
    """See the module.

    Args:
        name: of the fleet: letters, digits, ``-`` and ``_``.

    Raises:
        ValueError: *name* has other characters, or is empty or too long.
    """

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"name must be 1 to 64 letters, digits, '-' and '_', not {self.name!r}"
            )

    @property
    def stream(self) -> str:
        """The stream of the updates."""
        return self.name

    @property
    def subjects(self) -> list[str]:
        """All that the stream stores."""
        return [f"{self.name}.{kind}.>" for kind in ("u", "b", "p", "n", "epoch")]

    @property
    def wanted(self) -> str:
        """The bucket of what is wanted."""
        return f"{self.name}-wanted"

    @property
    def leases(self) -> str:
        """The bucket of leases."""
        return f"{self.name}-leases"

    def update(self, token: str) -> str:
        """The subject of a topic's updates."""
        return f"{self.name}.u.{token}"

    def notice(self, token: str) -> str:
        """The subject of what else is to be known of a topic."""
        return f"{self.name}.n.{token}"

    def batch(self, shard: int) -> str:
        """The subject of a shard's batches."""
        return f"{self.name}.b.{shard}"

    def places(self, shard: int) -> str:
        """The subject of where a shard's batches have left their topics."""
        return f"{self.name}.p.{shard}"

    def epoch(self, shard: int) -> str:
        """The subject of a shard's epochs."""
        return f"{self.name}.epoch.{shard}"

    @staticmethod
    def slot(slot: int) -> str:
        """The key of a slot's topics."""
        return f"slot.{slot}"

    @staticmethod
    def node(node: str) -> str:
        """The key of a node; any other characters become ``=XX``."""
        return "node." + re.sub(r"[^A-Za-z0-9_-]", lambda m: f"={ord(m.group()):X}", node)

    @staticmethod
    def lease(shard: int) -> str:
        """The key of a shard's lease."""
        return f"lease.{shard}"
