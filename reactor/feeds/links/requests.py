"""Requests on a link that have an answer, and the coroutine that makes them: ``login``.

What it is: :class:`Reply`, the answer that a question waits for; :class:`Replies`, those of a link;
and :func:`run`, which runs the coroutine.

What it must not know: sockets, timers, feeds.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from math import inf
from typing import TYPE_CHECKING, Any

from ...base.marks import calls_user_code
from ...exceptions import (
    WebSocketConnectionClosedException,
    WebSocketStateException,
    WebSocketTimeoutException,
)
from ...loop.answers import Answer, HostTasks, Running
from ...loop.tasks import Task

if TYPE_CHECKING:
    from ...loop.event_loop import EventLoop

__all__ = ["Replies", "Reply", "run"]

Message = str | bytes


class Reply(Answer[Message]):
    """The message that answers a question; to be awaited.

    Args:
        match: returns whether a message is the answer.
        due: when it is overdue, in seconds of the loop's clock.
        host: see Answer.
    """

    __slots__ = ("due", "match")

    def __init__(
        self, match: Callable[[Message], object], due: float, host: HostTasks | None = None
    ) -> None:
        super().__init__(host)
        self.match = match
        self.due = due


class Replies:
    """The replies that are awaited on one link, in the order of the questions.

    Args:
        blame: called with what a user's ``match`` has raised, its name, and the message.
    """

    __slots__ = ("_blame", "_waiting")

    def __init__(self, blame: Callable[[Exception, str, Message], object]) -> None:
        self._blame = blame
        self._waiting: list[Reply] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, reply: Reply) -> None:
        """Await one more."""
        self._waiting.append(reply)

    @calls_user_code
    def take(self, message: Message) -> bool:
        """Give a message to the first reply that it matches. Return whether there is one."""
        for reply in self._waiting:
            try:
                matched = reply.match(message)
            except Exception as exc:  # noqa: BLE001 - the user's function; reported
                self._blame(exc, "match of a request", message)
                continue
            if matched:
                self._waiting.remove(reply)
                reply.give(message)
                return True
        return False

    def due(self) -> float:
        """Return when the next one is overdue, in seconds of the loop's clock; inf: none waits."""
        return min((reply.due for reply in self._waiting), default=inf)

    def expire(self, now: float) -> None:
        """Give up those that are overdue."""
        for reply in [reply for reply in self._waiting if reply.due <= now]:
            self._waiting.remove(reply)
            reply.fail(WebSocketTimeoutException("the service has not answered in time"))

    def give_up(self) -> None:
        """Give up all: the link is closed."""
        replies, self._waiting = self._waiting, []
        for reply in replies:
            reply.fail(WebSocketConnectionClosedException("the link was closed"))


def run(
    loop: EventLoop,
    coroutine: Coroutine[Any, Any, object],
    then: Callable[[Any, Exception | None], object],
    on_fault: Callable[[Exception], object],
) -> Running:
    """Run a coroutine of the user's, as a task of the host if it has such. It begins soon.

    Args:
        loop: the event loop.
        coroutine: the coroutine.
        then: called once at its end, with a result and None, or with None and an exception.
        on_fault: called with what it raises after it was cancelled.
    """
    if loop.host_tasks is not None:
        return loop.host_tasks.run(coroutine, then, on_fault)
    return Task(loop, _to_its_end(coroutine, then), then, on_fault=on_fault)


async def _to_its_end(
    coroutine: Coroutine[Any, Any, object], then: Callable[[Any, Exception | None], object]
) -> object:
    """Await it, and tell of an end by KeyboardInterrupt or SystemExit, of which no Task tells."""
    try:
        return await coroutine
    except (KeyboardInterrupt, SystemExit):
        then(None, WebSocketStateException("it was interrupted"))
        raise
