"""Answers that come later, awaited by tasks of ours and by those of a host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from reactor.loop.answers import Answer
from reactor.loop.event_loop import EventLoop
from reactor.loop.tasks import Task

Outcome = tuple[Any, Exception | None]


def await_it(loop: EventLoop, answer: Answer[Any], times: int = 1) -> list[Outcome]:
    """Have a task await an answer; its outcome will be found in the list."""

    async def work() -> list[Any]:
        return [await answer for _ in range(times)]

    found: list[Outcome] = []
    Task(loop, work(), lambda result, error: found.append((result, error)), soon=False).start()
    return found


def test_whoever_awaits_it_goes_on_when_it_is_given(real: EventLoop) -> None:
    answer: Answer[int] = Answer()
    assert answer.awaited is False
    first, second = await_it(real, answer), await_it(real, answer)
    assert answer.awaited is True
    assert (first, second) == ([], [])
    answer.give(5)
    assert (first, second) == ([([5], None)], [([5], None)])


def test_it_may_be_awaited_later_and_more_than_once(real: EventLoop) -> None:
    answer: Answer[int] = Answer()
    answer.give(5)
    assert await_it(real, answer, times=2) == [([5, 5], None)]


@pytest.mark.parametrize("before", [True, False])
def test_a_failure_is_raised_where_it_is_awaited(real: EventLoop, before: bool) -> None:
    answer: Answer[int] = Answer()
    error = OSError("refused")
    if before:
        answer.fail(error)
    found = await_it(real, answer)
    if not before:
        answer.fail(error)
    assert found == [(None, error)]


def test_one_who_was_cancelled_is_not_woken(real: EventLoop) -> None:
    answer: Answer[int] = Answer()
    log: list[str] = []

    async def work() -> None:
        try:
            await answer
        finally:
            log.append("closed")

    task = Task(real, work(), lambda *outcome: log.append("done"), soon=False)
    task.start()
    task.cancel()
    answer.give(5)
    assert log == ["closed"]


# --- in a host ----------------------------------------------------------------------------------


class Host:
    """The tasks of a host, which is asyncio."""

    def run(self, *_: Any) -> Any:
        """Never called by an answer."""

    def new_future(self) -> asyncio.Future[None] | None:
        """See HostTasks."""
        try:
            return asyncio.get_running_loop().create_future()
        except RuntimeError:
            return None


def in_asyncio(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine in a loop of asyncio."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(work(), 20))
    finally:
        loop.close()


def test_a_task_of_the_host_waits_by_a_future_of_the_host() -> None:
    async def work() -> tuple[int, int]:
        answer: Answer[int] = Answer(Host())
        asyncio.get_running_loop().call_soon(answer.give, 5)
        return await answer, await answer

    assert in_asyncio(work) == (5, 5)


def test_there_a_failure_is_raised_where_it_is_awaited_too() -> None:
    async def work() -> None:
        answer: Answer[int] = Answer(Host())
        asyncio.get_running_loop().call_soon(answer.fail, OSError("refused"))
        await answer

    with pytest.raises(OSError, match="refused"):
        in_asyncio(work)


def test_a_task_of_the_host_that_was_cancelled_is_left_alone() -> None:
    async def work() -> int:
        answer: Answer[int] = Answer(Host())

        async def wait() -> int:
            return await answer

        first, second = asyncio.ensure_future(wait()), asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        answer.give(5)
        assert first.cancelled()
        return await second

    assert in_asyncio(work) == 5


def test_beside_the_host_s_tasks_one_of_ours_waits_as_ever(real: EventLoop) -> None:
    answer: Answer[int] = Answer(Host())
    found = await_it(real, answer)
    answer.give(5)
    assert found == [([5], None)]
