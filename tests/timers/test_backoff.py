from __future__ import annotations

import dataclasses
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.timers import Backoff

deterministic = settings(derandomize=True, database=None, deadline=None)


class TestDelay:
    def test_without_jitter_it_grows_by_the_factor_up_to_the_cap(self):
        backoff = Backoff(first=0.5, factor=3.0, cap=10.0, jitter=False)
        assert [backoff.delay(n) for n in range(6)] == [0.5, 1.5, 4.5, 10.0, 10.0, 10.0]

    @pytest.mark.parametrize("factor", [2, 2.0, 1.5, 1e300])
    @pytest.mark.parametrize("attempt", [1_100, 10**6, 10**12])
    def test_a_huge_number_of_attempts_gives_the_cap(self, factor, attempt):
        assert Backoff(factor=factor, cap=60.0, jitter=False).delay(attempt) == 60.0

    def test_a_product_that_is_infinite_gives_the_cap(self):
        assert Backoff(first=1e10, factor=1e300, cap=1e11, jitter=False).delay(1) == 1e11

    def test_a_factor_of_one_never_grows(self):
        assert Backoff(first=3.0, factor=1.0, jitter=False).delay(10**6) == 3.0

    @pytest.mark.parametrize(("draw", "share"), [(0.0, 0.0), (0.25, 0.25), (0.5, 0.5)])
    def test_full_jitter_draws_between_nothing_and_the_bound(self, draw, share):
        backoff = Backoff(first=1.0, factor=2.0, cap=60.0)
        delays = [backoff.delay(n, random=lambda: draw) for n in range(8)]
        assert delays == [share * bound for bound in (1, 2, 4, 8, 16, 32, 60, 60)]

    def test_jitter_uses_the_generator_that_it_is_given(self):
        backoff = Backoff()
        first, second = random.Random(5), random.Random(5)
        delays = [backoff.delay(3, first.random) for _ in range(50)]
        assert delays == [backoff.delay(3, second.random) for _ in range(50)]
        assert len(set(delays)) == 50

    def test_jitter_has_a_generator_of_its_own(self):
        delays = [Backoff().delay(3) for _ in range(50)]
        assert all(0 <= delay < 8 for delay in delays)
        assert len(set(delays)) > 1

    @deterministic
    @given(
        st.floats(0.001, 100),
        st.floats(1, 1e6),
        st.floats(0, 1e4),
        st.integers(0, 10**7),
        st.floats(0, 1, exclude_max=True),
    )
    def test_it_is_always_between_zero_and_the_cap(self, first, factor, more, attempt, draw):
        backoff = Backoff(first=first, factor=factor, cap=first + more)
        assert 0 <= backoff.delay(attempt, lambda: draw) <= first + more

    def test_gives_up_after_max_attempts(self):
        backoff = Backoff(max_attempts=3, jitter=False)
        assert [backoff.delay(n) for n in range(5)] == [1.0, 2.0, 4.0, None, None]

    def test_max_attempts_of_zero_never_tries(self):
        assert Backoff(max_attempts=0).delay(0) is None

    def test_a_negative_attempt_is_refused(self):
        with pytest.raises(ValueError, match="attempt must be 0 or more, not -1"):
            Backoff().delay(-1)


class TestFixed:
    def test_always_waits_the_same_time(self):
        backoff = Backoff.fixed(5)
        assert [backoff.delay(n) for n in (0, 1, 2, 10**6)] == [5, 5, 5, 5]

    def test_passes_the_other_limits_on(self):
        backoff = Backoff.fixed(0.1, max_attempts=2, reset_after=1.0)
        assert backoff.delay(2) is None
        assert backoff.reset_after == 1.0
        assert Backoff.fixed(0.1).reset_after == Backoff().reset_after

    def test_waits_longer_than_the_default_cap_if_told(self):
        assert Backoff.fixed(3600).delay(9) == 3600

    @pytest.mark.parametrize("seconds", [0, -1, math.inf, math.nan])
    def test_needs_a_positive_time(self, seconds):
        with pytest.raises(ValueError, match=f"first .*, not {seconds!r}"):
            Backoff.fixed(seconds)


