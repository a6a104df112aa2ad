"""Sinks without a server that could fence: core NATS, a function, lines of JSON.

What it is: :class:`CoreNats`, :class:`Call`, :class:`Lines` and their writers.

What it must not know: feeds, leases; only whether the lease is thought to be ours.

How it works. Nobody refuses here what a shard writes that was replaced without knowing it. So every
record names its shard and epoch, and whoever reads takes the highest epoch. A shard also stops by
itself: while its lease was not renewed in time, nothing is written.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

from ...feeds import Update
from ..names import topic_token
from ..rules.records import Notice, Record, encode_data, encode_notice, encode_update
from ..store import connect
from .base import Post, Sink, Writer

__all__ = ["Call", "CoreNats", "Lines", "PlainWriter", "as_dict"]

_log = logging.getLogger("reactor.fleet")

#: Records that are written at once.
AT_ONCE = 512

#: Seconds between two looks at whether the lease is ours again.
PAUSE = 0.05


def as_dict(record: Record, shard: int, epoch: int) -> dict[str, Any]:
    """Return a record as a dict that can be JSON, with who writes it."""
    if isinstance(record, Notice):
        said: dict[str, Any] = json.loads(encode_notice(record, shard, epoch))
        return said
    return encode_update(record, shard, epoch)


class PlainWriter(Writer):
    """Takes records, not too many at a time, and has them written.

    Attributes:
        at_once: how many at most.
    """

    at_once = AT_ONCE

    def __init__(self, sink: Sink, post: Post) -> None:
        super().__init__(sink, post)
        self.shard, self.epoch = post.epoch.shard, post.epoch.number
        self._taken: list[Record] = []

    @property
    def is_idle(self) -> bool:
        """See Writer."""
        return not len(self.buffer) and not self._taken

    async def run(self) -> None:
        """See Writer."""
        await self.open()
        while True:
            if not self._taken:
                if not self.ready():
                    await self.more()
                    continue
                self._due = None
                count = min(len(self.buffer), self.at_once)
                self._taken = [self.buffer.take() for _ in range(count) if len(self.buffer)]
            while not self.post.valid():  # noqa: ASYNC110 - time makes it so, no event
                await asyncio.sleep(PAUSE)
            await self.write(self._taken)
            self.sent += len(self._taken)
            self._taken = []
            if self.is_idle:
                self._idle.set()
            await asyncio.sleep(0)

    async def open(self) -> None:
        """Get ready to write; called again after a failure."""

    async def write(self, records: list[Record]) -> None:
        """Write records. When it raises, those that are left in the list come again.

        What is taken out of the list is to be counted.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class CoreNats(Sink):
    """Updates as messages of NATS that nobody stores: fast, and lost where nobody listens.

    The subjects are those of JetStream, NAME.u.TOPIC and NAME.n.TOPIC, and there must be no stream
    of that name. The headers ``Reactor-Shard`` and ``Reactor-Epoch`` say who publishes.

    Args:
        encode: returns the data of an update as bytes; None: text and bytes as they are, else
            JSON.
        maxlen, drop: as for every sink.
    """

    encode: Callable[[Update], bytes] | None = None

    def writer(self, post: Post) -> Writer:
        """See Sink."""
        return _CoreNatsWriter(self, post)


class _CoreNatsWriter(PlainWriter):
    def __init__(self, sink: CoreNats, post: Post) -> None:
        super().__init__(sink, post)
        self._encode = sink.encode or encode_data
        self._client: Any = None

    async def open(self) -> None:
        if self._client is None:
            self._client = await connect(self.post.servers, **self.post.options)
        self._headers = {"Reactor-Shard": str(self.shard), "Reactor-Epoch": str(self.epoch)}

    async def write(self, records: list[Record]) -> None:
        client, names = self._client, self.post.names
        while not client.is_connected:  # noqa: ASYNC110 - the client has no event for it
            await asyncio.sleep(PAUSE)
        for record in records:
            token = topic_token(str(record.topic))
            if isinstance(record, Notice):
                payload = encode_notice(record, self.shard, self.epoch)
                await client.publish(names.notice(token), payload, headers=self._headers)
            else:
                payload = self._encode(record)
                await client.publish(names.update(token), payload, headers=self._headers)

    async def close(self) -> None:
        await super().close()
        if self._client is not None:
            await self._client.close()


@dataclass(frozen=True)
class Call(Sink):
    """A function of yours, called in each shard with each record.

    Args:
        function: called with (record, shard, epoch): an Update or a Notice, and who has it. It is
            a function that can be imported, since it runs in the processes of the shards. What it
            returns is awaited, if it can be.
        maxlen, drop: as for every sink.
    """

    function: Callable[[Record, int, int], Any]

    def writer(self, post: Post) -> Writer:
        """See Sink."""
        return _CallWriter(self, post)


class _CallWriter(PlainWriter):
    def __init__(self, sink: Call, post: Post) -> None:
        super().__init__(sink, post)
        self._function = sink.function

    async def write(self, records: list[Record]) -> None:
        while records:
            record = records.pop(0)
            try:
                returned = self._function(record, self.shard, self.epoch)
                if inspect.isawaitable(returned):
                    await returned
                self.sent += 1
            except Exception:  # noqa: BLE001 - the user's code; reported, and left out
                self.failed += 1
                if self.failed & (self.failed - 1) == 0:  # the 1st, 2nd, 4th, ...
                    _log.exception("the function has failed %d times", self.failed)


@dataclass(frozen=True)
class Lines(Sink):
    """Lines of JSON in files: FOLDER/SHARD.EPOCH.jsonl, a new one for each epoch.

    Args:
        folder: where; it is made if it is missing.
        sync: whether every piece is forced to the disk before more is written.
        maxlen, drop: as for every sink.
    """

    folder: str
    sync: bool = False

    def writer(self, post: Post) -> Writer:
        """See Sink."""
        return _LinesWriter(self, post)


class _LinesWriter(PlainWriter):
    def __init__(self, sink: Lines, post: Post) -> None:
        super().__init__(sink, post)
        self._folder, self._sync = sink.folder, sink.sync
        self._file: TextIO | None = None

    async def open(self) -> None:
        if self._file is None:
            os.makedirs(self._folder, exist_ok=True)
            path = os.path.join(self._folder, f"{self.shard}.{self.epoch}.jsonl")
            self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115, ASYNC230 - once

    async def write(self, records: list[Record]) -> None:
        lines = [
            json.dumps(as_dict(record, self.shard, self.epoch), default=str) for record in records
        ]
        await asyncio.to_thread(self._write, "\n".join(lines) + "\n")

    def _write(self, text: str) -> None:
        assert self._file is not None
        self._file.write(text)
        self._file.flush()
        if self._sync:
            os.fsync(self._file.fileno())

    async def close(self) -> None:
        await super().close()
        if self._file is not None:
            self._file.close()
