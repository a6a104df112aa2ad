"""Histories: what goes in comes out, and never more than a kilobyte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.protocols.history import MOST_BYTES, MOST_STEPS, Step, add, read

steps = st.lists(
    st.tuples(st.sampled_from(Step), st.floats(0.0, 1e6), st.text(max_size=200)), max_size=120
)


def test_what_goes_in_comes_out() -> None:
    history = add(b"", Step.ATTEMPT, 1000.0, "1")
    history = add(history, Step.DIALLED, 1000.25, "192.0.2.1:80")
    history = add(history, Step.OPENED, 1000.5)
    events = read(history)
    assert [(each.step, each.text) for each in events] == [
        (Step.ATTEMPT, "1"),
        (Step.DIALLED, "192.0.2.1:80"),
        (Step.OPENED, ""),
    ]
    assert [each.time for each in events] == [1000.0, 1000.25, 1000.5]
    assert [each.elapsed for each in events] == [0.0, 0.25, 0.25]


def test_there_is_nothing_before_anything_has_happened() -> None:
    assert read(b"") == ()


@given(steps)
def test_only_the_last_are_kept_and_they_are_the_last(given: list[tuple[Step, float, str]]) -> None:
    history = b""
    now = 0.0
    for step, elapsed, text in given:
        now += elapsed
        history = add(history, step, now, text)
        assert len(history) <= MOST_BYTES
    events = read(history)
    assert len(events) <= MOST_STEPS
    assert bool(events) == bool(given)
    last = given[len(given) - len(events) :]
    assert [each.step for each in events] == [step for step, _, _ in last]
    if events:
        assert events[-1].time == now


def test_fifty_short_steps_are_kept() -> None:
    history = b""
    for number in range(200):
        history = add(history, Step.ATTEMPT, float(number), str(number))
    assert [each.text for each in read(history)] == [str(n) for n in range(150, 200)]


def test_a_clock_that_goes_back_makes_no_negative_time() -> None:
    history = add(add(b"", Step.ATTEMPT, 50.0), Step.OPENED, 10.0)
    assert [(each.time, each.elapsed) for each in read(history)] == [(50.0, 0.0), (10.0, 0.0)]


@pytest.mark.parametrize("text", ["\ud800", "é" * 100, "\x1b[31m"])
def test_any_text_will_do(text: str) -> None:
    (event,) = read(add(b"", Step.ENDED, 1.0, text))
    assert event.step is Step.ENDED
    assert len(event.text.encode()) <= 120


def test_long_texts_push_the_oldest_steps_out() -> None:
    history = b""
    for number in range(30):
        history = add(history, Step.ATTEMPT, float(number), f"{number} {'x' * 100}")
        assert len(history) <= MOST_BYTES
    numbers = [int(each.text.split()[0]) for each in read(history)]
    assert numbers == list(range(numbers[0], 30))
    assert 1 < len(numbers) < 30
