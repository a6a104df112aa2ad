from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.feeds import Pace as PublicPace
from reactor.timers import Pace

deterministic = settings(derandomize=True, database=None, deadline=None)


def test_the_first_ones_need_not_wait() -> None:
    window = Pace(3, per=2.0).window()
    for _ in range(3):
        assert window.wait(10.0) == 0.0
        window.take(10.0)
    assert window.wait(10.0) == 2.0
    assert window.wait(11.5) == 0.5
    assert window.wait(12.0) == 0.0


def test_the_window_slides_and_is_no_bucket_that_fills_up_meanwhile() -> None:
    window = Pace(2, per=1.0).window()
    window.take(0.0)
    window.take(0.9)
    window.take(1.0)  # the first one is a window old
    assert window.wait(1.0) == pytest.approx(0.9)


def test_after_a_long_rest_no_more_than_the_count_pass_at_once() -> None:
    window = Pace(2, per=1.0).window()
    window.take(0.0)
    window.take(3600.0)
    window.take(3600.0)
    assert window.wait(3600.0) == 1.0


@deterministic
@given(
    st.integers(1, 6),
    st.floats(0.01, 10),
    st.lists(st.floats(0, 3), max_size=60),
)
def test_no_window_ever_has_more_than_the_count(
    count: int, per: float, pauses: list[float]
) -> None:
    window = Pace(count, per).window()
    now, done = 1000.0, []
    for pause in pauses:
        now += pause
        wait = window.wait(now)
        while wait:
            now += wait
            wait = window.wait(now)
        window.take(now)
        done.append(now)
    for first, beyond in zip(done, done[count:], strict=False):
        assert beyond - first >= per


def test_two_windows_of_one_pace_know_nothing_of_each_other() -> None:
    pace = Pace(1)
    one, other = pace.window(), pace.window()
    one.take(0.0)
    assert one.wait(0.0) == 1.0
    assert other.wait(0.0) == 0.0


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ((0,), ValueError, "count"),
        ((1.5,), TypeError, "count"),
        (("5",), TypeError, "count"),
        ((True,), TypeError, "count"),
        ((1, 0), ValueError, "per"),
        ((1, math.inf), ValueError, "per"),
        ((1, math.nan), ValueError, "per"),
        ((1, "1"), TypeError, "per"),
    ],
)
def test_what_is_no_pace_is_an_error_that_names_it(
    arguments: tuple[Any, ...], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        Pace(*arguments)


def test_it_is_a_public_name_of_feeds() -> None:
    assert PublicPace is Pace


def test_a_window_is_idle_when_its_last_action_has_left_it() -> None:
    window = Pace(2, per=1.0).window()
    assert window.idle(0.0)
    window.take(10.0)
    assert not window.idle(10.9)
    assert window.idle(11.0)
