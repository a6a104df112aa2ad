"""The sink of JetStream, with many updates in one message.

What it is: the writer for ``JetStream(batch=...)``.

What it must not know: connections, confirmations, the fence: those are of publishing.py.

How it works. A batch goes when it is full, or when its first update has waited for ``linger``. It
has the subject NAME.b.SHARD; each line is an update as JSON: topic, sequence, epoch, time, data. A
notice goes as a message of its own, between the batches, in order.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ...feeds import Update
from ..rules.records import Notice
from .base import Post
from .publishing import JetStreamWriter, Sent

if TYPE_CHECKING:
    from .jetstream import JetStream

__all__ = ["BatchWriter", "encode_batch"]

_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


def encode_line(update: Update, mark: str) -> str:
    """Return an update as a line of JSON."""
    data = update.data
    said = {"topic": update.topic, "sequence": update.sequence}
    if update.epoch is not None:
        said["epoch"] = update.epoch
    if mark:
        said["mark"] = mark
    if update.time is not None:
        said["time"] = update.time
    said["data"] = data.decode(errors="replace") if isinstance(data, bytes) else data
    return _encode(said)


def encode_batch(lines: list[str]) -> bytes:
    """Return a batch as it is sent."""
    return "\n".join(lines).encode()


class BatchWriter(JetStreamWriter):
    """See the module."""

    def __init__(self, sink: JetStream, post: Post) -> None:
        super().__init__(sink, post)
        assert sink.batch is not None
        self.size, self.linger = sink.batch, sink.linger
        self._subject = post.names.batch(self._shard)
        self._held: Notice | None = None  # to be sent before anything else

    @property
    def is_idle(self) -> bool:
        """See Writer."""
        return super().is_idle and self._held is None

    def ready(self) -> bool:
        """See Writer."""
        return self._held is not None or super().ready()

    def _next(self) -> Sent:
        if self._held is not None:
            notice, self._held = self._held, None
            return self._message(notice)
        self._due = None
        lines: list[str] = []
        while len(self.buffer) and len(lines) < self.size:
            record = self.buffer.take()
            if type(record) is Update:
                lines.append(encode_line(record, self._marks.get(str(record.topic), "")))
                continue
            assert isinstance(record, Notice)
            if not lines:
                return self._message(record)
            self._held = record
            break
        return Sent(self._subject, encode_batch(lines), self._number(), len(lines))
