"""Timers that repeat: call_every."""

from __future__ import annotations

from typing import Any

import pytest

from reactor import Reactor
from reactor.loop.repeating import RepeatingTimer
from reactor.timers import ManualClock, Timer

from ..support.scene import Scene


def test_it_calls_again_and_again_until_it_is_cancelled(scene: Scene) -> None:
    calls: list[float] = []
    timer = scene.loop.call_every(1.0, lambda: calls.append(scene.clock.now()))
    assert isinstance(timer, Timer)
    assert timer.active
    for _ in range(12):
        scene.turn(0.25)
    assert calls == [1001.0, 1002.0, 1003.0]
    timer.cancel()
    timer.cancel()
    assert not timer.active
    scene.turn(5.0)
    assert len(calls) == 3
    assert scene.timers == 0


def test_what_was_missed_is_left_out_and_the_rhythm_stays(scene: Scene) -> None:
    calls: list[float] = []
    timer = scene.loop.call_every(1.0, lambda: calls.append(scene.clock.now()))
    scene.turn(5.5)
    scene.turn(0.5)
    assert calls == [1005.5, 1006.0]
    timer.cancel()


def test_it_may_be_cancelled_from_within(scene: Scene) -> None:
    calls: list[int] = []

    def call(number: int) -> None:
        calls.append(number)
        timer.cancel()

    timer = scene.loop.call_every(1.0, call, 7)
    scene.turn(1.0)
    scene.turn(1.0)
    assert calls == [7]
    assert scene.timers == 0


def test_an_exception_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock(1000.0)
    with Reactor(clock=clock) as loop:
        timer = loop.call_every(1.0, lambda: 1 / 0)
        for _ in range(2):
            clock.advance(1.0)
            loop.run_once(0)
        timer.cancel()
    assert len(caplog.records) == 2


@pytest.mark.parametrize("interval", [0, -1, "1", True, float("inf"), float("nan")])
def test_nonsense_is_an_error(reactor: Reactor, interval: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="interval"):
        reactor.call_every(interval, print)


def test_one_that_was_cancelled_calls_nothing_and_works_for_nobody(scene: Scene) -> None:
    calls: list[int] = []
    timer = scene.loop.call_every(1.0, calls.append, 1)
    assert isinstance(timer, RepeatingTimer)
    assert timer.whose() == "list.append"
    timer.cancel()
    timer.fire()
    assert timer.whose() == "nobody any more"
    assert calls == []
    assert not timer.active
    assert scene.timers == 0
