"""An answer that comes later: what ``run_in_thread`` returns, for a coroutine to await.

What it is: :class:`Answer`, and :class:`Later`, the request that it yields to its driver (tasks.py)
while it is not there. And :class:`HostTasks`, for a host that runs coroutines itself: in one of its
tasks, a future of the host is awaited instead.

What it must not know: who asks, and who answers.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from .steps import Guard

__all__ = ["Answer", "HostTasks", "Later", "Running"]

T = TypeVar("T")


class Later(NamedTuple):
    """Yielded: wait for an answer, or until the clock shows *until*."""

    answer: Answer[Any]
    until: float | None = None
    guard: Guard | None = None


class Running(Protocol):
    """A coroutine that runs."""

    def cancel(self) -> object:
        """End it early; its end is not told then."""


class HostTasks(Protocol):
    """Coroutines in the loop of a host. See hosting/asyncio.py."""

    def run(
        self,
        coroutine: Coroutine[Any, Any, object],
        then: Callable[[Any, Exception | None], object],
        on_fault: Callable[[Exception], object] | None = None,
    ) -> Running:
        """Run a coroutine as a task of the host, and tell its end: as Task in tasks.py does.

        ``then`` is called when the task is over, and never before this returns.
        """

    def new_future(self) -> Any:
        """Return a future that the running task of the host can await; None: none is running."""


class Answer(Generic[T]):
    """A result that comes later. ``await`` it in a coroutine on the same loop, once or more.

    The result is returned there, or the exception raised. The loop's thread only.

    Args:
        host: of the loop, if it has one.
    """

    __slots__ = ("_error", "_given", "_host", "_result", "_waiting", "awaited")

    _result: T

    def __init__(self, host: HostTasks | None = None) -> None:
        self._host = host
        self._given = False
        self._error: Exception | None = None
        self._waiting: list[Callable[[], object]] = []
        self.awaited = False

    def __await__(self) -> Generator[Any, Any, T]:
        self.awaited = True
        future = None if self._given or self._host is None else self._host.new_future()
        if future is not None:
            self.when_given(lambda: future.done() or future.set_result(None))
            yield from future
        while not self._given:
            yield Later(self)
        error = self._error
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del self, error  # else the exception, which has this frame, would refer to itself

    def when_given(self, resume: Callable[[], object]) -> None:
        """Call a function when the answer is there, which it is not yet."""
        self._waiting.append(resume)

    def settle(self, result: T | None, error: Exception | None) -> None:
        """The answer is there: a result and None, or None and an exception."""
        if error is None:
            self.give(cast("T", result))
        else:
            self.fail(error)

    def abandon(self) -> None:
        """It will not come, and nobody waits for it any more."""
        self._waiting.clear()

    def give(self, result: T) -> None:
        """The answer is there: whoever waits for it goes on."""
        self._result = result
        self._go_on()

    def fail(self, error: Exception) -> None:
        """There will be no answer: it is raised where the answer is awaited."""
        self._error = error
        self._go_on()

    def _go_on(self) -> None:
        self._given = True
        waiting, self._waiting = self._waiting, []
        for resume in waiting:
            resume()
