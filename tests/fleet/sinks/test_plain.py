"""Sinks that nobody fences."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from reactor.feeds import Update
from reactor.fleet import Call, CoreNats, Lines, Notice, Record

from ..support import needs_server
from .stage import Stage, staged, until

pytestmark = [needs_server, pytest.mark.timeout(120)]

RECORDS = [Update("A", {"n": 1}, 1), Notice("gap", "A", "reconnect"), Update("B", "two", 2)]


def test_lines_say_who_has_written_them(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        for record in RECORDS:
            writer.put(record)
        assert await writer.flush(10.0)
        assert writer.figures()["sent"] == 3

    staged(Lines(str(tmp_path / "new"), sync=True), scene)
    (path,) = (tmp_path / "new").iterdir()
    assert path.name == "0.1.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["update", "gap", "update"]
    assert {(line["shard"], line["epoch"]) for line in lines} == {(0, 1)}
    assert lines[0]["data"] == {"n": 1}


def test_core_nats_has_the_same_subjects_and_names_shard_and_epoch_in_headers() -> None:
    async def scene(stage: Stage) -> None:
        got: list[Any] = []

        async def take(message: Any) -> None:
            got.append((message.subject, message.data, message.headers["Reactor-Epoch"]))

        await stage.client.subscribe("t.>", cb=take)
        await stage.client.flush()
        writer = await stage.writer()
        for record in RECORDS:
            writer.put(record)
        await until(lambda: len(got) == 3)
        assert [each[0] for each in got] == ["t.u.A", "t.n.A", "t.u.B"]
        assert got[0] == ("t.u.A", b'{"n":1}', "1")

    staged(CoreNats(), scene)


def test_a_function_gets_each_record_and_what_it_raises_costs_that_one() -> None:
    got: list[Any] = []

    async def function(record: Record, shard: int, epoch: int) -> None:
        await asyncio.sleep(0)
        if record is RECORDS[1]:
            raise ValueError("no")
        got.append((record, shard, epoch))

    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        for record in RECORDS:
            writer.put(record)
        assert await writer.flush(10.0)
        assert got == [(RECORDS[0], 0, 1), (RECORDS[2], 0, 1)]
        assert (writer.failed, writer.sent) == (1, 2)

    staged(Call(function), scene)


def test_nothing_is_written_while_the_lease_was_not_renewed() -> None:
    got: list[Any] = []

    def function(record: Record, shard: int, epoch: int) -> None:
        got.append(record)

    async def scene(stage: Stage) -> None:
        stage.valid = False
        writer = await stage.writer()
        for record in RECORDS:
            writer.put(record)
        assert not await writer.flush(0.2)
        assert got == []
        stage.valid = True
        assert await writer.flush(10.0)
        assert got == RECORDS

    staged(Call(function), scene)
