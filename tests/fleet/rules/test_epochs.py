"""Epochs: what a refusal means, and when an epoch is renewed."""

from __future__ import annotations

import pytest

from reactor.fleet.rules.epochs import (
    Epoch,
    Verdict,
    fence_headers,
    judge_refusal,
    renewal_due,
)

OURS = Epoch(0, 4, "me", 17)
THEIRS = Epoch(0, 5, "other", 30)


@pytest.mark.parametrize(
    ("last", "holder", "expected"),
    [
        (THEIRS, "me", Verdict.LEAVE),
        (THEIRS, "other", Verdict.LEAVE),
        (OURS, None, Verdict.ADOPT),
        (None, "me", Verdict.RENEW),
        # A zombie must not begin an epoch when that of its successor was rolled out.
        (None, "other", Verdict.LEAVE),
        (None, None, Verdict.LEAVE),
    ],
)
def test_what_a_refusal_means(last: Epoch | None, holder: str | None, expected: Verdict) -> None:
    assert judge_refusal(last, "me", holder) is expected


@pytest.mark.parametrize(
    ("sequence", "age", "first", "last", "max_age", "bounded", "expected"),
    [
        (10, 1e9, 1, 1000, None, False, False),  # nothing is ever rolled out
        (10, 10.0, 1, 1000, 60.0, False, False),
        (10, 16.0, 1, 1000, 60.0, False, True),
        (10, 0.0, 1, 1000, None, True, False),  # the limit was not reached yet
        (600, 0.0, 100, 1000, None, True, False),
        (500, 0.0, 100, 1000, None, True, True),
    ],
)
def test_an_epoch_is_renewed_long_before_it_is_rolled_out(
    sequence: int,
    age: float,
    first: int,
    last: int,
    max_age: float | None,
    bounded: bool,
    expected: bool,
) -> None:
    assert renewal_due(sequence, age, first, last, max_age, bounded) is expected


def test_the_headers_are_those_of_the_server() -> None:
    assert fence_headers(17, "f.epoch.0") == {
        "Nats-Expected-Last-Subject-Sequence": "17",
        "Nats-Expected-Last-Subject-Sequence-Subject": "f.epoch.0",
    }


def test_an_epoch_message_says_what_was_written() -> None:
    assert Epoch.decode(OURS.encode(), 17) == OURS


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"shard": null}', b"\xff"])
def test_what_is_no_epoch_message_is_an_error_that_shows_it(value: bytes) -> None:
    with pytest.raises(ValueError, match="no epoch message"):
        Epoch.decode(value, 1)
