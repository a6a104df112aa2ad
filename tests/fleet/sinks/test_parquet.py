"""The sink of Parquet."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
import pyarrow.parquet

from reactor.feeds import Update
from reactor.fleet import Notice, Parquet

from ..support import needs_server
from .stage import Stage, staged, until

pytestmark = [needs_server, pytest.mark.timeout(120)]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [
        row
        for path in sorted(folder.glob("*.parquet"))
        for row in pyarrow.parquet.read_table(path).to_pylist()
    ]


def test_rows_say_who_has_written_them(tmp_path: Path) -> None:
    folder = tmp_path / "new"

    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        writer.put(Update("A", {"n": 1}, 1, time=1.5))
        writer.put(Notice("gap", "A", "reset"))
        writer.put(Update("B", b"\xff", "no number"))
        writer.put(Update("B", "text", 1 << 70))
        assert await writer.flush(30.0)
        assert writer.figures()["sent"] == 4

    staged(Parquet(str(folder)), scene)
    (path,) = folder.iterdir()
    assert path.name.startswith("0.1.")
    one, gap, two, three = rows(folder)
    who = {"shard": 0, "epoch": 1}
    assert one == {
        "kind": "update",
        "topic": "A",
        "sequence": 1,
        "time": "1.5",
        "data": b'{"n":1}',
        **who,
    }
    assert (gap["kind"], json.loads(gap["data"])["reason"]) == ("gap", "reset")
    assert (two["data"], two["sequence"]) == (b"\xff", None)
    assert (three["data"], three["sequence"]) == (b"text", None)


def test_a_file_is_written_when_it_is_full_and_not_before(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        for number in range(7):
            writer.put(Update("A", str(number), number))
        await until(lambda: writer.sent == 6)
        await asyncio.sleep(0)
        assert writer.figures()["buffered"] == 1

    staged(Parquet(str(tmp_path), rows=3, seconds=3600.0), scene)
    assert [row["sequence"] for row in rows(tmp_path)] == list(range(6))
    assert len(list(tmp_path.iterdir())) == 2


def test_or_when_its_first_row_has_waited_long_enough(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        writer.put(Update("A", "x", 1))
        await until(lambda: writer.sent == 1)

    staged(Parquet(str(tmp_path), seconds=0.001), scene)
    assert len(rows(tmp_path)) == 1


def test_a_folder_that_cannot_be_written_costs_nothing_once_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.write_text("in the way")

    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        writer.put(Update("A", "x", 1))
        assert not await writer.flush(0.01)
        await until(lambda: writer.errors)
        folder.unlink()
        assert await writer.flush(30.0)

    staged(Parquet(str(folder)), scene)
    assert len(rows(folder)) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("rows", 0), ("rows", 200_000), ("seconds", 0), ("compression", "x")]
)
def test_settings_say_what_is_wrong(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Parquet("folder", **{name: value})
