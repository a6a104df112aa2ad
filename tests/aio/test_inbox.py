"""The inbox: how a task waits for messages, and when it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from reactor.asyncio.hosts import get_host
from reactor.asyncio.inbox import Inbox

from ..support.asyncio_loops import Run

LABEL: ContextVar[str] = ContextVar("LABEL")


class Refused(Exception):
    """What Owner.refuse raises."""


class Owner:
    """Takes note of what the inbox asks."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pause(self) -> None:
        self.asked.append("pause")

    def resume(self) -> None:
        self.asked.append("resume")

    def assemble(self, piece: Any) -> str | None:
        return "".join(piece) if piece else None

    def refuse(self) -> None:
        raise Refused


def make(high: int | None = None, low: int = 0) -> tuple[Inbox, Owner]:
    owner = Owner()
    return Inbox(owner, get_host(), high, low), owner


def in_a_turn(callback: Callable[[], object]) -> None:
    """Have the reactor call this, as it calls handlers."""
    get_host().call_soon(callback)


async def steps(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_batch_wakes_the_task_once_and_in_the_turn_that_brought_it(run: Run) -> None:
    async def main() -> None:
        inbox, _ = make()
        loop = get_host().loop
        seen: list[tuple[int, int]] = []
        turns: list[int] = []

        async def consume() -> None:
            while len(seen) < 2:
                await inbox
                seen.append((len(inbox.items), loop.turns))
                inbox.items.clear()

        def batch() -> None:
            turns.append(loop.turns)
            for number in range(5):
                inbox.put(str(number))
            assert len(seen) == len(turns) - 1  # not before the callback is over

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0)
        for _ in range(2):
            in_a_turn(batch)
            await steps()
        await task
        assert seen == [(5, turns[0]), (5, turns[1])]

    run(main())


def test_the_task_goes_on_as_itself_in_its_own_context(run: Run) -> None:
    async def main() -> None:
        inbox, _ = make()

        async def consume() -> tuple[object, str]:
            LABEL.set("the task's")
            await inbox
            return asyncio.current_task(), LABEL.get()

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0)
        in_a_turn(lambda: inbox.put("message"))
        assert await task == (task, "the task's")
        assert LABEL.get(None) is None

    run(main())


def test_what_a_task_raises_is_its_own_affair(run: Run) -> None:
    async def main() -> None:
        inbox, _ = make()

        async def consume() -> None:
            await inbox
            raise LookupError("of the task")

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0)
        in_a_turn(lambda: inbox.put("message"))
        with pytest.raises(LookupError, match="of the task"):
            await task
        assert list(inbox.items) == ["message"]

    run(main())


def test_a_task_that_is_cancelled_leaves_everything_and_the_next_may_wait(run: Run) -> None:
    async def main() -> None:
        inbox, _ = make()

        async def consume() -> str | bytes | None:
            await inbox
            return inbox.take()

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0)
        task.cancel("no more")
        assert inbox.waiting
        in_a_turn(lambda: inbox.put("kept"))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not inbox.waiting
        assert await consume() == "kept"

    run(main())


def test_a_task_that_is_cancelled_when_it_is_about_to_go_on(run: Run) -> None:
    async def main() -> None:
        inbox, _ = make()

        async def consume() -> str | bytes | None:
            await inbox
            return inbox.take()

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0)

        def both() -> None:
            inbox.put("kept")
            task.cancel()

        in_a_turn(both)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert inbox.take() == "kept"
        assert not inbox.waiting

    run(main())


def test_outside_of_a_turn_the_task_goes_on_later(run: Run) -> None:
    async def main() -> None:
        inbox, _ = make()
        gone_on: list[bool] = []

        async def consume() -> None:
            await inbox
            gone_on.append(True)

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0)
        inbox.put("message")
        inbox.put("message")
        assert not gone_on
        await task

    run(main())


def test_where_loops_run_within_tasks_a_task_goes_on_in_asyncios_turn(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)

    async def main() -> None:
        inbox, _ = make()
        running: list[bool] = []

        async def consume() -> None:
            await inbox
            running.append(get_host().loop.running)

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0)
        in_a_turn(lambda: inbox.put("message"))
        await task
        assert running == [False]

    run(main())


def test_a_task_that_closes_the_reactor_is_not_interrupted_by_another(run: Run) -> None:
    async def main() -> None:
        inbox, _ = make()
        host = get_host()

        async def consume() -> None:
            await inbox

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0)
        host.call_soon(lambda: inbox.put("at last"))
        host.close()  # its last turn runs the call
        await task

    run(main())


def test_only_one_may_wait(run: Run) -> None:
    async def main() -> None:
        inbox, _ = make()

        async def consume() -> None:
            await inbox

        first = asyncio.ensure_future(consume())
        await asyncio.sleep(0)
        with pytest.raises(Refused):
            await inbox
        in_a_turn(lambda: inbox.put("message"))
        await first
        await inbox  # something is there
        inbox.busy = True
        with pytest.raises(Refused):
            inbox.take()

    run(main())


def test_a_coroutine_that_is_closed_waits_no_longer(run: Run) -> None:
    async def main() -> None:
        inbox, _ = make()

        async def consume() -> None:
            await inbox

        waiting = consume()
        waiting.send(None)
        assert inbox.waiting
        waiting.close()
        assert not inbox.waiting
        other = asyncio.ensure_future(consume())
        await asyncio.sleep(0)
        in_a_turn(lambda: inbox.put("message"))
        await other

    run(main())


def test_a_coroutine_that_is_closed_when_it_is_about_to_go_on_does_not(run: Run) -> None:
    async def main() -> None:
        inbox, _ = make()

        async def consume() -> None:
            await inbox

        waiting = consume()
        waiting.send(None)
        inbox.add_done_callback(pytest.fail, context=copy_context())  # as its task does

        def bring_and_close() -> None:
            inbox.put("message")
            waiting.close()

        in_a_turn(bring_and_close)
        await steps()
        assert not inbox.waiting
        assert inbox.take() == "message"

    run(main())


def test_the_end_is_raised_behind_what_had_come(run: Run) -> None:
    async def main() -> None:
        inbox, _ = make()

        async def consume() -> list[Any]:
            got = []
            try:
                while True:
                    message = inbox.take()
                    if message is None:
                        await inbox
                    else:
                        got.append(message)
            except LookupError as exc:
                return [*got, str(exc)]

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0)

        def last() -> None:
            inbox.put("one")
            inbox.put(["t", "wo"])
            inbox.put([])
            inbox.end(lambda: LookupError("over"))

        in_a_turn(last)
        assert await task == ["one", "two", "over"]
        with pytest.raises(LookupError):
            await inbox

    run(main())


def test_there_is_a_pause_above_the_high_mark_until_the_low_one(run: Run) -> None:
    async def main() -> None:
        inbox, owner = make(3, 1)
        for number in range(5):
            inbox.put(str(number))
        assert owner.asked == ["pause"]
        assert inbox.paused
        assert [inbox.take() for _ in range(3)] == ["0", "1", "2"]
        assert owner.asked == ["pause"]
        assert inbox.take() == "3"
        assert owner.asked == ["pause", "resume"]
        for number in range(4):
            inbox.put(str(number))
        inbox.end(lambda: LookupError("over"))
        while inbox.take() is not None:
            pass
        assert owner.asked == ["pause", "resume", "pause"]

    run(main())
