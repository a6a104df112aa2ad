"""A call on a helper thread, with its answer on the loop's thread: ``run_in_thread``.

What it is: :func:`run_in_thread`.

What it must not know: what is called, and why.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..base.mistakes import check_called
from ..base.tracebacks import from_others
from .answers import Answer
from .names import describe
from .steps import in_thread
from .tasks import Task

if TYPE_CHECKING:
    from .event_loop import EventLoop

__all__ = ["run_in_thread"]


def run_in_thread(
    loop: EventLoop,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    then: Callable[[Any, Exception | None], object] | None,
    unheard: Callable[[Exception], object],
) -> Answer[Any]:
    """Call ``function(*args)`` on a helper thread, then ``then(result, error)`` on the loop's.

    Any thread may call this.

    Args:
        loop: the event loop.
        function, args: what to call.
        then: gets the result and None, or None and the exception; None: nobody does.
        unheard: gets the exception if there is no *then*, and nobody has awaited the answer.

    Returns:
        The answer, which may be awaited on the loop.

    Raises:
        TypeError: *function* cannot be called, or is an ``async def``.
        RuntimeError: the loop is closed.
    """
    if not callable(function):
        raise TypeError(f"run_in_thread() takes a function, not {function!r}")
    check_called("what run_in_thread() is given", function)

    answer: Answer[Any] = Answer(loop.host_tasks)

    def finish(result: Any, error: Exception | None) -> None:
        if error is not None:
            error = from_others(error)
        if then is not None:
            then(result, error)
        elif error is not None and not answer.awaited:
            unheard(error)
        answer.settle(result, error)

    def start() -> None:
        called = in_thread(function, *args)
        Task(loop, called, finish, soon=False, whose=partial(describe, function)).start()

    if threading.get_ident() == loop.thread_id:
        if loop._closed:
            loop._refuse()
        start()
    else:
        loop.call_soon_threadsafe(start)
    return answer
