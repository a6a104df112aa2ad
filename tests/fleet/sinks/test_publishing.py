"""The sink of JetStream: what is stored, what is refused, and what outages do."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from reactor.feeds import Update
from reactor.fleet import JetStream, Notice
from reactor.fleet.rules.positions import Position

from ..support import kills_processes, needs_server
from .stage import Stage, staged, until

pytestmark = [needs_server, kills_processes, pytest.mark.timeout(120)]


def updates(topic: str, first: int, last: int) -> list[Update]:
    return [Update(topic, {"n": n}, n) for n in range(first, last + 1)]


def put(writer: Any, records: list[Any]) -> None:
    for record in records:
        writer.put(record)


def numbers(stream: list[tuple[str, str, bytes]], topic: str = "A") -> list[int]:
    return [json.loads(data)["n"] for subject, _, data in stream if subject == f"t.u.{topic}"]


def test_updates_and_notices_are_stored_in_order_with_ids_that_tell_positions() -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        put(writer, [*updates("A", 1, 3), Notice("gap", "A", "reconnect"), *updates("A", 7, 7)])
        put(writer, [Update("B.x y", b"raw"), Update("C", "text", 5, epoch="e")])
        assert await writer.flush(20.0)
        stream = await stage.stream()
        assert [subject for subject, _, _ in stream] == [
            *["t.u.A"] * 3,
            "t.n.A",
            "t.u.A",
            "t.u.B.x%20y",
            "t.u.C",
        ]
        assert numbers(stream) == [1, 2, 3, 7]
        assert [data for subject, _, data in stream[5:]] == [b"raw", b"text"]
        assert await writer.positions(["A", "B.x y", "C", "D"]) == {
            "A": Position(7),
            "B.x y": Position(None),
            "C": Position(5, "e"),
        }
        assert (writer.stored, writer.duplicates, len(writer.window)) == (6, 0, 0)

    staged(JetStream(), scene)


def test_the_same_update_of_two_shards_is_stored_once() -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        put(writer, updates("A", 1, 3))
        await writer.flush(20.0)
        await writer.close()
        other = await stage.writer("other")
        put(other, updates("A", 2, 4))
        await other.flush(20.0)
        assert numbers(await stage.stream()) == [1, 2, 3, 4]
        assert other.duplicates == 2

    staged(JetStream(), scene)


def test_a_count_that_begins_anew_is_no_duplicate_and_the_successor_goes_on_with_it() -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        put(writer, [*updates("A", 1, 3), Notice("gap", "A", "reset"), *updates("A", 1, 2)])
        await writer.flush(20.0)
        await writer.close()
        other = await stage.writer("other")
        found = await other.positions(["A"])
        assert found["A"].sequence == 2
        other.seed(found)
        put(other, updates("A", 2, 3))
        await other.flush(20.0)
        assert numbers(await stage.stream()) == [1, 2, 3, 1, 2, 3]

    staged(JetStream(), scene)


def test_a_writer_whose_shard_was_taken_is_refused_and_leaves() -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        put(writer, updates("A", 1, 3))
        await writer.flush(20.0)
        other = await stage.writer("other")
        put(writer, updates("A", 4, 500))
        await until(lambda: stage.fenced)
        put(writer, updates("A", 501, 600))
        put(other, updates("A", 4, 5))  # what was refused is not remembered
        await other.flush(20.0)
        assert numbers(await stage.stream()) == [1, 2, 3, 4, 5]
        assert writer.refused > 0
        assert "newer epoch" in stage.fenced[0]
        assert not await writer.flush(0.05)

    staged(JetStream(), scene)


def test_an_epoch_that_limits_have_rolled_out_is_written_again() -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        for first in range(1, 1000, 100):
            put(writer, updates("A", first, first + 99))
            assert await writer.flush(30.0)
        assert numbers(await stage.stream())[-20:] == list(range(981, 1001))
        assert (writer.stored, stage.fenced) == (1000, [])
        epoch = await stage.ledger.last_epoch(0)
        assert epoch is not None
        assert (epoch.number, epoch.instance) == (1, "me")

    staged(JetStream(max_messages=60), scene)


def test_but_not_by_one_who_does_not_hold_the_lease() -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        stage.held = False
        for first in range(1, 1000, 100):
            put(writer, updates("A", first, first + 99))
        await until(lambda: stage.fenced)

    staged(JetStream(max_messages=20), scene)


def test_an_epoch_is_renewed_before_it_is_too_old() -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        first = await stage.ledger.last_epoch(0)
        assert first is not None
        number = 0
        sequence = first.sequence
        for _ in range(2):
            begun = sequence
            while sequence == begun:
                number += 1
                put(writer, updates("A", number, number))
                await asyncio.sleep(0.02)
                last = await stage.ledger.last_epoch(0)
                assert last is not None
                sequence = last.sequence
        assert await writer.flush(20.0)
        assert numbers(await stage.stream())[-1] == number
        assert (writer.refused, stage.fenced) == (0, [])

    staged(JetStream(max_age=4.0), scene)


def test_a_server_that_is_killed_loses_nothing_and_stores_nothing_twice() -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        number = 0
        for _ in range(3):
            kill = asyncio.ensure_future(stage.kill_server())
            while not kill.done():
                put(writer, updates("A", number + 1, number + 50))
                number += 50
                await asyncio.sleep(0.005)
            await kill
        assert await writer.flush(30.0)
        assert numbers(await stage.stream()) == list(range(1, number + 1))
        assert writer.stored == number

    staged(JetStream(window=1000), scene)


def test_after_an_outage_longer_than_the_duplicate_window_the_stream_is_asked() -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        put(writer, updates("A", 1, 3))
        await writer.flush(20.0)
        deaf = writer._acknowledged

        async def ignore(message: Any) -> None:
            """What the server confirms is lost on its way."""

        writer._acknowledged = ignore
        writer._trouble = "made up"  # so that a new connection begins
        writer.poke()
        await until(lambda: writer.errors == 1)
        put(writer, [*updates("A", 4, 20), Notice("gap", "A"), *updates("B", 1, 20)])
        js = stage.client.jetstream()
        while (await js.stream_info("t")).state.messages < 42:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert len(writer.window) == 38  # all stored, and nothing confirmed
        writer._acknowledged = deaf
        await stage.kill_server()
        writer._lost_at = 0.0  # long ago
        put(writer, updates("A", 21, 30))
        assert await writer.flush(30.0)
        counts = Counter((subject, data) for subject, _, data in await stage.stream())
        assert set(counts.values()) == {1}
        assert numbers(await stage.stream()) == list(range(1, 31))
        assert writer.stored == 50

    staged(JetStream(duplicate_window=0.1), scene)


def test_a_message_that_is_too_big_is_left_out_and_counted() -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        put(writer, [Update("A", b"x" * (2 << 20)), *updates("A", 1, 2)])
        assert await writer.flush(20.0)
        assert numbers(await stage.stream()) == [1, 2]
        assert writer.failed == 1

    staged(JetStream(), scene)


def test_what_cannot_be_sent_waits_within_a_bound_and_the_gap_is_told() -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer(start=False)
        put(writer, updates("A", 1, 30))
        writer.start()
        assert await writer.flush(20.0)
        (_, _, notice), *rest = await stage.stream()
        assert numbers(rest) == list(range(21, 31))
        said = json.loads(notice)
        assert (said["reason"], said["count"], said["next"]["sequence"]) == ("dropped", 20, 21)
        assert writer.figures()["dropped"] == 20

    staged(JetStream(maxlen=10), scene)


def test_batches_are_lines_and_notices_stand_between_them() -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        put(writer, [*updates("A", 1, 25), Notice("gap", "A", "reset"), *updates("A", 1, 2)])
        assert await writer.flush(20.0)
        stream = await stage.stream()
        assert [subject for subject, _, _ in stream][-2:] == ["t.n.A", "t.b.0"]
        lines = [
            json.loads(line)
            for subject, _, data in stream
            if subject == "t.b.0"
            for line in data.splitlines()
        ]
        assert [line["sequence"] for line in lines] == [*range(1, 26), 1, 2]
        assert "mark" not in lines[0]
        assert lines[-1]["mark"]
        assert all(data.count(b"\n") < 10 for _, _, data in stream)
        assert writer.stored == 27

    staged(JetStream(batch=10, linger=0.001), scene)


@pytest.mark.parametrize(
    "arguments",
    [
        {"window": 0},
        {"batch": 0},
        {"linger": -1},
        {"duplicate_window": 0},
        {"storage": "tape"},
        {"maxlen": 0},
        {"drop": "newest"},
    ],
)
def test_settings_say_what_is_wrong(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        JetStream(**arguments)
