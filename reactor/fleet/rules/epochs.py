"""Epochs: the fence that keeps a shard that was replaced from writing.

What it is: what an epoch message says, the headers by which the server checks each message against
it, when it has to be renewed, and what a refusal means.

What it must not know: connections, clocks.

How it works. Whoever takes a shard writes an epoch message into the stream of the updates, with a
subject of its own for each shard, on the condition that the one before is the last one there.
Every message of the shard then names the sequence of its epoch message
(``Nats-Expected-Last-Subject-Sequence``, of the subject of
``Nats-Expected-Last-Subject-Sequence-Subject``). As soon as another one has written an epoch, the
server refuses what the old one sends: in its own order, with no clock and no round trip.

The epoch message has to stay in the stream: when its limits roll it out, everything is refused.
So it is renewed long before that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

__all__ = ["Epoch", "Verdict", "fence_headers", "judge_refusal", "renewal_due"]


@dataclass(frozen=True)
class Epoch:
    """An epoch of a shard.

    Args:
        shard: which.
        number: 1 for the first one; one more each time that the shard is taken.
        instance: who has taken it: the incarnation of a holder.
        sequence: of the epoch message in the stream; 0: it is not stored yet.
    """

    shard: int
    number: int
    instance: str
    sequence: int = 0

    def encode(self) -> bytes:
        """Return the text of the epoch message."""
        return json.dumps(
            {"shard": self.shard, "epoch": self.number, "instance": self.instance}
        ).encode()

    @classmethod
    def decode(cls, value: bytes, sequence: int) -> Epoch:
        """Return what an epoch message says.

        Args:
            value: its text.
            sequence: its place in the stream.

        Raises:
            ValueError: This is no epoch message.
        """
        try:
            said = json.loads(value)
            return cls(int(said["shard"]), int(said["epoch"]), str(said["instance"]), sequence)
        except (ValueError, KeyError, TypeError) as exc:
            raise ValueError(f"this is no epoch message: {value[:100]!r}") from exc


def fence_headers(sequence: int, subject: str) -> dict[str, str]:
    """Return the headers by which the server refuses a message when another epoch has begun.

    Args:
        sequence: of the epoch message; 0: there must be none.
        subject: of the epoch messages of this shard.
    """
    return {
        "Nats-Expected-Last-Subject-Sequence": str(sequence),
        "Nats-Expected-Last-Subject-Sequence-Subject": subject,
    }


class Verdict(Enum):
    """What follows from a refusal."""

    LEAVE = "leave"  #: another one has the shard: for good
    ADOPT = "adopt"  #: the epoch is ours, under another sequence: a renewal whose answer was lost
    RENEW = "renew"  #: the epoch message is gone, and the shard is still ours: write it again


def judge_refusal(last: Epoch | None, instance: str, lease_instance: str | None) -> Verdict:
    """Judge why the server has refused a message.

    Args:
        last: the epoch message that is in the stream; None: there is none.
        instance: who was refused.
        lease_instance: who holds the lease of the shard; None: nobody. An epoch message that was
            rolled out may be written again only by the holder: a shard that was replaced would
            fence its successor otherwise.
    """
    if last is not None:
        return Verdict.ADOPT if last.instance == instance else Verdict.LEAVE
    return Verdict.RENEW if lease_instance == instance else Verdict.LEAVE


def renewal_due(
    sequence: int, age: float, first: int, last: int, max_age: float | None, bounded: bool
) -> bool:
    """Return whether an epoch message is to be written anew, before it is rolled out.

    Args:
        sequence: its place in the stream.
        age: its age in seconds.
        first, last: the sequences at both ends of the stream.
        max_age: seconds after which the stream drops messages; None: never.
        bounded: whether the stream drops the oldest messages for their number or size.
    """
    if max_age and age > max_age / 4:
        return True
    return bounded and first > 1 and sequence - first < (last - first) / 2
