"""Tokens: never more than n in any window, whoever dies with some."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reactor.fleet.rules.tokens import (
    ABANDONED,
    Witness,
    decode_shares,
    encode_shares,
    give_back,
    take,
)


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=40))
def test_never_more_than_there_are(limit: int, steps: list[tuple[int, bool]]) -> None:
    shares: dict[str, int] = {}
    for number, (wanted, back) in enumerate(steps):
        before = sum(shares.values())
        shares, taken = take(shares, f"who{number}", wanted, limit)
        assert sum(shares.values()) == before + taken <= limit
        assert taken == min(wanted, limit - before)
        if back and shares:
            shares = give_back(shares, next(iter(shares)))


def test_some_may_be_kept() -> None:
    shares, _ = take({}, "a", 10, 100)
    assert give_back(shares, "a", kept=4) == {"a": 4}
    assert give_back(shares, "b") == shares


def test_shares_are_what_was_written() -> None:
    shares: dict[str, Any] = {"a": 3, "b": 10}
    assert decode_shares(encode_shares(shares)) == shares
    assert decode_shares(None) == decode_shares(b"") == {}


def test_who_has_died_with_tokens_has_them_for_a_few_windows() -> None:
    witness = Witness(per=4.0)
    now = 100.0
    while now < 100.0 + 4 * ABANDONED - 0.25:
        assert witness.without_abandoned({"dead": 10, "alive": int(now * 4)}, now) != {}
        now += 0.25
    found = witness.without_abandoned({"dead": 10, "alive": 7}, 100.0 + 4 * ABANDONED)
    assert Counter(found) == Counter({"alive": 7})


def test_a_share_that_changes_is_of_somebody() -> None:
    witness = Witness(per=1.0)
    for number in range(100):
        shares = {"a": 1 + number % 2}
        assert witness.without_abandoned(shares, number * 1.0) == shares
