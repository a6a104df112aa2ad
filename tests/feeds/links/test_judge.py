"""Whether a silent link is dead: the judge, with a link that only notes what it is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from reactor.feeds.links.judge import PATIENCE, Judge


class Turns:
    """Stands for the loop: each turn runs the calls that were queued before it."""

    def __init__(self) -> None:
        self.now = 100.0
        self._calls: deque[Callable[[], object]] = deque()

    def time(self) -> float:
        return self.now

    def call_soon(self, call: Callable[[], object]) -> None:
        self._calls.append(call)

    def turn(self) -> None:
        self.now += 0.01
        for _ in range(len(self._calls)):
            self._calls.popleft()()


class Pulse:
    """Stands for a heartbeat."""

    late = False

    def overdue(self, now: float) -> bool:
        return self.late


class Link:
    """Stands for a link."""

    def __init__(self) -> None:
        self.loop = Turns()
        self.legs = {"A": None}
        self.heard = 100.0
        self.opened_at: float | None = 100.0
        self.scan_due = 1e9
        self.suspicious = False
        self.pulse: Pulse | None = None
        self.told: list[Any] = []

    def suspects(self, now: float) -> bool:
        return self.suspicious

    def condemned(self, why: str, reason: str) -> None:
        self.told.append(why)

    def acquitted(self, now: float) -> None:
        self.told.append("acquitted")


@pytest.fixture
def link() -> Link:
    return Link()


@pytest.fixture
def judge(link: Link) -> Judge:
    judge = Judge(link, 10.0)  # type: ignore[arg-type]
    judge.look_at_topics()
    return judge


def look_at(judge: Judge, link: Link, now: float) -> None:
    link.loop.now = now
    judge.look(now)


def test_while_something_comes_there_is_nothing_to_judge(judge: Judge, link: Link) -> None:
    look_at(judge, link, 109.0)
    assert not judge.judging
    assert judge.idle_at() == 110.0


def test_a_link_is_dead_that_stays_silent_for_another_turn(judge: Judge, link: Link) -> None:
    look_at(judge, link, 110.0)
    assert judge.judging
    link.loop.turn()
    assert link.told == []
    link.loop.turn()
    assert link.told == ["idle"]
    assert not judge.judging


def test_what_the_kernel_held_saves_it(judge: Judge, link: Link) -> None:
    look_at(judge, link, 110.0)
    link.loop.turn()
    link.heard = 110.015  # read in the next turn, before the calls
    link.loop.turn()
    assert link.told == ["acquitted"]


def test_the_patience_has_an_end(judge: Judge, link: Link) -> None:
    """A topic may be silent where others are not: a link that is read from is judged, too."""
    link.suspicious, link.scan_due = True, 0.0
    look_at(judge, link, 105.0)
    for _ in range(2 * PATIENCE + 1):
        link.heard = link.loop.now + 0.01
        link.loop.turn()
    assert link.told == []
    link.heard = link.loop.now + 0.01
    link.loop.turn()
    assert link.told == ["acquitted"]  # and now its topics are looked at


def test_an_answer_to_the_heartbeat_that_is_overdue(judge: Judge, link: Link) -> None:
    link.pulse = Pulse()
    look_at(judge, link, 105.0)
    assert not judge.judging
    link.pulse.late = True
    look_at(judge, link, 106.0)
    link.loop.turn()
    link.loop.turn()
    assert link.told == ["no heartbeat"]


def test_a_link_that_is_gone_is_not_judged(judge: Judge, link: Link) -> None:
    look_at(judge, link, 110.0)
    link.opened_at = None
    link.loop.turn()
    link.loop.turn()
    assert link.told == []
    assert not judge.judging


def test_without_topics_nothing_is_to_come(judge: Judge, link: Link) -> None:
    link.legs.clear()
    judge.look_at_topics()
    assert judge.idle_at() == float("inf")
    link.loop.now, link.legs = 500.0, {"B": None}
    judge.look_at_topics()
    judge.look_at_topics()
    assert judge.idle_at() == 510.0


def test_without_a_limit_silence_is_no_reason(link: Link) -> None:
    judge = Judge(link, None)  # type: ignore[arg-type]
    judge.look_at_topics()
    assert judge.idle_at() == float("inf")
