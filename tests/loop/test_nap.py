"""Naps of a busy loop: when it takes one, how long, and when not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reactor import Reactor
from reactor.loop.event_loop import EventLoop
from reactor.loop.nap import Nap
from reactor.timers import ManualClock

LENGTH = 0.0002


class Sleeper:
    """What the naps of a loop are, on a clock that only moves when it is told, or asleep."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.slept: list[float] = []
        self.loop = EventLoop(clock=self.clock, pacing=LENGTH)
        self.loop.nap = Nap(self.loop, LENGTH, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)

    def run_turns(self, *work: float) -> None:
        """Run a turn for each of these: it works for so many seconds."""
        left = list(work)

        def turn() -> None:
            self.clock.advance(left.pop(0))
            if not left:
                self.loop.stop()

        always_ready = self.loop.wakeup.writer
        self.loop.add_writer(always_ready, turn)
        self.loop.run_forever()
        self.loop.remove_writer(always_ready)


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    made = Sleeper()
    yield made
    made.loop.close()


def test_a_busy_loop_naps_before_it_polls(sleeper: Sleeper) -> None:
    sleeper.run_turns(0.001, 0.001, 0.001)
    assert sleeper.slept == [LENGTH] * 2  # none before the first turn


def test_a_loop_with_little_to_do_does_not(sleeper: Sleeper) -> None:
    sleeper.run_turns(LENGTH / 50, LENGTH / 50, LENGTH / 50)
    assert sleeper.slept == []


def test_a_nap_ends_with_the_next_timer(sleeper: Sleeper) -> None:
    fired: list[float] = []
    sleeper.loop.nap = Nap(sleeper.loop, 0.01, sleeper.sleep)
    start = sleeper.clock.now()
    sleeper.loop.call_at(start + 0.006, lambda: fired.append(sleeper.clock.now() - start))
    sleeper.run_turns(0.002, 0.0)
    assert sleeper.slept == [pytest.approx(0.004)]
    assert fired == [pytest.approx(0.006)]


def test_no_nap_while_a_call_is_queued(sleeper: Sleeper) -> None:
    def busy() -> None:
        sleeper.clock.advance(0.01)
        sleeper.loop.call_soon(sleeper.loop.stop)

    sleeper.loop.call_soon(busy)
    sleeper.loop.run_forever()
    assert sleeper.slept == []


def test_run_once_waits_as_long_as_it_is_told_and_no_longer(sleeper: Sleeper) -> None:
    for _ in range(3):
        sleeper.loop.call_soon(sleeper.clock.advance, 0.01)
        sleeper.loop.run_once(0)
    assert sleeper.slept == []


@pytest.mark.parametrize("off", [None, 0, 0.0])
def test_it_is_off_unless_asked_for(off: float | None) -> None:
    with Reactor(pacing=off) as loop:
        assert loop.loop.nap is None
    with Reactor() as loop:
        assert loop.loop.nap is None
    with Reactor(pacing=LENGTH) as loop:
        assert loop.loop.nap is not None
        assert loop.loop.nap.length == LENGTH


@pytest.mark.parametrize(
    ("wrong", "error"), [(-0.1, ValueError), (float("inf"), ValueError), ("0.1", TypeError)]
)
def test_a_wrong_length_is_named(wrong: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="pacing must be 0 or more seconds"):
        Reactor(pacing=wrong)  # type: ignore[arg-type]
