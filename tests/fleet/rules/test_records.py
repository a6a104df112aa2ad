"""What a shard gives to its sink, as objects and as text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reactor.feeds import Gap, Update
from reactor.fleet.rules.records import (
    Notice,
    bounds,
    encode_data,
    encode_notice,
    encode_update,
)

UPDATE = Update("T1", {"price": 1.5}, sequence=7, epoch="a")
NEXT = Update("T1", {"price": 2.5}, sequence=9, epoch="a")


@pytest.mark.parametrize(
    ("data", "octets"),
    [
        (b"\x00\xff", b"\x00\xff"),
        ("gr\u00fcn", "gr\u00fcn".encode()),
        ({"price": 1.5, "of": ["a", None]}, b'{"price":1.5,"of":["a",null]}'),
        ({"what": 1 + 2j}, b'{"what":"(1+2j)"}'),
    ],
)
def test_data_is_text_or_bytes_as_it_is_or_else_json(data: Any, octets: bytes) -> None:
    assert encode_data(Update("T1", data)) == octets


def test_where_an_update_stands_in_its_topic() -> None:
    assert bounds(UPDATE) == {"sequence": 7, "epoch": "a", "time": UPDATE.time}
    assert bounds(None) is None


def test_a_gap_is_a_notice_with_its_bounds() -> None:
    notice = Notice.of_gap("T1", Gap("sequence", UPDATE, NEXT))
    assert notice == Notice("gap", "T1", "sequence", UPDATE, NEXT)
    assert json.loads(encode_notice(notice, 3, 12)) == {
        "kind": "gap",
        "topic": "T1",
        "reason": "sequence",
        "last": bounds(UPDATE),
        "next": bounds(NEXT),
        "count": None,
        "shard": 3,
        "epoch": 12,
    }


def test_a_refusal_has_the_words_of_the_service() -> None:
    said = json.loads(encode_notice(Notice("refused", "T1", {"code": 4}), 0, 1))
    assert (said["kind"], said["reason"], said["last"]) == ("refused", {"code": 4}, None)


@pytest.mark.parametrize(
    ("data", "shown"), [({"a": 1}, {"a": 1}), ("text", "text"), (b"caf\xe9", "caf\ufffd")]
)
def test_an_update_as_json_has_who_publishes_it(data: Any, shown: Any) -> None:
    encoded = encode_update(Update("T1", data, sequence=7), 3, 12)
    assert encoded["data"] == shown
    assert (encoded["kind"], encoded["topic"], encoded["sequence"]) == ("update", "T1", 7)
    assert (encoded["shard"], encoded["epoch"]) == (3, 12)
    json.dumps(encoded)
