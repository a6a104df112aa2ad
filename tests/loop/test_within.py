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
from reactor.loop.share import TurnShare
from reactor.loop.steps import in_thread, my_turn, now, sleep, wait
from reactor.loop.tasks import Task, run_blocking
from reactor.loop.within import within
from reactor.timers import ManualClock

from ..support.driving import run_until
from ..support.guard import SocketGuard
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


@pytest.mark.parametrize("raised", [asyncio.CancelledError, GeneratorExit])
def test_what_is_no_exception_does_not_pass_for_the_callers_own(
    run: Run, raised: type[BaseException]
) -> None:
    async def steps() -> None:
        await now()
        raise raised

    async def limited() -> str:
        try:
            await within(await now() + 20, steps())
        except RuntimeError as exc:
            return f"{type(exc.__cause__).__name__}"
        return ""

    assert run(limited()) == raised.__name__


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, ValueError])
def test_what_it_raises_passes_through(run: Run, raised: type[BaseException]) -> None:
    """On a loop, the first two leave the loop."""
    error = raised("on purpose")

    async def steps() -> None:
        raise error

    async def limited() -> None:
        await within(await now() + 20, steps())

    with pytest.raises(raised) as caught:
        run(limited())
    assert caught.value is error


def test_a_turn_to_compute_passes_through_under_the_deadline(run: Run) -> None:
    async def steps() -> bool:
        return await my_turn() and await my_turn(until=await now() + 5)

    async def limited() -> bool:
        return await within(await now() + 20, steps())

    assert run(limited()) is True


def test_a_turn_that_does_not_come_ends_at_the_deadline() -> None:
    clock = ManualClock(100.0)
    loop = EventLoop(clock=clock)
    used_up = iter(range(100))
    loop.share = TurnShare(lambda: next(used_up))
    loop.call_soon(loop.share.run, loop, int)  # which takes all of the first turn's share
    found: list[tuple[Any, Exception | None]] = []

    async def limited() -> None:
        await within(await now() + 3, my_turn(until=await now() + 9))

    Task(loop, limited(), lambda *outcome: found.append(outcome))
    loop.run_once(0)
    clock.advance(3)
    loop.run_once(0)  # the timer comes before the calls
    ((_, error),) = found
    assert isinstance(error, WebSocketTimeoutException)
    loop.close()


# --- guards -------------------------------------------------------------------------------------


@pytest.fixture
def guard() -> Iterator[SocketGuard]:
    with SocketGuard() as guard:
        yield guard


class Guarded:
    """A coroutine under a guard, on a loop whose clock stands still.

    Attributes:
        outcomes: how it ended.
        seen: what it was ended by, as it saw it.
    """

    def __init__(self, guard: SocketGuard, *steps: Callable[[], Any]) -> None:
        self._steps = steps
        self.clock = ManualClock(100.0)
        self.loop = EventLoop(clock=self.clock)
        self.outcomes: list[tuple[Any, Exception | None]] = []
        self.seen: list[type[BaseException]] = []
        Task(self.loop, self._limited(guard), lambda *outcome: self.outcomes.append(outcome))
        self.loop.run_once(0)

    async def _limited(self, guard: SocketGuard) -> Any:
        return await within(await now() + 20, self._work(), guard)

    async def _work(self) -> str:
        try:
            for step in self._steps:
                await step()
        except BaseException as exc:
            self.seen.append(type(exc))
            raise
        return "done"


def test_a_guard_that_has_found_something_ends_it_before_its_first_wait(guard: SocketGuard) -> None:
    guard.theirs.send(b"gone")
    guarded = Guarded(guard, wait)
    ((_, error),) = guarded.outcomes
    assert error is guard.over
    assert str(error) == "gone"
    assert guarded.seen == [GeneratorExit]
    guarded.loop.close()


def test_a_guard_that_finds_something_meanwhile_ends_it(guard: SocketGuard) -> None:
    guarded = Guarded(guard, wait)
    assert guarded.outcomes == []
    guard.theirs.send(b"gone")
    guarded.loop.run_once(20)
    ((_, error),) = guarded.outcomes
    assert error is guard.over
    assert str(error) == "gone"
    assert guarded.seen == [GeneratorExit]
    guarded.loop.close()


def test_a_guard_that_finds_something_as_the_wait_ends_has_the_last_word(
    guard: SocketGuard,
) -> None:
    def find() -> bool:
        guard.over = OSError("gone")
        return True

    guarded = Guarded(guard, lambda: in_thread(find))
    guarded.loop.run_until_idle()
    ((_, error),) = guarded.outcomes
    assert error is guard.over
    guarded.loop.close()


def test_a_guard_that_finds_nothing_changes_nothing(guard: SocketGuard) -> None:
    guarded = Guarded(guard, lambda: sleep(5))
    guarded.clock.advance(5)
    guarded.loop.run_once(0)
    assert guarded.outcomes == [("done", None)]
    assert guard.looks > 0
    guarded.loop.close()
