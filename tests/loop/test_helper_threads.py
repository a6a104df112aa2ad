"""The helper threads: shared calls, calls that nobody waits for any more, and forked processes.

What they do for coroutines is in test_tasks.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from reactor.exceptions import WebSocketTimeoutException
from reactor.loop.event_loop import EventLoop
from reactor.loop.helper_threads import HelperThreads, _Call, helpers, look_ups
from reactor.loop.steps import InThread, in_thread
from reactor.loop.tasks import Task, run_blocking
from reactor.timers import MonotonicClock

from ..support.driving import run_until
from ..support.leaks import nothing_left
from ..support.threads import Background

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


def test_what_is_queued_and_given_up_is_not_called() -> None:
    helpers = HelperThreads(limit=1)
    begun, release, served = threading.Event(), threading.Event(), threading.Event()
    calls: list[str] = []

    def hold() -> None:
        begun.set()
        release.wait(PATIENCE)

    helpers.submit(InThread(hold, (), None, None), lambda *_: None)
    assert begun.wait(PATIENCE)  # the thread is busy, so the next call waits in the queue
    until = MonotonicClock().now() + 0.01
    with pytest.raises(WebSocketTimeoutException):
        run_blocking(in_thread(calls.append, "second", until=until, key="second", threads=helpers))
    # Nothing but what has begun is left, so as many as like may give up.
    assert not helpers._queue
    assert not helpers._shared
    assert len(helpers._wanted) == 1
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
    call = _Call(InThread(divmod, (1, 1), None, "name"), None)
    # What a fork leaves when the one thread was at "name", and just then held the lock.
    helpers._threads = 1
    helpers._running[call] = None
    helpers._shared["name"] = call
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
from reactor.loop import helper_threads, steps, tasks
helper_threads.helpers._ceiling = 1
entered, release = threading.Event(), threading.Event()
def hang():
    entered.set()
    release.wait(20)
helper_threads.helpers.submit(steps.InThread(hang, (), None, "name"), print)
entered.wait(20)
child = os.fork()
if not child:
    until = tasks.MonotonicClock().now() + 10
    result = tasks.run_blocking(steps.in_thread(divmod, 17, 5, until=until, key="name"))
    os._exit(0 if result == (3, 2) else 1)
_, status = os.waitpid(child, 0)
release.set()
raise SystemExit(os.waitstatus_to_exitcode(status))
"""
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_a_lock_of_before_threads_were_replaced_blocks_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Eventlet and gevent replace them, sometimes long after everything was imported."""
    helpers = HelperThreads()
    Background(helpers._lock.acquire).result()  # held by a thread that never goes on
    allocate = threading.Lock
    monkeypatch.setattr(threading, "Lock", lambda: allocate())
    served = threading.Event()
    helpers.submit(InThread(int, (), None, None), lambda *_: served.set())
    assert served.wait(PATIENCE)


def test_to_give_up_what_was_answered_or_given_up_does_nothing() -> None:
    helpers = HelperThreads(limit=1)
    served = threading.Event()
    answered = InThread(int, (), None, None)
    helpers.submit(answered, lambda *_: served.set())
    assert served.wait(PATIENCE)
    helpers.abandon(answered)
    release, last = threading.Event(), threading.Event()
    helpers.submit(InThread(release.wait, (PATIENCE,), None, None), lambda *_: None)
    waiting = InThread(pytest.fail, ("was given up",), None, None)
    helpers.submit(waiting, lambda *_: None)
    helpers.abandon(waiting)
    helpers.abandon(waiting)
    helpers.submit(InThread(int, (), None, None), lambda *_: last.set())
    release.set()
    assert last.wait(PATIENCE)


class Uncopyable(Exception):
    """Cannot be copied: it is made from two arguments, and keeps one."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def test_an_exception_that_cannot_be_copied_is_shared() -> None:
    helpers = HelperThreads(limit=1)
    release, answers, served = threading.Event(), list[Any](), threading.Semaphore(0)

    def fail() -> None:
        release.wait(PATIENCE)
        raise Uncopyable("no ", "route")

    def answer(result: Any, error: BaseException | None) -> None:
        answers.append(error)
        served.release()

    requests = [InThread(fail, (), None, "name") for _ in range(2)]
    for request in requests:
        helpers.submit(request, answer)
    release.set()
    assert all(served.acquire(timeout=PATIENCE) for _ in requests)
    assert [str(error) for error in answers] == ["no route"] * 2
    assert answers[0] is answers[1]


class NoThread(threading.Thread):
    """The system has no room for another thread."""

    def start(self) -> None:
        """Fail as the system's does."""
        raise RuntimeError("can't start new thread")


def test_without_any_thread_a_call_is_refused_and_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    helpers = HelperThreads()
    request = InThread(int, (), None, "name")
    with monkeypatch.context() as patch:
        patch.setattr(threading, "Thread", NoThread)
        with pytest.raises(RuntimeError, match="start new thread"):
            helpers.submit(request, lambda *_: pytest.fail("was refused"))
    helpers.abandon(request)
    served = threading.Event()
    helpers.submit(InThread(int, (), None, "name"), lambda *_: served.set())
    assert served.wait(PATIENCE)


def test_with_one_thread_a_call_waits_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    helpers = HelperThreads()
    begun, release, served = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        release.wait(PATIENCE)

    helpers.submit(InThread(hold, (), None, None), lambda *_: None)
    assert begun.wait(PATIENCE)
    with monkeypatch.context() as patch:
        patch.setattr(threading, "Thread", NoThread)
        helpers.submit(InThread(int, (), None, None), lambda *_: served.set())
    release.set()
    assert served.wait(PATIENCE)


