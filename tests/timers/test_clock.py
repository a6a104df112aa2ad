from __future__ import annotations

import math
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reactor.timers import (
    TICKS_PER_SECOND,
    ManualClock,
    MonotonicClock,
    to_ticks_early,
    to_ticks_late,
)

deterministic = settings(derandomize=True, database=None, deadline=None, max_examples=300)
times = st.floats(min_value=0.0, max_value=1e9)


class TestMonotonicClock:
    def test_shows_the_time_of_time_monotonic(self):
        before = time.monotonic()
        shown = MonotonicClock().now()
        assert before <= shown <= time.monotonic()

    def test_does_not_go_back(self):
        clock = MonotonicClock()
        readings = [clock.now() for _ in range(100)]
        assert readings == sorted(readings)


class TestManualClock:
    def test_starts_at_zero_or_where_told(self):
        assert ManualClock().now() == 0.0
        assert ManualClock(7.5).now() == 7.5

    def test_moves_only_when_told(self):
        clock = ManualClock(1.0)
        assert clock.now() == clock.now() == 1.0
        clock.advance(0.25)
        clock.advance(0)
        assert clock.now() == 1.25

    @pytest.mark.parametrize("seconds", [-0.001, -math.inf, math.nan])
    def test_refuses_to_go_back(self, seconds):
        clock = ManualClock(1.0)
        with pytest.raises(ValueError, match=f"seconds must be 0 or more, not {seconds!r}"):
            clock.advance(seconds)
        assert clock.now() == 1.0


class TestTicks:
    @pytest.mark.parametrize(
        ("seconds", "early", "late"),
        [
            (0.0, 0, 0),
            (0.0001, 0, 1),
            (0.0005, 0, 1),
            (0.0009, 0, 1),
            (0.0015, 1, 2),
            (1.0, 1000, 1000),
            (1.0004, 1000, 1001),
            (-0.0004, -1, 0),
        ],
    )
    def test_a_tick_is_a_millisecond(self, seconds, early, late):
        assert to_ticks_early(seconds) == early
        assert to_ticks_late(seconds) == late

    @pytest.mark.parametrize("tick", [1001, 8120, 4035, 570, 300, 1_000_003, 2**40 - 1])
    def test_a_float_next_to_a_whole_millisecond_is_told_from_it(self, tick):
        exact = tick / TICKS_PER_SECOND
        above, below = math.nextafter(exact, math.inf), math.nextafter(exact, -math.inf)
        assert (to_ticks_early(above), to_ticks_late(above)) == (tick, tick + 1)
        assert (to_ticks_early(below), to_ticks_late(below)) == (tick - 1, tick)

    @deterministic
    @given(st.integers(min_value=-(2**40), max_value=2**40))
    def test_whole_milliseconds_convert_exactly(self, tick):
        seconds = tick / TICKS_PER_SECOND
        assert to_ticks_early(seconds) == to_ticks_late(seconds) == tick

    @deterministic
    @given(times)
    def test_the_tick_is_the_nearest_on_the_right_side(self, seconds):
        early, late = to_ticks_early(seconds), to_ticks_late(seconds)
        assert early / TICKS_PER_SECOND <= seconds < (early + 1) / TICKS_PER_SECOND
        assert (late - 1) / TICKS_PER_SECOND < seconds <= late / TICKS_PER_SECOND

    @deterministic
    @given(times, times)
    @example(1.001, math.nextafter(1.001, 2))
    @example(0.3, 0.1 + 0.2)
    def test_a_tick_that_is_reached_means_that_the_deadline_is_reached(self, now, deadline):
        if to_ticks_early(now) >= to_ticks_late(deadline):
            assert now >= deadline
        if now >= deadline + 2 / TICKS_PER_SECOND:
            assert to_ticks_early(now) >= to_ticks_late(deadline)

    @pytest.mark.parametrize("convert", [to_ticks_early, to_ticks_late])
    def test_a_time_that_is_not_finite_is_an_error(self, convert):
        with pytest.raises(OverflowError):
            convert(math.inf)
        with pytest.raises(ValueError):
            convert(math.nan)
