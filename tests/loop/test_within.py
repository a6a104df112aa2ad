"""Coroutines of somebody else under a deadline; on both drivers. Continues test_tasks.py."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reactor.exceptions import WebSocketTimeoutException
from reactor.loop.event_loop import EventLoop
from reactor.loop.steps import in_thread, now, sleep, wait
from reactor.loop.tasks import Task, run_blocking
from reactor.loop.within import within

from ..support.driving import run_until
from ..support.leaks import nothing_left

Run = Callable[[Any], Any]


@pytest.fixture(params=["loop", "blocking"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a coroutine to its end, on one of the drivers."""
    with nothing_left():
        loop = EventLoop()

        def on_loop(coroutine: Any) -> Any:
            outcomes: list[tuple[Any, Exception | None]] = []
            Task(loop, coroutine, lambda *outcome: outcomes.append(outcome))
            run_until(loop, lambda: outcomes)
            ((result, error),) = outcomes
            if error is not None:
                raise error
            assert (loop.awaited, loop.stats().timers) == (0, 0)
            return result

        yield on_loop if request.param == "loop" else run_blocking
        loop.close()


def test_the_result_and_the_steps_pass_through(run: Run) -> None:
    ours, theirs = socket.socketpair()

    async def steps() -> Any:
        await sleep(0)
        theirs.send(b"x")
        ready = await wait(reads=[ours.fileno()], until=await now() + 5)
        return ready, await in_thread(str, 5), await wait(until=await now())

    async def limited() -> Any:
        return await within(await now() + 20, steps())

    with ours, theirs:
        assert run(limited()) == ({ours.fileno()}, "5", set())


def test_an_exception_of_a_step_can_be_caught(run: Run) -> None:
    async def steps() -> str:
        try:
            await in_thread(int, "x")
        except ValueError as exc:
            return str(exc)
        return ""

    async def limited() -> str:
        return await within(await now() + 20, steps())

    assert "invalid literal" in run(limited())


def test_a_deadline_of_its_own_that_is_sooner_holds(run: Run) -> None:
    release = threading.Event()

    async def steps() -> str:
        try:
            await in_thread(release.wait, 20, until=await now() + 0.001)
        except WebSocketTimeoutException:
            return "too late"
        return "in time"

    async def limited() -> str:
        return await within(await now() + 20, steps())

    assert run(limited()) == "too late"
    release.set()


@pytest.mark.parametrize("kind", ["sleep", "wait", "in_thread"])
def test_at_the_deadline_it_is_closed(run: Run, kind: str) -> None:
    release = threading.Event()
    seen: list[type[BaseException]] = []

    async def step() -> None:
        if kind == "sleep":
            await sleep(100)
        elif kind == "wait":
            await wait()
        else:
            await in_thread(release.wait, 20)

    async def stubborn() -> None:
        while True:
            try:
                await step()
            except Exception:
                continue
            except BaseException as exc:
                seen.append(type(exc))
                raise

    async def limited() -> None:
        await within(await now() + 0.001, stubborn())

    with pytest.raises(WebSocketTimeoutException, match="stubborn timed out"):
        run(limited())
    release.set()
    assert seen == [GeneratorExit]


def test_what_is_no_step_is_an_error_where_it_is_awaited(run: Run) -> None:
    async def steps() -> str:
        try:
            await asyncio.Future(loop=asyncio_loop)
        except TypeError as exc:
            return str(exc)
        return ""

    async def limited() -> str:
        return await within(await now() + 20, steps())

    asyncio_loop = asyncio.new_event_loop()
    try:
        assert "cannot be awaited here. What can: the steps of reactor.tasks" in run(limited())
    finally:
        asyncio_loop.close()


def test_cancelling_closes_it() -> None:
    seen: list[type[BaseException]] = []

    async def steps() -> None:
        try:
            await sleep(100)
        except BaseException as exc:
            seen.append(type(exc))
            raise

    async def limited() -> None:
        await within(await now() + 200, steps())

    loop = EventLoop()
    task = Task(loop, limited(), lambda result, error: None)
    loop.run_once(0)
    task.cancel()
    assert seen == [GeneratorExit]
    assert loop.stats().timers == 0
    loop.close()