# --- names: calls that may never end --------------------------------------------------------------


class Calls:
    """Functions that end when they are told to.

    Attributes:
        begun: the arguments of those that have begun, in order.
        answers: what has been answered, by argument.
    """

    def __init__(self, threads: HelperThreads) -> None:
        self._threads = threads
        self._change = threading.Condition()
        self._released: set[str] = set()
        self._all_released = False
        self._requests: dict[str, InThread] = {}
        self.begun: list[str] = []
        self.answers: dict[str, Any] = {}

    def ask(self, name: str, key: str | None = None) -> None:
        request = self._requests[name] = InThread(self._call, (name,), None, key)
        self._threads.submit(request, lambda *answer: self._answered(name, answer))

    def give_up(self, *names: str) -> None:
        for name in names:
            self._threads.abandon(self._requests[name])

    def release(self, *names: str) -> None:
        """Let these calls end; without names all of them."""
        with self._change:
            self._released.update(names)
            self._all_released = not names
            self._change.notify_all()

    def until(self, condition: Callable[[], object]) -> None:
        with self._change:
            assert self._change.wait_for(condition, PATIENCE)

    def _call(self, name: str) -> str:
        with self._change:
            self.begun.append(name)
            self._change.notify_all()
            self._change.wait_for(lambda: self._all_released or name in self._released, PATIENCE)
        return name

    def _answered(self, name: str, answer: Any) -> None:
        with self._change:
            self.answers[name] = answer
            self._change.notify_all()


@pytest.fixture
def calls_on(_nothing_left: None) -> Iterator[Callable[[HelperThreads], Calls]]:
    with ExitStack() as stack:

        def calls_on(threads: HelperThreads) -> Calls:
            calls = Calls(threads)
            stack.callback(calls.release)
            return calls

        yield calls_on


CallsOn = Callable[[HelperThreads], Calls]


def test_calls_that_do_not_end_hold_up_nobody_for_longer_than_the_patience(
    calls_on: CallsOn,
) -> None:
    calls = calls_on(HelperThreads(limit=2, patience=0.001, ceiling=100))
    stuck = [f"stuck {number}" for number in range(20)]
    for name in stuck:
        calls.ask(name)
    calls.ask("good")
    calls.until(lambda: "good" in calls.begun)
    assert calls.begun == [*stuck, "good"]
    calls.release("good")
    calls.until(lambda: calls.answers)
    assert calls.answers == {"good": ("good", None)}


def test_within_the_patience_there_are_no_more_calls_than_places(calls_on: CallsOn) -> None:
    calls = calls_on(HelperThreads(limit=2, patience=3600.0, ceiling=100))
    for name in "abcd":
        calls.ask(name)
    calls.until(lambda: len(calls.begun) == 2)
    calls.release("a")
    calls.until(lambda: len(calls.begun) == 3)
    assert calls.begun == ["a", "b", "c"]
    calls.give_up("d")


def test_there_are_no_more_threads_than_the_ceiling(calls_on: CallsOn) -> None:
    calls = calls_on(HelperThreads(limit=1, patience=0.0, ceiling=3))
    for name in "abcde":
        calls.ask(name)
    calls.until(lambda: len(calls.begun) == 3)
    assert calls.begun == ["a", "b", "c"]
    calls.release("b")
    calls.until(lambda: len(calls.begun) == 4)
    assert calls.begun[3] == "d"


def test_when_all_threads_are_at_calls_that_were_given_up_there_is_an_error(
    calls_on: CallsOn,
) -> None:
    calls = calls_on(HelperThreads(limit=1, patience=0.0, ceiling=3))
    for name in "abc":
        calls.ask(name)
    calls.until(lambda: len(calls.begun) == 3)
    calls.give_up("a", "b")
    calls.ask("d")  # "c" may still end
    calls.give_up("c")
    with pytest.raises(RuntimeError, match="3 earlier calls were given up, and none of them has"):
        calls.ask("e")
    calls.release("a", "d")
    calls.until(lambda: "d" in calls.answers)
    calls.ask("f")
    calls.until(lambda: "f" in calls.begun)


def test_who_asks_again_after_a_call_was_given_up_gets_a_new_one(calls_on: CallsOn) -> None:
    calls = calls_on(HelperThreads(limit=1, patience=0.0, ceiling=10))
    calls.ask("first", key="name")
    calls.until(lambda: calls.begun)
    calls.ask("beside it", key="name")  # somebody waits for it: one call for both
    calls.give_up("first", "beside it")
    calls.ask("second", key="name")
    calls.until(lambda: len(calls.begun) == 2)
    calls.give_up("second")
    # Not more than two threads for a name that is never answered.
    calls.ask("third", key="name")
    calls.release("second")
    calls.until(lambda: calls.answers)
    assert calls.answers == {"third": ("second", None)}
    calls.ask("fourth", key="name")
    calls.until(lambda: len(calls.begun) == 3)
    assert calls.begun == ["first", "second", "fourth"]


def test_names_and_the_functions_of_users_have_threads_of_their_own(calls_on: CallsOn) -> None:
    users, names = calls_on(helpers), calls_on(look_ups)
    for number in range(100):
        users.ask(f"{number}")
    names.ask("name")
    names.release("name")
    names.until(lambda: names.answers)
    assert names.answers == {"name": ("name", None)}
    assert len(users.begun) <= 32
    users.give_up(*(f"{number}" for number in range(100)))
