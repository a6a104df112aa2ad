"""The steps that a coroutine may await: what each asks the driver for, and what it makes of it.

Here the test is the driver. What the drivers do is in test_tasks.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, cast

import pytest

from reactor.loop.helper_threads import HelperThreads, helpers
from reactor.loop.steps import (
    InThread,
    Note,
    Now,
    Turn,
    Wait,
    Yielded,
    as_failure,
    check_step,
    in_thread,
    is_step,
    my_turn,
    note,
    now,
    sleep,
    wait,
)


def ask(step: Any, *answers: Any) -> tuple[list[Yielded], Any]:
    """Await a step, and give these answers; return what it has asked for, and its result."""

    async def main() -> Any:
        return await step

    coroutine = cast(Coroutine[Yielded, Any, Any], main())
    *earlier, last = answers
    asked = [coroutine.send(answer) for answer in (None, *earlier)]
    with pytest.raises(StopIteration) as stop:
        coroutine.send(last)
    return asked, stop.value.value


def test_a_wait_for_descriptors() -> None:
    assert ask(wait([1], [2], 5.0), {2}) == ([Wait([1], [2], 5.0)], {2})


def test_a_turn_to_compute() -> None:
    assert ask(my_turn(5.0, begins=True), True) == ([Turn(5.0, True)], True)
    assert ask(my_turn(), set()) == ([Turn(None)], False)  # what a driver says at a time-out


def test_the_time() -> None:
    assert ask(now(), 7.5) == ([Now()], 7.5)


def test_a_note() -> None:
    assert ask(note("dialled", "::1"), None) == ([Note("dialled", "::1")], None)


def test_a_call_on_a_helper_thread() -> None:
    own = HelperThreads()
    asked, result = ask(in_thread(max, 1, 2, until=5.0, key="k", threads=own), 2)
    assert asked == [InThread(max, (1, 2), 5.0, "k", own)]
    assert result == 2
    [request], _ = ask(in_thread(print), None)
    assert request == InThread(print, (), None, None, helpers)


def test_a_sleep_lasts_until_the_time_has_come() -> None:
    """A driver may come back early."""
    until = Wait((), (), 13.0)
    asked, _ = ask(sleep(3), 10.0, 10.0, set(), 12.9, set(), 13.0)
    assert asked == [Now(), Now(), until, Now(), until, Now()]


def test_what_the_driver_throws_is_raised_where_the_step_is_awaited() -> None:
    async def main() -> str:
        try:
            await wait()
        except OSError as exc:
            return str(exc)
        return "nothing"

    coroutine = cast(Generator[Yielded, Any, str], main())
    coroutine.send(None)
    with pytest.raises(StopIteration) as stop:
        coroutine.throw(OSError("refused"))
    assert stop.value.value == "refused"


def test_what_is_no_step_is_refused() -> None:
    for step in (Wait((), (), None), Turn(None), InThread(print, (), None, None), Now()):
        assert is_step(step)
        check_step(step)
    assert not is_step("future")
    with pytest.raises(TypeError, match="'future' cannot be awaited here"):
        check_step("future")


def test_what_is_no_exception_becomes_one_that_no_loop_dies_of() -> None:
    error = ValueError("an exception")
    assert as_failure(error) is error
    cancelled = asyncio.CancelledError("by hand")
    failure = as_failure(cancelled)
    assert type(failure) is RuntimeError
    assert str(failure) == "a coroutine has raised CancelledError('by hand')"
    assert failure.__cause__ is cancelled
