"""The sink of JetStream, with many updates in one message.

What it is: the writer for ``JetStream(batch=...)``.

What it must not know: connections, confirmations, the fence: those are of publishing.py.

How it works. A batch goes when it is full, or when its first update has waited for ``linger``. It
has the subject NAME.b.SHARD; each line is an update as JSON: topic, sequence, epoch, time, data. A
notice goes as a message of its own, between the batches, in order.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from ...feeds import Update
from ..rules.records import Notice, Record
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
        self._size = sink.batch
        self._subject = post.names.batch(self._shard)
        self._held: Notice | None = None  # to be sent before anything else
        self._due: float | None = None  # when a batch that is not full goes
        self._loop = asyncio.get_running_loop()

    @property
    def is_idle(self) -> bool:
        """See Writer."""
        return super().is_idle and self._held is None

    async def flush(self, timeout: float) -> bool:
        """See Writer."""
        self._due = 0.0
        return await super().flush(timeout)

    def _ready(self) -> bool:
        """Whether a batch is full, or its first update has waited long enough."""
        waiting = len(self.buffer)
        if self._held is not None or waiting >= self._size:
            return True
        if not waiting:
            self._due = None
            return False
        now = self._loop.time()
        if self._due is None:
            self._due = now + self.sink.linger
            self._loop.call_later(self.sink.linger, self.poke)
        return now >= self._due

    def put(self, record: Record) -> None:
        """See Writer. Only the first record of a batch, and the last, wake the pump."""
        self.buffer.put(record)
        if self._waiting and (len(self.buffer) >= self._size or self._due is None):
            self.poke()

    def _next(self) -> Sent:
        if self._held is not None:
            notice, self._held = self._held, None
            return self._message(notice)
        self._due = None
        lines: list[str] = []
        while len(self.buffer) and len(lines) < self._size:
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
