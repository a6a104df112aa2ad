"""Driving a reactor in a test until something has happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from types import FunctionType
from typing import Any, TypeVar

from reactor import Reactor
from reactor.loop.event_loop import EventLoop
from reactor.loop.poller import Poller
from reactor.loop.tasks import Task

T = TypeVar("T")


def run_until(
    loop: EventLoop | Reactor, condition: Callable[[], object], timeout: float = 20.0
) -> None:
    """Run turns of *loop* until *condition* is true; fail after *timeout* real seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise AssertionError(f"{condition} did not come true within {timeout} s")
        loop.run_once(min(remaining, 0.1))


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as a task of a reactor of its own; return or raise what it does."""
    ends: list[tuple[Any, Exception | None]] = []
    with Reactor() as loop:
        Task(loop.loop, coroutine, lambda result, error: ends.append((result, error)))
        run_until(loop, lambda: ends)
    result, error = ends[0]
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def replace_method(
    poller: Poller, name: str, function: Callable[..., object]
) -> Callable[[], None]:
    """Have *function* called in the place of a method of this one poller; returns what undoes it.

    The poller gets a class of its own. For the compiled loop, which makes the calls of the kernel
    that an ``EpollPoller`` would make, it is another poller then, whose methods it calls.
    """
    kind = type(poller)
    members = {"__slots__": (), name: staticmethod(function)}
    poller.__class__ = type(kind.__name__, (kind,), members)

    def undo() -> None:
        poller.__class__ = kind

    return undo


def as_library_code(function: Callable[..., Any], module: str = "transports.any") -> Any:
    """The same function, as if a module of the package had defined it."""
    assert isinstance(function, FunctionType)
    namespace = dict(function.__globals__, __name__=f"reactor.{module}")
    return FunctionType(function.__code__, namespace, function.__name__, None, function.__closure__)
