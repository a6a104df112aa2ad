"""The state of a connection, as it is printed."""

from __future__ import annotations

from reactor.protocols.events import State


def test_a_state_is_printed_by_its_name() -> None:
    assert str(State.OPEN) == "OPEN"
    assert f"{State.CLOSING}" == "CLOSING"
    assert f"{State.CLOSING:>10}" == "   CLOSING"


def test_a_state_is_a_number_where_a_number_is_asked_for() -> None:
    assert f"{State.OPEN:d}" == "1"
    assert f"{State.CLOSED:02x}" == "03"
