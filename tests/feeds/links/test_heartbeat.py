"""The heartbeat of a service: what is sent, when, and what counts as its answer."""

from __future__ import annotations

import math
from itertools import count
from typing import Any

import pytest

from reactor.feeds.links.heartbeat import Heartbeat, Pulse


def is_pong(message: str | bytes) -> bool:
    return message == "pong"


def test_it_is_due_every_so_many_seconds_from_the_opening_of_the_link_on() -> None:
    pulse = Pulse(Heartbeat("ping", every=20.0), 100.0)
    assert pulse.due() == 120.0
    assert not pulse.beat(119.9)
    assert pulse.beat(120.5)
    assert pulse.message() == "ping"
    pulse.sent(120.5)
    assert pulse.due() == 140.5
    assert not pulse.beat(120.5)


def test_its_message_may_be_made_anew_each_time() -> None:
    numbers = count(1)
    pulse = Pulse(Heartbeat(lambda: f"ping {next(numbers)}"), 100.0)
    assert [pulse.message(), pulse.message()] == ["ping 1", "ping 2"]


def test_an_answer_that_is_expected_is_overdue_after_the_timeout() -> None:
    pulse = Pulse(Heartbeat("ping", every=20.0, expect=is_pong, timeout=5.0), 100.0)
    assert pulse.beat(120.0)
    assert not pulse.awaiting  # it has not left yet
    pulse.sent(121.0)
    assert pulse.awaiting
    assert pulse.due() == 126.0
    assert not pulse.overdue(125.9)
    assert pulse.overdue(126.0)


def test_only_the_answer_ends_the_wait() -> None:
    pulse = Pulse(Heartbeat("ping", every=20.0, expect=is_pong, timeout=5.0), 100.0)
    assert not pulse.answers("pong")  # to what?
    pulse.sent(120.0)
    assert not pulse.answers("a trade")
    assert pulse.awaiting
    assert pulse.answers("pong")
    assert not pulse.awaiting
    assert not pulse.overdue(1000.0)


def test_where_no_answer_is_expected_none_is_overdue() -> None:
    pulse = Pulse(Heartbeat("ping"), 100.0)
    pulse.sent(120.0)
    assert not pulse.awaiting
    assert not pulse.answers("pong")
    assert not pulse.overdue(1000.0)


def test_nothing_is_sent_while_the_message_before_waits_or_its_answer_is_owed() -> None:
    pulse = Pulse(Heartbeat("ping", every=5.0, expect=is_pong, timeout=60.0), 100.0)
    assert pulse.beat(105.0)
    pulse.queued()
    assert not pulse.beat(110.0)  # the pace holds the first one back
    pulse.sent(111.0)
    assert not pulse.beat(115.0)
    assert pulse.answers("pong")
    assert pulse.beat(120.0)


async def made_later(*_: object) -> str:
    return "ping"


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"message": 5}, TypeError, "message must be str, bytes or a function, not 5"),
        ({"message": made_later}, TypeError, "message must be a plain function"),
        ({"expect": "pong"}, TypeError, "expect must be a function or None, not 'pong'"),
        ({"expect": made_later}, TypeError, "expect must be a plain function"),
        *(
            ({name: value}, error, f"{name} must be more than 0 seconds")
            for name in ("every", "timeout")
            for value, error in [
                (0, ValueError),
                (-1.0, ValueError),
                (math.inf, ValueError),
                (math.nan, ValueError),
                ("20", TypeError),
                (True, TypeError),
                (None, TypeError),
            ]
        ),
    ],
)
def test_what_cannot_be_used_is_an_error_that_names_it(
    options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        Heartbeat(**{"message": "ping", **options})
