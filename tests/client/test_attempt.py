"""One attempt: the gate, the functions of its options, the pipeline, and what is told of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from reactor import Reactor
from reactor.client.attempt import Attempt
from reactor.client.gate import Gate
from reactor.client.options import ClientOptions
from reactor.loop.steps import sleep
from reactor.protocols.history import Step
from reactor.timers import ManualClock

HERE = ("a.example", 80)


class Stage:
    """A loop, a gate for one attempt at a time, and a pipeline that takes a second.

    Attributes:
        outcomes: what attempts have come to.
        dialled: what the pipeline was called with.
        steps: what was noted.
    """

    def __init__(self, loop: Reactor, clock: ManualClock) -> None:
        self.loop = loop
        self.clock = clock
        self.gate = Gate(loop.loop, 1)
        self.outcomes: list[Any] = []
        self.dialled: list[tuple[Any, Any]] = []
        self.steps: list[Step] = []
        self.ended = 0

    async def pipeline(self, url: str, options: ClientOptions, header: Any, cookie: Any) -> Any:
        self.dialled.append((header, cookie))
        try:
            await sleep(1.0)
        finally:
            self.ended += 1
        return url

    def start(self, gate: Gate | None, **options: Any) -> Attempt:
        attempt = Attempt(
            self.loop.loop,
            "ws://a.example/",
            ClientOptions(**options),
            gate,
            self.pipeline,
            lambda *outcome: self.outcomes.append(outcome),
            lambda step, _text: self.steps.append(step),
            lambda: "a test",
        )
        attempt.start(HERE, 0, again=False)
        return attempt

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for _ in range(3):
            self.loop.run_once(0)


@pytest.fixture
def stage(clock: ManualClock) -> Iterator[Stage]:
    with Reactor(clock=clock) as loop:
        yield Stage(loop, clock)


@pytest.mark.parametrize("gated", [False, True])
def test_an_attempt_ends_with_the_pipeline(stage: Stage, gated: bool) -> None:
    stage.start(stage.gate if gated else None, header={"A": "1"}, cookie=lambda: "b=2")
    assert stage.dialled == [({"A": "1"}, "b=2")]
    assert stage.gate.in_flight == gated
    stage.pass_seconds(1.0)
    assert stage.outcomes == [("ws://a.example/", None)]
    assert stage.gate.in_flight == 0


def test_it_waits_for_its_turn_and_says_so(stage: Stage) -> None:
    for _ in range(2):
        stage.start(stage.gate)
    assert (len(stage.dialled), stage.steps) == (1, [])
    stage.pass_seconds(1.0)
    assert (len(stage.dialled), stage.steps) == (2, [Step.ADMITTED])


@pytest.mark.parametrize("gated", [False, True])
def test_it_can_be_given_up_in_flight(stage: Stage, gated: bool) -> None:
    stage.start(stage.gate if gated else None).stop()
    assert (stage.ended, stage.gate.in_flight) == (1, 0)
    stage.pass_seconds(1.0)
    assert stage.outcomes == []


def test_it_can_be_given_up_while_it_waits(stage: Stage) -> None:
    stage.start(stage.gate)
    waiting = stage.start(stage.gate)
    waiting.stop()
    waiting.stop()
    stage.pass_seconds(1.0)
    assert len(stage.dialled) == 1


def test_it_can_be_given_up_where_nothing_is_in_flight_and_nothing_waits(stage: Stage) -> None:
    attempt = stage.start(None)
    stage.pass_seconds(1.0)
    attempt.stop()
    assert len(stage.outcomes) == 1


def test_a_function_of_the_options_that_raises_is_the_outcome(stage: Stage) -> None:
    error = LookupError("no token")

    def header() -> Any:
        raise error

    stage.start(stage.gate, header=header)
    assert stage.outcomes == [(None, error)]
    assert stage.gate.in_flight == 0


def test_ctrl_c_in_a_function_of_the_options_leaves(stage: Stage) -> None:
    def cookie() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.start(stage.gate, cookie=cookie)
    assert (stage.outcomes, stage.gate.in_flight) == ([], 0)
    stage.loop.run_once(0)


def test_a_function_of_the_options_may_give_it_up(stage: Stage) -> None:
    attempts: list[Attempt] = []

    def header() -> Any:
        attempts[0].stop()
        return {}

    stage.start(stage.gate)
    attempts.append(stage.start(stage.gate, header=header))
    stage.pass_seconds(1.0)
    assert (len(stage.dialled), len(stage.outcomes), stage.gate.in_flight) == (1, 1, 0)


def test_it_is_for_the_log_of_those_who_want_it(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "reactor.connect")
    stage.start(stage.gate)
    assert caplog.messages == ["connecting to ws://a.example/ (attempt 1)"]


def test_a_forked_child_closes_what_it_has_of_it(stage: Stage) -> None:
    attempt = stage.start(None)
    attempt.let_go()
    assert stage.ended == 1
    stage.pass_seconds(1.0)
    attempt.let_go()
