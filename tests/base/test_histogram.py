"""Histograms: what is counted, quantiles, and sums."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.base.histogram import BOUNDS, NOTHING, Distribution, Histogram


def of(*seconds: float) -> Distribution:
    histogram = Histogram()
    for each in seconds:
        histogram.add(each)
    return histogram.snapshot()


def test_the_bounds_are_1_2_5_in_each_decade() -> None:
    assert BOUNDS[:4] == (0.0001, 0.0002, 0.0005, 0.001)
    assert BOUNDS[-1] == 50.0


def test_what_was_counted_is_there() -> None:
    found = of(0.001, 0.003, 0.2, 100.0)
    assert (found.count, found.least, found.most) == (4, 0.001, 100.0)
    assert found.total == pytest.approx(100.204)
    assert found.mean == pytest.approx(25.051)
    assert sum(found.buckets) == 4
    assert found.buckets[-1] == 1
    assert found.buckets[BOUNDS.index(0.001)] == 1, "a bound belongs to the bucket below it"


def test_nothing_has_no_mean_and_no_quantiles() -> None:
    assert of() == NOTHING
    assert (NOTHING.mean, NOTHING.p99, NOTHING.quantile(0.5), NOTHING.least) == (None,) * 3 + (0.0,)


def test_a_clock_that_was_set_back_counts_as_no_time() -> None:
    assert (of(-5.0).least, of(-5.0).total, of(-5.0).count) == (0.0, 0.0, 1)


def test_the_p99_is_that_of_the_slow_ones_if_there_are_enough() -> None:
    assert of(*[0.01] * 99, 1.5).p99 == pytest.approx(0.01)
    p99 = of(*[0.01] * 90, *[1.5] * 10).p99
    assert p99 is not None
    assert 1.0 < p99 <= 1.5


@given(st.lists(st.floats(0.0, 1000.0), min_size=1), st.floats(0.0, 1.0))
def test_a_quantile_lies_within_what_was_measured(seconds: list[float], share: float) -> None:
    found = of(*seconds)
    value = found.quantile(share)
    assert value is not None
    assert min(seconds) <= value <= max(seconds)


@given(st.lists(st.floats(0.0, 100.0)), st.lists(st.floats(0.0, 100.0)))
def test_what_was_absorbed_is_as_if_it_had_been_counted_here(
    some: list[float], others: list[float]
) -> None:
    one, other = Histogram(), Histogram()
    for each in some:
        one.add(each)
    for each in others:
        other.add(each)
    one.absorb(other)
    both, found = of(*some, *others), one.snapshot()
    assert (found.buckets, found.least, found.most) == (both.buckets, both.least, both.most)
    assert found.total == pytest.approx(both.total)
    one.release(other)
    assert one.snapshot().buckets == of(*some).buckets


def test_it_counts_more_than_32_bits_hold() -> None:
    histogram = Histogram()
    histogram.add(0.001)
    for _ in range(31):
        histogram.absorb(histogram)
    for _ in range(3):
        histogram.absorb(histogram)
    assert histogram.snapshot().count == 1 << 34
    histogram.add(0.001)
    assert histogram.snapshot().count == (1 << 34) + 1


def test_one_more_than_32_bits_hold() -> None:
    histogram, one = Histogram(), Histogram()
    one.add(0.001)
    histogram.add(0.001)
    for _ in range(31):
        histogram.absorb(histogram)
        histogram.absorb(one)
    assert histogram.snapshot().count == (1 << 32) - 1
    histogram.add(0.001)
    assert histogram.snapshot().count == 1 << 32
