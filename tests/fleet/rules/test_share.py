"""Which shard has which topics."""

from __future__ import annotations

from collections import Counter

import pytest

from reactor.fleet.rules.share import SLOTS, owners, share_of, slot_of


def test_a_topic_has_the_same_slot_for_ever() -> None:
    """Topics are stored under their slots: these numbers must never change."""
    assert [slot_of(topic) for topic in ("BTC-USD", "ETH-USD", "", "ü")] == [1268, 3457, 692, 3895]


@pytest.mark.parametrize("shards", [1, 2, 3, 8, 50])
def test_every_slot_has_one_owner_and_the_shares_are_alike(shards: int) -> None:
    counts = Counter(owners(shards))
    assert sorted(counts) == list(range(shards))
    assert sum(len(share_of(shard, shards)) for shard in range(shards)) == SLOTS
    mean = SLOTS / shards
    assert max(counts.values()) < mean + 5 * mean**0.5
    assert min(counts.values()) > mean - 5 * mean**0.5


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 3), (8, 12), (12, 8), (8, 9), (9, 8)])
def test_a_change_moves_only_what_new_shards_get_or_old_ones_leave(before: int, after: int) -> None:
    moved = [
        (one, other)
        for one, other in zip(owners(before), owners(after), strict=True)
        if one != other
    ]
    few, many = min(before, after), max(before, after)
    for one, other in moved:
        assert (other if after > before else one) >= few
    expected = SLOTS * (1 - few / many)
    assert abs(len(moved) - expected) < 5 * expected**0.5


def test_a_shard_that_is_not_of_the_fleet_has_nothing() -> None:
    assert share_of(8, 8) == frozenset()


def test_topics_are_spread_over_the_slots() -> None:
    counts = Counter(slot_of(f"T{number}") for number in range(100_000))
    assert len(counts) == SLOTS
    assert max(counts.values()) < 60
