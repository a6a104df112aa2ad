"""A user's coroutine: under a deadline, and closed when its result is no longer wanted.

What it is: :func:`within`, through which the steps of such a coroutine pass on their way to the
driver (tasks.py).

What it must not know: what the coroutine does, and why.

How it works. Where the loop has a host that runs coroutines (answers.py), the coroutine is a task
of that host, so that it may await what the host has; its outcome is an answer, and waiting for that
is the only step that passes through here. To close the coroutine is then to cancel the task.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from types import coroutine
from typing import Any, TypeVar

from ..base.marks import calls_user_code
from ..exceptions import WebSocketTimeoutException
from .answers import Answer, HostTasks, Later
from .steps import Guard, InThread, Turn, Wait, Yielded, as_failure, check_step, now

__all__ = ["within"]

T = TypeVar("T")


@coroutine
def within(
    until: float,
    awaitable: Awaitable[T],
    guard: Guard | None = None,
    host: HostTasks | None = None,
) -> Generator[Yielded, Any, T]:
    """Await a user's awaitable, which may have no deadline, under one.

    Args:
        until: point in time (seconds of the driver's clock) at which it is closed.
        awaitable: a coroutine, for example.
        guard: asked before and during every wait; if its ``over`` is set, the awaitable is closed.
        host: of the loop, if it has one.

    Returns:
        What the awaitable returns.

    Raises:
        WebSocketTimeoutException: *until* has passed.
        Exception: what the awaitable raises (see as_failure), or ``over`` of the guard. If the
            awaitable awaits something that is not a step of steps.py (a future of asyncio, say),
            TypeError is raised at that place.
    """
    steps = _awaiting(awaitable) if host is None else _in_host(host, awaitable)
    resume: Callable[[Any], Any] = steps.send
    value: Any = None
    request: Any = None
    try:
        while True:
            try:
                request = resume(value)
            except StopIteration as stop:
                result: T = stop.value
                return result
            except (Exception, KeyboardInterrupt, SystemExit):
                raise
            except BaseException as exc:
                raise as_failure(exc) from exc
            if guard is not None:
                guard.look()
                if guard.over is not None:
                    raise guard.over
            try:
                value = yield from _no_later(until, request, guard)
                resume = steps.send
            except Exception as exc:  # noqa: BLE001 - thrown into the coroutine
                resume, value = steps.throw, exc
            if guard is not None and guard.over is not None:
                raise guard.over
            if (yield from now()) >= until:
                name = getattr(awaitable, "__name__", "call")
                raise WebSocketTimeoutException(f"{name} timed out")
    finally:
        steps.close()
        del value, request  # else an exception, which has this frame, would refer to itself


@calls_user_code
async def _awaiting(awaitable: Awaitable[T]) -> T:
    return await awaitable


async def _in_host(host: HostTasks, awaitable: Awaitable[T]) -> T:
    answer: Answer[T] = Answer()
    running = host.run(_awaiting(awaitable), answer.settle)
    try:
        return await answer
    finally:
        running.cancel()
        answer.abandon()
        del answer, running  # else an exception, which has this frame, would refer to itself


def _no_later(until: float, request: Any, guard: Guard | None) -> Generator[Yielded, Any, Any]:
    """Have a request served that ends at *until* at the latest."""
    check_step(request)
    if isinstance(request, (Wait, InThread, Later)):
        sooner = until if request.until is None else min(until, request.until)
        request = request._replace(until=sooner, guard=guard)
    elif isinstance(request, Turn):
        request = request._replace(
            until=until if request.until is None else min(until, request.until)
        )
    return (yield request)
