"""The sink of Redis: updates in a stream.

What it is: :class:`RedisStreams` and its writer; the only importer of redis.

What it must not know: feeds, leases.

How it works. Records are written by XADD, several in one transaction. When the answer to one is
lost, it is written again, and may be there twice. Redis does not know who may write: each entry
names shard and epoch (see plain.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...base.mistakes import check_number
from ...feeds import Update
from ..rules.records import Record, columns_of, encode_data
from .base import Post, Sink, Writer, need_package
from .plain import PlainWriter

__all__ = ["RedisStreams"]

#: Of the client, unless they are given: a server that is gone is noticed by these.
OPTIONS = {"socket_connect_timeout": 2.0, "socket_timeout": 5.0}


@dataclass(frozen=True)
class RedisStreams(Sink):
    """Updates as entries of a stream of Redis.

    The fields: ``kind``, ``topic``, ``sequence`` and ``time`` where there are such, ``data``,
    ``shard``, ``epoch``.

    Args:
        url: as ``redis://host:6379/0``, ``rediss://`` or ``unix://``.
        stream: its key; None: the name of the fleet.
        keep: entries that the stream keeps, about; None: all, until Redis is full.
        encode: returns the data of an update as bytes; None: text and bytes as they are, else
            JSON.
        options: further arguments of ``redis.asyncio.Redis.from_url``.
        maxlen, drop: as for every sink.

    Raises:
        WebSocketStateException: The package redis is not there.

    One server, or one behind Sentinel or a proxy; not a cluster.
    """

    url: str
    stream: str | None = None
    keep: int | None = 1_000_000
    encode: Callable[[Update], bytes] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        need_package("redis", "fleet-redis")
        if self.keep is not None:
            check_number("keep", self.keep, "1 or more, or None")
            if self.keep < 1:
                raise ValueError(f"keep must be 1 or more, or None, not {self.keep!r}")

    def writer(self, post: Post) -> Writer:
        """See Sink."""
        return _RedisWriter(self, post)


class _RedisWriter(PlainWriter):
    def __init__(self, sink: RedisStreams, post: Post) -> None:
        super().__init__(sink, post)
        self._sink = sink
        self._stream = sink.stream or post.names.name
        self._encode = sink.encode or encode_data
        self._client: Any = None

    async def open(self) -> None:
        if self._client is None:
            from redis.asyncio import Redis

            self._client = Redis.from_url(self._sink.url, **{**OPTIONS, **self._sink.options})

    async def write(self, records: list[Record]) -> None:
        async with self._client.pipeline(transaction=True) as pipe:
            for record in records:
                said = columns_of(record, self.shard, self.epoch, self._encode)._asdict()
                fields = {
                    name: value if isinstance(value, bytes) else str(value)
                    for name, value in said.items()
                    if value is not None
                }
                pipe.xadd(self._stream, fields, maxlen=self._sink.keep, approximate=True)
            await pipe.execute()

    async def close(self) -> None:
        await super().close()
        if self._client is not None:
            await self._client.aclose()
