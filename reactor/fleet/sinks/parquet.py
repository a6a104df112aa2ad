"""The sink of Parquet: updates in files of columns.

What it is: :class:`Parquet` and its writer; the only importer of pyarrow.

What it must not know: feeds, leases.

How it works. Such a file can be read when it is complete, so one is written at once, of what has
come within ``seconds``, or as soon as there are ``rows``, under another name first. Until then
records wait in the buffer, and are lost with the process. Nobody asks who may write files: each row
and each name has shard and epoch (see plain.py).
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import Any

from ...base.mistakes import check_number
from ..rules.records import Columns, Record, columns_of
from .base import Post, Sink, Writer, need_package
from .plain import PlainWriter

__all__ = ["Parquet"]

_INT64 = range(-(1 << 63), 1 << 63)


@dataclass(frozen=True)
class Parquet(Sink):
    """Files of Parquet: FOLDER/SHARD.EPOCH.TIME.parquet, TIME in milliseconds.

    The columns: ``kind``, ``topic``, ``sequence`` (int64; null where it is none), ``time`` (text),
    ``data`` (binary: text and bytes as they are, else JSON), ``shard``, ``epoch``.

    Args:
        folder: where; it is made if it is missing.
        rows: in a file at most; not more than *maxlen*.
        seconds: after which a file is written in any case. So much is lost with a process.
        compression: "zstd", "snappy", "gzip", "lz4" or "none".
        maxlen, drop: as for every sink.

    Raises:
        WebSocketStateException: The package pyarrow is not there.
    """

    folder: str
    rows: int = 50_000
    seconds: float = 10.0
    compression: str = "zstd"

    def __post_init__(self) -> None:
        super().__post_init__()
        need_package("pyarrow", "fleet-parquet")
        check_number("rows", self.rows, "1 or more, up to maxlen")
        if not 1 <= self.rows <= self.maxlen:
            raise ValueError(f"rows must be 1 or more, up to maxlen, not {self.rows!r}")
        check_number("seconds", self.seconds, "more than 0")
        if self.seconds <= 0:
            raise ValueError(f"seconds must be more than 0, not {self.seconds!r}")
        if self.compression not in ("zstd", "snappy", "gzip", "lz4", "none"):
            raise ValueError(
                "compression must be 'zstd', 'snappy', 'gzip', 'lz4' or 'none',"
                f" not {self.compression!r}"
            )

    def writer(self, post: Post) -> Writer:
        """See Sink."""
        return _ParquetWriter(self, post)


class _ParquetWriter(PlainWriter):
    def __init__(self, sink: Parquet, post: Post) -> None:
        super().__init__(sink, post)
        self._sink = sink
        self.size = self.at_once = sink.rows
        self.linger = sink.seconds
        self._latest = 0

    async def write(self, records: list[Record]) -> None:
        await asyncio.to_thread(self._write, records)

    def _write(self, records: list[Record]) -> None:
        import pyarrow
        import pyarrow.parquet

        schema = pyarrow.schema(
            [
                ("kind", pyarrow.string()),
                ("topic", pyarrow.string()),
                ("sequence", pyarrow.int64()),
                ("time", pyarrow.string()),
                ("data", pyarrow.binary()),
                ("shard", pyarrow.int32()),
                ("epoch", pyarrow.int64()),
            ]
        )
        rows = [_row(columns_of(record, self.shard, self.epoch)) for record in records]
        columns = [list(column) for column in zip(*rows, strict=True)]
        table = pyarrow.Table.from_arrays(
            [pyarrow.array(each, kind.type) for each, kind in zip(columns, schema, strict=True)],
            schema=schema,
        )
        sink = self._sink
        os.makedirs(sink.folder, exist_ok=True)
        self._latest = max(self._latest + 1, time.time_ns() // 1_000_000)
        path = os.path.join(sink.folder, f"{self.shard}.{self.epoch}.{self._latest}.parquet")
        pyarrow.parquet.write_table(table, f"{path}.part", compression=sink.compression)
        os.replace(f"{path}.part", path)


def _row(said: Columns) -> tuple[Any, ...]:
    """Return a record as its columns are typed."""
    number = said.sequence if type(said.sequence) is int and said.sequence in _INT64 else None
    moment = None if said.time is None else str(said.time)
    return said._replace(sequence=number, time=moment)
