"""What is logged of attempts: the first failure of a kind, changes of state, and a count."""

from __future__ import annotations

import logging

import pytest

from reactor.client import journal as module
from reactor.client.journal import EPISODE, MOST_KINDS, Journal
from reactor.protocols.ending import Ending

HERE, THERE = ("here.example", 443), ("there.example", 443)


class Clock:
    """The time that the journal sees."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    caplog.set_level(logging.DEBUG, "reactor.connect")
    return clock


@pytest.fixture
def journal(clock: Clock) -> Journal:
    return Journal()


def failed(error: Exception | None = None, **more: object) -> Ending:
    error = OSError("no route") if error is None else error
    return Ending(1006, "", error, "network", **more)  # type: ignore[arg-type]


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    found = [(record.levelname, record.getMessage()) for record in caplog.records]
    caplog.clear()
    return found


def test_attempts_and_openings(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    assert journal.hears
    journal.attempt("ws://here.example/", 2)
    journal.opened("ws://here.example/", False)
    journal.opened("ws://here.example/", True)
    assert lines(caplog) == [
        ("DEBUG", "connecting to ws://here.example/ (attempt 3)"),
        ("INFO", "ws://here.example/ is open"),
        ("INFO", "ws://here.example/ is open again"),
    ]
    caplog.set_level(logging.WARNING, "reactor.connect")
    assert not journal.hears


@pytest.mark.parametrize(
    ("policy", "ending", "what"),
    [
        (True, {"final": False, "attempt": 1, "delay": 2.5}, "; next attempt in 2.5 s"),
        (True, {"attempt": 3}, "; giving up after 3 attempts"),
        (False, {}, "; there is no further attempt"),
        (None, {}, ""),
    ],
)
def test_what_follows_is_said(
    journal: Journal,
    caplog: pytest.LogCaptureFixture,
    policy: bool | None,
    ending: dict[str, object],
    what: str,
) -> None:
    journal.ended("ws://here/", HERE, failed(**ending), policy, seen=False)
    assert lines(caplog) == [("WARNING", f"ws://here/: OSError: no route{what}")]


def test_an_end_without_an_error_is_no_failure(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.ended("ws://here/", HERE, Ending(1000, "", None, "peer"), False, seen=False)
    assert lines(caplog) == [
        ("INFO", "ws://here/: ended by peer (1000); there is no further attempt")
    ]


def test_who_has_seen_the_error_need_not_be_warned(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.ended("ws://here/", HERE, failed(OSError()), None, seen=True)
    assert lines(caplog) == [("INFO", "ws://here/: OSError: OSError")]


def test_of_failures_in_a_row_the_first_and_the_last_are_told(
    journal: Journal, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    for attempt in (1, 2, 3):
        again = failed(final=False, attempt=attempt, delay=1.0)
        journal.ended("ws://here/", HERE, again, True, seen=False)
        clock.now += EPISODE + 1
    journal.ended("ws://here/", HERE, failed(attempt=3), True, seen=False)
    assert [level for level, _ in lines(caplog)] == ["WARNING", "DEBUG", "DEBUG", "WARNING"]


def test_many_failures_of_a_kind_are_one_line_and_a_count(
    journal: Journal, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    for _ in range(3):
        journal.ended("ws://here/", HERE, failed(), None, seen=False)
    journal.ended("ws://there/", THERE, failed(), None, seen=False)
    journal.ended("ws://here/", HERE, failed(ValueError("other")), None, seen=False)
    assert [level for level, _ in lines(caplog)] == [
        *("WARNING", "DEBUG", "DEBUG"),
        *("WARNING", "WARNING"),
    ]
    clock.now += EPISODE
    journal.ended("ws://here/", HERE, failed(), None, seen=False)
    assert lines(caplog) == [
        ("WARNING", "ws://here/: OSError: no route (2 more like this were not logged)")
    ]


def test_a_limited_number_of_kinds_is_remembered(
    journal: Journal, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    for port in range(MOST_KINDS + 1):
        journal.ended("ws://here/", ("here", port), failed(), None, seen=False)
    levels = [level for level, _ in lines(caplog)]
    assert levels == ["WARNING"] * MOST_KINDS + ["DEBUG"]
    clock.now += EPISODE  # they are forgotten
    journal.ended("ws://here/", ("here", MOST_KINDS), failed(), None, seen=False)
    assert [level for level, _ in lines(caplog)] == ["WARNING"]


def test_what_a_peer_says_is_shown_safely(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.ended("ws://here/", None, failed(OSError("\x1b[31m")), None, seen=False)
    ((_, line),) = lines(caplog)
    assert "\x1b" not in line
