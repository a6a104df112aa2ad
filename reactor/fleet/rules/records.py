"""Records: what a shard gives to its sink.

What it is: notices, which stand between the updates, and both as text.

What it must not know: sinks.

How it works. Updates are passed on as the feed has made them. Everything else that whoever reads
them has to know is a :class:`Notice`: a gap with its bounds, a topic that was refused or has
ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...feeds import Gap, Update

__all__ = [
    "Columns",
    "Notice",
    "Record",
    "bounds",
    "columns_of",
    "encode_data",
    "encode_notice",
    "encode_update",
]


@dataclass(slots=True)
class Notice:
    """Something that is to be known about a topic beside its updates.

    Args:
        kind: "gap", "refused" or "ended".
        topic: which.
        reason: of a gap as in :class:`reactor.feeds.Gap`; else in the service's words.
        last: the last update before a gap; or None.
        next: the first one behind it; or None.
        count: updates that a gap is known to lack; or None.
    """

    kind: str
    topic: str
    reason: Any = ""
    last: Update | None = None
    next: Update | None = None
    count: int | None = None

    @classmethod
    def of_gap(cls, topic: str, gap: Gap) -> Notice:
        """Return the notice of a gap that a feed tells."""
        return cls("gap", topic, gap.reason, gap.last, gap.next)


Record = Update | Notice


def encode_data(update: Update) -> bytes:
    """Return the data of an update: as it is where it is text or bytes, else as JSON."""
    data = update.data
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode()
    return json.dumps(data, separators=(",", ":"), default=str).encode()


def bounds(update: Update | None) -> dict[str, Any] | None:
    """Return where an update stands in its topic."""
    if update is None:
        return None
    return {"sequence": update.sequence, "epoch": update.epoch, "time": update.time}


def encode_notice(notice: Notice, shard: int, epoch: int) -> bytes:
    """Return a notice as JSON, with who tells it."""
    said = {
        "kind": notice.kind,
        "topic": notice.topic,
        "reason": notice.reason,
        "last": bounds(notice.last),
        "next": bounds(notice.next),
        "count": notice.count,
        "shard": shard,
        "epoch": epoch,
    }
    return json.dumps(said, default=str).encode()


def encode_update(update: Update, shard: int, epoch: int) -> dict[str, Any]:
    """Return an update as a dict that can be JSON, with who publishes it."""
    data = update.data
    return {
        "kind": "update",
        "topic": update.topic,
        "sequence": update.sequence,
        "time": update.time,
        "data": data.decode(errors="replace") if isinstance(data, bytes) else data,
        "shard": shard,
        "epoch": epoch,
    }


class Columns(NamedTuple):
    """A record for stores that have fields, with who writes it.

    Args:
        kind: "update", or that of a notice.
        topic: which.
        sequence, time: of an update, as the service has them; or None.
        data: of an update, as bytes; a notice as JSON.
        shard, epoch: who writes it. Where two have written about a topic, the higher epoch holds.
    """

    kind: str
    topic: str
    sequence: Any
    time: Any
    data: bytes
    shard: int
    epoch: int


def columns_of(
    record: Record, shard: int, epoch: int, encode: Callable[[Update], bytes] = encode_data
) -> Columns:
    """Return a record in columns."""
    topic = str(record.topic)
    if isinstance(record, Notice):
        data = encode_notice(record, shard, epoch)
        return Columns(record.kind, topic, None, None, data, shard, epoch)
    return Columns("update", topic, record.sequence, record.time, encode(record), shard, epoch)
