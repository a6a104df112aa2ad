from __future__ import annotations

import math

import pytest

from reactor.exceptions import WebSocketTimeoutException
from reactor.timers import Deadline, ManualClock


@pytest.fixture
def clock():
    return ManualClock(100.0)


def test_counts_down_on_its_clock(clock):
    deadline = Deadline(clock, 5.0)
    assert (deadline.timeout, deadline.when) == (5.0, 105.0)
    assert deadline.remaining() == 5.0
    clock.advance(3.0)
    assert deadline.remaining() == 2.0
    assert not deadline.expired
    deadline.check("connecting")


def test_expires_at_the_very_moment(clock):
    deadline = Deadline(clock, 5.0)
    clock.advance(5.0)
    assert deadline.expired
    assert deadline.remaining() == 0.0


def test_what_remains_is_never_negative(clock):
    deadline = Deadline(clock, 5.0)
    clock.advance(50.0)
    assert deadline.remaining() == 0.0
    assert deadline.expired


def test_the_error_names_the_step_and_the_limit(clock):
    deadline = Deadline(clock, 2.5)
    clock.advance(3)
    with pytest.raises(WebSocketTimeoutException) as caught:
        deadline.check("the TLS handshake with example.com")
    assert str(caught.value) == (
        "the TLS handshake with example.com timed out (limit of the whole operation: 2.5 s)"
    )


@pytest.mark.parametrize("timeout", [None, math.inf])
def test_without_a_limit_it_never_expires(clock, timeout):
    deadline = Deadline(clock, timeout)
    clock.advance(1e9)
    assert (deadline.timeout, deadline.when) == (None, None)
    assert deadline.remaining() is None
    assert not deadline.expired
    deadline.check("waiting")


def test_a_timeout_of_zero_has_expired_from_the_start(clock):
    deadline = Deadline(clock, 0)
    assert deadline.expired
    assert deadline.remaining() == 0.0
    with pytest.raises(WebSocketTimeoutException, match=r"^receiving timed out .*: 0 s\)$"):
        deadline.check("receiving")


@pytest.mark.parametrize("timeout", [-0.001, -math.inf, math.nan])
def test_a_negative_timeout_is_refused(clock, timeout):
    with pytest.raises(ValueError, match=f"timeout must be .*, not {timeout!r}"):
        Deadline(clock, timeout)
