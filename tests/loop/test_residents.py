"""What lives on a loop, and has nothing to say unless it says so."""

from __future__ import annotations

from reactor.loop.residents import Resident


def test_a_resident_holds_up_nothing_unless_it_says_so() -> None:
    resident = Resident()
    assert not resident.unsent()
    assert not resident.handed_over()
    for told in (resident.end, resident.forked, resident.let_go):
        told()