class TestReset:
    @pytest.mark.parametrize(
        ("open_for", "attempts"), [(0.0, 7), (59.9, 7), (60.0, 0), (86400.0, 0)]
    )
    def test_a_connection_that_was_stable_resets_the_attempts(self, open_for, attempts):
        assert Backoff(reset_after=60.0).attempts_after(7, open_for) == attempts

    def test_infinity_never_resets(self):
        assert Backoff(reset_after=math.inf).attempts_after(7, 1e9) == 7


class TestValidation:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("first", 0),
            ("first", -1.0),
            ("first", math.nan),
            ("first", math.inf),
            ("factor", 0.99),
            ("factor", math.nan),
            ("factor", math.inf),
            ("cap", 0.5),
            ("cap", math.nan),
            ("cap", math.inf),
            ("max_attempts", -1),
            ("reset_after", -0.1),
            ("reset_after", math.nan),
        ],
    )
    def test_the_error_names_the_field_and_the_value(self, field, value):
        with pytest.raises(ValueError, match=rf"^{field} must be .*, not {value!r}$"):
            Backoff(**{field: value})

    def test_the_limits_themselves_are_fine(self):
        Backoff(first=1.0, factor=1, cap=1.0, max_attempts=0, reset_after=0)

    def test_it_is_immutable(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            Backoff().first = 2.0


class TestAsked:
    """What a server asks for with Retry-After."""

    @pytest.mark.parametrize(("draw", "wait"), [(0.0, 40.0), (0.5, 50.0), (0.999, 59.98)])
    def test_up_to_half_is_added(self, draw, wait):
        backoff = Backoff(first=1.0, cap=60.0)
        assert backoff.delay(0, lambda: draw, asked=40.0) == pytest.approx(wait)

    def test_without_jitter_it_is_what_was_asked_for(self):
        assert Backoff(first=1.0, cap=60.0, jitter=False).delay(0, asked=40.0) == 40.0

    @pytest.mark.parametrize("asked", [0.0, -5.0, -math.inf])
    def test_who_asks_for_nothing_changes_nothing(self, asked):
        assert Backoff(first=1.0, jitter=False).delay(3, asked=asked) == 8.0

    def test_the_policys_wait_may_be_longer(self):
        assert Backoff(first=1.0, jitter=False).delay(3, asked=5.0) == 8.0

    @pytest.mark.parametrize("asked", [60.1, 1e9, math.inf])
    def test_the_cap_holds_for_it_too(self, asked):
        backoff = Backoff(first=1.0, cap=60.0)
        assert backoff.delay(0, lambda: 0.0, asked=asked) == 60.0
        assert backoff.delay(0, lambda: 0.5, asked=asked) == 75.0

    @pytest.mark.parametrize(("limit", "wait"), [(600.0, 500.0), (100.0, 100.0), (0, 1.0)])
    def test_it_may_have_a_cap_of_its_own(self, limit, wait):
        backoff = Backoff(first=1.0, cap=60.0, jitter=False, retry_after_cap=limit)
        assert backoff.delay(0, asked=500.0) == wait

    def test_a_fixed_wait_is_the_cap(self):
        assert Backoff.fixed(2.0).delay(0, asked=30.0) == 2.0
        assert Backoff.fixed(2.0, retry_after_cap=60.0).delay(0, asked=30.0) == 30.0

    def test_it_does_not_bring_back_who_gives_up(self):
        assert Backoff(max_attempts=0).delay(0, asked=5.0) is None

    @pytest.mark.parametrize("limit", [-1.0, math.inf, math.nan])
    def test_a_cap_that_is_none(self, limit):
        with pytest.raises(ValueError, match="retry_after_cap must be None, or 0 or more seconds"):
            Backoff(retry_after_cap=limit)
