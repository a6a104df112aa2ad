"""What waits in a sink, and what is not confirmed yet."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.feeds import Gap, Update
from reactor.fleet.rules.records import Notice, encode_data, encode_notice, encode_update
from reactor.fleet.rules.window import Buffer, Window


def drain(buffer: Buffer) -> list[Any]:
    return [buffer.take() for _ in iter(lambda: len(buffer), 0)]


def shown(records: list[Any]) -> list[Any]:
    return [
        (record.topic, record.sequence)
        if isinstance(record, Update)
        else (
            record.kind,
            record.topic,
            record.last and record.last.sequence,
            record.next and record.next.sequence,
            record.count,
        )
        for record in records
    ]


def test_records_come_in_order() -> None:
    buffer = Buffer()
    records = [Update("A", 1), Notice("gap", "A"), Update("B", 2)]
    for record in records:
        buffer.put(record)
    assert len(buffer) == 3
    assert drain(buffer) == records
    with pytest.raises(IndexError):
        buffer.take()


def test_the_oldest_go_and_a_gap_with_its_bounds_comes_before_what_follows() -> None:
    buffer = Buffer(maxlen=3)
    buffer.put(Update("A", sequence=1))
    buffer.take()
    for number in (2, 3, 4, 5):
        buffer.put(Update("A", sequence=number))
    buffer.put(Update("B", sequence=1))
    assert buffer.dropped == 2
    assert shown(drain(buffer)) == [
        ("gap", "A", 1, 4, 2),
        ("A", 4),
        ("A", 5),
        ("B", 1),
    ]


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from("ABC"), st.booleans()), max_size=60),
)
def test_each_update_comes_or_is_within_the_bounds_of_a_gap(
    maxlen: int, steps: list[tuple[str, bool]]
) -> None:
    buffer = Buffer(maxlen)
    put = dict.fromkeys("ABC", 0)
    got: list[Any] = []
    for topic, take in steps:
        put[topic] += 1
        buffer.put(Update(topic, sequence=put[topic]))
        assert len(buffer) <= maxlen + 4  # a notice for each topic, and a record behind one
        if take:
            got.append(buffer.take())
    got += drain(buffer)
    for topic in "ABC":
        last, lost = 0, 0
        for record in got:
            if record.topic != topic:
                continue
            if isinstance(record, Notice):
                assert (record.last.sequence if record.last else 0) == last
                lost += record.count or 0
                follows = record.next
                continue
            assert record.sequence == last + lost + 1
            assert not lost or follows in (None, record)
            last, lost = record.sequence, 0
        assert last + lost == put[topic]


def test_conflation_keeps_the_latest_of_each_topic_and_all_notices() -> None:
    buffer = Buffer(maxlen=10, drop="latest")
    buffer.put(Update("A", sequence=1))
    buffer.put(Notice("gap", "A"))
    buffer.put(Update("A", sequence=2))
    buffer.put(Update("B", sequence=1))
    buffer.put(Notice("gap", "A"))
    assert buffer.dropped == 1
    assert shown(drain(buffer)) == [
        ("A", 2),
        ("gap", "A", None, None, None),
        ("B", 1),
        ("gap", "A", None, None, None),
    ]


def test_conflation_has_a_bound_as_well() -> None:
    buffer = Buffer(maxlen=2, drop="latest")
    for topic in "ABC":
        buffer.put(Update(topic, sequence=1))
    assert buffer.dropped == 1
    assert [record.topic for record in drain(buffer)] == ["B", "C", "A"]  # the notice of A


def test_a_topic_that_is_over_is_forgotten() -> None:
    buffer = Buffer(maxlen=1)
    buffer.put(Update("A", sequence=1))
    buffer.put(Update("A", sequence=2))
    buffer.forget("A")
    assert shown(drain(buffer)) == [("A", 2)]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"maxlen": 0}, ValueError),
        ({"maxlen": "many"}, TypeError),
        ({"drop": "newest"}, ValueError),
    ],
)
def test_a_buffer_says_what_is_wrong(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(arguments))):
        Buffer(**arguments)


def test_what_is_not_confirmed_stays_in_order_and_is_confirmed_once() -> None:
    window: Window[str] = Window(3)
    numbers = [window.add(text) for text in "abc"]
    assert window.full
    assert window.confirm(numbers[1]) == "b"
    assert window.confirm(numbers[1]) is None
    assert [text for _, text in window] == ["a", "c"]
    assert numbers[0] in window
    assert numbers[1] not in window
    assert window.discard(numbers[0]) == "a"
    assert (len(window), window.confirmed, window.full) == (1, 1, False)
    with pytest.raises(ValueError, match="window"):
        Window(0)


@pytest.mark.parametrize(
    ("data", "expected"), [("text", b"text"), (b"\xff", b"\xff"), ({"a": [1]}, b'{"a":[1]}')]
)
def test_data_is_sent_as_it_is_or_as_json(data: Any, expected: bytes) -> None:
    assert encode_data(Update("A", data)) == expected


def test_records_say_who_writes_them() -> None:
    gap = Gap("sequence", Update("A", None, 3, time=1.0), Update("A", None, 6))
    assert encode_notice(Notice.of_gap("A", gap), 2, 5) == (
        b'{"kind": "gap", "topic": "A", "reason": "sequence", '
        b'"last": {"sequence": 3, "epoch": null, "time": 1.0}, '
        b'"next": {"sequence": 6, "epoch": null, "time": null}, '
        b'"count": null, "shard": 2, "epoch": 5}'
    )
    said = encode_update(Update("A", b"x", 3), 2, 5)
    assert (said["data"], said["shard"], said["epoch"], said["sequence"]) == ("x", 2, 5, 3)
