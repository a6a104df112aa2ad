"""Requests on a link that have an answer, and the coroutine that makes them: ``login``.

What it is: :class:`Reply`, the answer that a question waits for, and :func:`run`, which runs the
coroutine.

What it must not know: sockets, timers, feeds.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ...loop.answers import Answer, HostTasks, Running
from ...loop.tasks import Task

if TYPE_CHECKING:
    from ...loop.event_loop import EventLoop

__all__ = ["Reply", "run"]

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


def run(
    loop: EventLoop,
    coroutine: Coroutine[Any, Any, object],
    then: Callable[[Any, Exception | None], object],
) -> Running:
    """Run a coroutine of the user's, as a task of the host if it has such. It begins soon.

    Args:
        loop: the event loop.
        coroutine: the coroutine.
        then: called once at its end, with a result and None, or with None and an exception.
    """
    if loop.host_tasks is not None:
        return loop.host_tasks.run(coroutine, then)
    return Task(loop, coroutine, then)
