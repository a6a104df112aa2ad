"""The log of a connection's errors: what is logged, what is counted, and when that is told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from reactor import WebSocketApp, WebSocketQueueFullException
from reactor.connection import errorlog
from reactor.connection.errorlog import EPISODE, MOST_KINDS, ErrorLog

from ..support.peers import Serve, Talk
from ..support.scene import Actor, Scene
from ..support.websocket_frames import TEXT, build_frame


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(errorlog, "monotonic", time)
    return time


@pytest.fixture
def log() -> ErrorLog:
    return ErrorLog(logging.getLogger("reactor"))


def log_from_here(log: ErrorLog, error: BaseException) -> None:
    try:
        raise error
    except BaseException as exc:
        log.error(exc, "it failed in %s", "a handler")


def log_from_there(log: ErrorLog, error: BaseException) -> None:
    try:
        raise error
    except BaseException as exc:
        log.error(exc, "it failed in %s", "a handler")


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_same_error_is_logged_once_and_counted(
    log: ErrorLog, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1000):
        log_from_here(log, ValueError("no such symbol"))
    assert messages(caplog) == ["it failed in a handler"]
    assert caplog.records[0].exc_info
    log.conclude()
    assert messages(caplog)[1:] == [
        "it failed in a handler: 999 more times ValueError: 'no such symbol'"
    ]
    assert {(record.name, record.levelno) for record in caplog.records} == {
        ("reactor", logging.ERROR)
    }
    log.conclude()
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("log_other", "other"),
    [
        (log_from_here, lambda: ValueError("no such thing")),
        (log_from_here, lambda: TypeError("no such symbol")),
        (log_from_there, lambda: ValueError("no such symbol")),
    ],
    ids=["text", "type", "place"],
)
def test_errors_that_differ_are_logged_each(
    log: ErrorLog,
    caplog: pytest.LogCaptureFixture,
    log_other: Callable[[ErrorLog, BaseException], None],
    other: Callable[[], BaseException],
) -> None:
    for _ in range(3):
        log_from_here(log, ValueError("no such symbol"))
        log_other(log, other())
    assert messages(caplog) == ["it failed in a handler"] * 2
    log.conclude()
    assert [text.partition(": ")[2][:12] for text in messages(caplog)[2:]] == ["2 more times"] * 2


def test_our_own_errors_are_the_same_whatever_figures_are_in_them(
    log: ErrorLog, caplog: pytest.LogCaptureFixture
) -> None:
    for size in range(100):
        log_from_here(log, WebSocketQueueFullException(f"the write queue holds {size} bytes"))
    assert len(caplog.records) == 1


def test_there_is_an_end_to_what_differs_each_time(
    log: ErrorLog, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        log_from_here(log, ValueError(f"bad message {number}"))
    assert len(caplog.records) == MOST_KINDS
    log.conclude()
    assert messages(caplog)[-1] == (
        f"it failed in a handler: {1000 - MOST_KINDS} more times other errors"
    )


def test_the_next_episode_begins_with_what_the_last_one_has_counted(
    log: ErrorLog, caplog: pytest.LogCaptureFixture, time: Time
) -> None:
    for moment in (0.0, EPISODE / 2, EPISODE - 0.001, EPISODE, EPISODE + 1):
        time.now = 1000.0 + moment
        log_from_here(log, ValueError("again"))
    assert messages(caplog) == [
        "it failed in a handler",
        "it failed in a handler: 2 more times ValueError: 'again'",
        "it failed in a handler",
    ]


def test_errors_that_have_no_text(log: ErrorLog, caplog: pytest.LogCaptureFixture) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    for _ in range(2):
        log_from_here(log, Mute())
    log.conclude()
    assert messages(caplog)[1:] == ["it failed in a handler: 1 more times Mute: '?'"]


def test_a_connection_logs_once_what_fails_with_every_message(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(actor: Actor) -> None:
        raise ZeroDivisionError

    actor = Actor(message=fail)
    peer = scene.open(actor)
    for _ in range(5):
        peer.text(*"abcdefghij")
        scene.turn()
    assert len(caplog.records) == 1
    assert len(actor.errors) == 50  # on_error hears of each
    peer.say_goodbye()
    scene.turn()
    assert len(caplog.records) == 2
    assert messages(caplog)[1].endswith(": 49 more times ZeroDivisionError: ''")


def test_an_app_logs_once_what_fails_with_every_message(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade(then=b"".join(build_frame(TEXT, b"x") for _ in range(50)))

    def fail(app: Any, message: str) -> None:
        raise ZeroDivisionError

    errors: list[Exception] = []
    app = WebSocketApp(
        serve(script).url, on_message=fail, on_error=lambda app, error: errors.append(error)
    )
    app.run_forever()
    assert [type(error) for error in errors[:50]] == [ZeroDivisionError] * 50
    logged = [text for text in messages(caplog) if "error from callback" in text]
    assert len(logged) == 2
    assert logged[1].endswith(": 49 more times ZeroDivisionError: ''")
