"""Functions that are called on helper threads, with their answers on the loop's: run_in_thread."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from reactor import Reactor
from reactor.loop.tasks import Task

from ..support.driving import run_until
from ..support.scene import in_thread

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_the_result_comes_to_the_loops_thread(reactor: Reactor) -> None:
    came: list[Any] = []
    reactor.run_in_thread(
        lambda a, b: (a + b, threading.get_ident()),
        1,
        2,
        then=lambda *answer: came.append((*answer, threading.get_ident())),
    )
    run_until(reactor, lambda: came)
    ((total, worker), error, here) = came[0]
    assert (total, error, here) == (3, None, threading.get_ident())
    assert worker != here


def test_so_does_an_exception(reactor: Reactor) -> None:
    came: list[Any] = []
    reactor.run_in_thread(lambda: 1 / 0, then=lambda *answer: came.append(answer))
    run_until(reactor, lambda: came)
    assert came[0][0] is None
    assert isinstance(came[0][1], ZeroDivisionError)


def test_without_then_it_is_logged(reactor: Reactor, caplog: pytest.LogCaptureFixture) -> None:
    reactor.run_in_thread(lambda: 1 / 0)
    run_until(reactor, lambda: caplog.records)
    assert "ZeroDivisionError" in caplog.text


def test_another_thread_may_ask(reactor: Reactor) -> None:
    came: list[Any] = []
    in_thread(lambda: reactor.run_in_thread(lambda: 7, then=lambda *answer: came.append(answer)))
    run_until(reactor, lambda: came)
    assert came == [(7, None)]


def test_what_is_no_function_is_an_error(reactor: Reactor) -> None:
    async def wrong() -> None: ...

    for each in (wrong, 5):
        with pytest.raises(TypeError):
            reactor.run_in_thread(each)  # type: ignore[arg-type]


def test_what_then_raises_is_logged(reactor: Reactor, caplog: pytest.LogCaptureFixture) -> None:
    def then(*_: object) -> None:
        raise LookupError("of the function that is told")

    reactor.run_in_thread(int, then=then)
    run_until(reactor, lambda: caplog.records)
    assert "of the function that is told" in caplog.text


def test_whoever_awaits_the_answer_hears_of_a_failure_and_nobody_else(
    reactor: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []

    async def ask() -> None:
        answer = reactor.run_in_thread(int, "x")
        try:
            await answer
        except ValueError as exc:
            heard.append(exc)
        heard.append(await reactor.run_in_thread(int, "7"))

    Task(reactor.loop, ask(), print)
    run_until(reactor, lambda: len(heard) == 2)
    assert [type(each) for each in heard] == [ValueError, int]
    assert caplog.records == []


@pytest.mark.parametrize("there", [False, True], ids=["here", "another thread"])
def test_a_loop_that_is_closed_calls_nothing(there: bool) -> None:
    reactor = Reactor()
    reactor.close()

    def ask() -> None:
        reactor.run_in_thread(pytest.fail, "the loop is closed")

    with pytest.raises(RuntimeError, match="the event loop is closed"):
        in_thread(ask) if there else ask()
