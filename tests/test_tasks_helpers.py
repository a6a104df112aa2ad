"""The helper threads: shared calls, calls that nobody waits for any more, and forked processes.

Continues test_tasks.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import reactor.tasks
from reactor.exceptions import WebSocketTimeoutException
from reactor.loop import EventLoop
from reactor.tasks import HelperThreads, InThread, Task, in_thread, run_blocking
from reactor.timers import MonotonicClock

from .support.driving import run_until
from .support.leaks import nothing_left

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    with nothing_left():
        yield


@pytest.fixture
def real_loop(_nothing_left: None) -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.close()


def test_each_caller_of_a_shared_call_gets_an_exception_of_its_own(real_loop: EventLoop) -> None:
    release = threading.Event()
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        release.wait(PATIENCE)
        raise OSError(113, "no route")

    errors: list[Exception | None] = []
    for _ in range(2):
        Task(real_loop, in_thread(fail, key="name"), lambda _, error: errors.append(error))
    real_loop.run_once(0)
    release.set()
    run_until(real_loop, lambda: len(errors) == 2, PATIENCE)
    assert len(calls) == 1
    assert [str(error) for error in errors] == ["[Errno 113] no route"] * 2
    assert errors[0] is not errors[1]


def test_what_is_queued_and_given_up_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    helpers = HelperThreads(limit=1)
    monkeypatch.setattr(reactor.tasks, "helpers", helpers)
    release, served = threading.Event(), threading.Event()
    calls: list[str] = []
    helpers.submit(InThread(release.wait, (PATIENCE,), None, None), lambda *_: None)
    until = MonotonicClock().now() + 0.01
    with pytest.raises(WebSocketTimeoutException):
        run_blocking(in_thread(calls.append, "second", until=until, key="second"))
    # Nothing but what has begun is left, so as many as like may give up.
    assert not [request for request, _ in helpers._queue if request.key == "second"]
    assert not helpers._shared
    helpers.submit(InThread(calls.append, ("third",), None, "second"), lambda *_: served.set())
    release.set()
    assert served.wait(PATIENCE)
    assert calls == ["third"]


def test_a_queued_call_is_made_while_one_of_its_callers_waits() -> None:
    helpers = HelperThreads(limit=1)
    release, served = threading.Event(), threading.Event()
    helpers.submit(InThread(release.wait, (PATIENCE,), None, None), lambda *_: None)
    first, second = (InThread(str, (number,), None, "name") for number in range(2))
    helpers.submit(first, lambda *_: pytest.fail("has given up"))
    helpers.submit(second, lambda *_: served.set())
    helpers.abandon(first)
    release.set()
    assert served.wait(PATIENCE)


def test_a_reset_forgets_what_threads_of_the_parent_were_at() -> None:
    helpers = HelperThreads(limit=1)
    # What a fork leaves when the one thread was at "name", and just then held the lock.
    helpers._threads = 1
    helpers._shared["name"] = {}
    helpers._lock.acquire()
    helpers.reset()
    answers: list[Any] = []
    served = threading.Event()

    def answer(*what: Any) -> None:
        answers.append(what)
        served.set()

    helpers.submit(InThread(divmod, (17, 5), None, "name"), answer)
    assert served.wait(PATIENCE)
    assert answers == [((3, 2), None)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_forked_child_has_helper_threads_of_its_own() -> None:
    program = """
import os, threading
from reactor import tasks
tasks.helpers._limit = 1
entered, release = threading.Event(), threading.Event()
def hang():
    entered.set()
    release.wait(20)
tasks.helpers.submit(tasks.InThread(hang, (), None, "name"), print)
entered.wait(20)
child = os.fork()
if not child:
    until = tasks.MonotonicClock().now() + 10
    result = tasks.run_blocking(tasks.in_thread(divmod, 17, 5, until=until, key="name"))
    os._exit(0 if result == (3, 2) else 1)
_, status = os.waitpid(child, 0)
release.set()
raise SystemExit(os.waitstatus_to_exitcode(status))
"""
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 0, result.stderr
