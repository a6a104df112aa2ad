"""Leases: what an observer makes of them, and who may take one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reactor.fleet.coordinator import LOOK
from reactor.fleet.rules.leases import (
    FIRST,
    LEASE,
    RENEW,
    TABLE,
    Lease,
    LeaseTable,
    Seat,
    Signal,
    may_take,
)
from reactor.fleet.seat import ANSWER

MINE = Lease(0, "pod-0", "one", figures={"topics": 3})
STARTING = replace(MINE, figures={})


def looks(
    table: LeaseTable, revision: int, begin: float, end: float, lease: Lease = MINE
) -> list[int]:
    """Look four times a second at a lease that does not change."""
    lapsed = []
    now = begin
    while now <= end:
        lapsed += table.look({0: (revision, lease)}, now)
        now += 0.25
    return lapsed


def test_a_lease_that_is_not_renewed_for_three_seconds_is_silent_and_that_is_told_once() -> None:
    table = LeaseTable()
    assert looks(table, 1, 100.0, 100.0 + LEASE - 0.25) == []
    assert table.seat(0) is Seat.HELD
    assert looks(table, 1, 100.0 + LEASE, 120.0) == [0]
    assert table.seat(0) is Seat.SILENT
    assert table.lease(0) == MINE


def test_a_process_that_is_starting_has_more_time_until_its_first_renewal() -> None:
    table = LeaseTable()
    assert looks(table, 1, 100.0, 100.0 + FIRST - 0.25, STARTING) == []
    assert looks(table, 1, 100.0 + FIRST, 120.0, STARTING) == [0]
    assert looks(table, 2, 120.25, 120.0 + LEASE) == []  # renewed: from now on it has LEASE
    assert looks(table, 2, 120.25 + LEASE, 130.0) == [0]


def test_a_shard_that_hangs_is_told_in_time_to_have_its_topics_live_again_in_5_s() -> None:
    """Whenever it was renewed for the last time, and whenever the observer looks."""
    for offset in (0.0, 0.01, 0.1, 0.2, 0.24):
        table = LeaseTable()
        renewed = 100.0 + offset  # the last time
        now, lapsed = 98.0, False
        while not lapsed:
            revision = int(min(now, renewed) - offset)  # one a second, until then
            lapsed = bool(table.look({0: (revision, MINE)}, now))
            now += LOOK
        assert now - LOOK - renewed <= LEASE + LOOK


def test_an_answer_that_is_lost_leaves_time_for_another_renewal() -> None:
    assert RENEW + ANSWER + RENEW / 4 < LEASE


def test_a_renewal_begins_the_time_anew_and_revives_a_silent_one() -> None:
    table = LeaseTable()
    looks(table, 1, 100.0, 102.0)
    assert looks(table, 2, 102.25, 105.0) == []
    assert looks(table, 2, 105.25, 105.25) == [0]
    assert looks(table, 3, 105.5, 105.5) == []
    assert table.seat(0) is Seat.HELD
    assert looks(table, 3, 105.75, 110.0) == [0]  # and it is told again


def test_time_in_which_nobody_could_look_is_no_silence() -> None:
    """While the store is away, nobody can renew; and all would be replaced when it is back."""
    table = LeaseTable()
    looks(table, 1, 100.0, 102.0)
    assert looks(table, 1, 160.0, 160.0 + LEASE - 0.25) == []
    assert looks(table, 1, 160.0 + LEASE, 160.0 + LEASE) == [0]


@pytest.mark.parametrize("entry", [None, (2, replace(MINE, released=True))])
def test_a_lease_that_was_given_back_is_vacant(entry: tuple[int, Lease] | None) -> None:
    table = LeaseTable()
    looks(table, 1, 100.0, 101.0)
    table.look({0: entry}, 101.25)
    assert table.seat(0) is Seat.VACANT
    assert table.look({0: entry}, 109.0) == []


def test_what_is_not_in_the_table_changes_nothing() -> None:
    assert (Seat.VACANT, Signal.LAPSE) not in TABLE
    assert (Seat.SILENT, Signal.LAPSE) not in TABLE
    assert LeaseTable().seat(7) is Seat.VACANT
    assert LeaseTable().lease(7) is None


@pytest.mark.parametrize(
    ("lease", "seat", "holder", "expected"),
    [
        (None, Seat.VACANT, "x", True),
        (replace(MINE, released=True), Seat.VACANT, "x", True),
        (MINE, Seat.HELD, "x", False),
        (MINE, Seat.SILENT, "x", True),
        (MINE, Seat.HELD, "pod-0", True),  # the incarnation before is dead
        (MINE, Seat.VACANT, "x", False),  # not looked at for long enough
    ],
)
def test_who_may_take_a_lease(lease: Lease | None, seat: Seat, holder: str, expected: bool) -> None:
    assert may_take(lease, seat, holder, "two") is expected


def test_one_does_not_take_what_one_has() -> None:
    assert not may_take(MINE, Seat.HELD, "pod-0", "one")


def test_a_lease_is_what_was_written_and_later_versions_may_write_more() -> None:
    lease = Lease(3, "h", "i", "node", 17, 4, 5, False, {"updates": 7})
    assert Lease.decode(lease.encode()) == lease
    assert Lease.decode(b'{"shard": 1, "holder": "h", "incarnation": "i", "new": 1}').shard == 1


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"[]", b"{}", b"nonsense", b"\xff"),
        b'{"shard": 1, "holder": "h", "incarnation": "i", "figures": [5]}',
    ],
)
def test_what_is_no_lease_is_an_error_that_shows_it(value: bytes) -> None:
    with pytest.raises(ValueError, match="no lease"):
        Lease.decode(value)
