"""The steps that a coroutine may await: all that the drivers of tasks.py know to do for it.

What it is: a handful of awaitable functions, and the requests that they yield to the driver.

What it must not know: drivers, event loops.

How it works. A step yields a small *request* object; the driver sends back the result, or throws an
exception. There are six requests: wait for file descriptors or a point in time, wait for a turn to
compute something expensive, call a function on a helper thread (helper_threads.py), wait for an
answer (answers.py; on an event loop only), tell the time, and note what has happened.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from types import coroutine
from typing import Any, NamedTuple, Protocol, TypeGuard, TypeVar

from .answers import Later
from .helper_threads import HelperThreads, helpers

__all__ = [
    "Guard",
    "InThread",
    "Note",
    "Now",
    "Turn",
    "Wait",
    "Yielded",
    "as_failure",
    "check_step",
    "in_thread",
    "is_step",
    "my_turn",
    "note",
    "now",
    "sleep",
    "wait",
]

T = TypeVar("T")


class Guard(Protocol):
    """Ends a wait that has become pointless, whatever it waits for. On an event loop only.

    Attributes:
        fd: the descriptor that is watched; ``look`` is called when it is readable.
        over: ``look`` sets it to end the wait at once; the wait then has no result.
    """

    fd: int
    over: Exception | None

    @property
    def watching(self) -> bool:
        """Whether to watch the descriptor."""

    def look(self) -> None:
        """Find out what has happened."""


class Wait(NamedTuple):
    """Yielded: wait until one of the descriptors is ready, or until the clock shows *until*."""

    reads: Sequence[int]
    writes: Sequence[int]
    until: float | None
    guard: Guard | None = None


class Turn(NamedTuple):
    """Yielded: wait until the loop has time for an expensive step (share.py), or until *until*."""

    until: float | None
    begins: bool = False


class InThread(NamedTuple):
    """Yielded: the result of ``function(*args)``, called on a helper thread."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    until: float | None
    key: Hashable
    threads: HelperThreads = helpers
    guard: Guard | None = None


class Now(NamedTuple):
    """Yielded: the time of the driver's clock."""


class Note(NamedTuple):
    """Yielded: something has happened that is worth to be noted; for ``on_note`` of a Task."""

    what: Any
    text: str


Yielded = Wait | Turn | InThread | Later | Now | Note

_NOW = Now()  # one instance is enough


def is_step(request: object) -> TypeGuard[Yielded]:
    """Return whether what a coroutine has yielded is a request of those above."""
    return isinstance(request, (Wait, Turn, InThread, Later, Now, Note))


def check_step(request: object) -> None:
    """Check that what a user's coroutine has yielded is a request.

    Raises:
        TypeError: it is not; thrown into the coroutine, it shows where that was.
    """
    if not is_step(request):
        raise TypeError(
            f"{request!r} cannot be awaited here. What can: the steps of reactor.tasks, and what "
            "run_in_thread() returns; in the login of a Feed also link.request(), and on an "
            "asyncio_host() all that asyncio has"
        )


def as_failure(error: BaseException) -> Exception:
    """Return what a coroutine has raised as an exception that no loop dies of.

    Args:
        error: neither KeyboardInterrupt nor SystemExit, which leave the loop.

    Returns:
        The exception itself; a RuntimeError with it as its cause if it is no Exception, such as
        the CancelledError of asyncio, and a GeneratorExit that the coroutine has raised itself.
    """
    if isinstance(error, Exception):
        return error
    failure = RuntimeError(f"a coroutine has raised {error!r}")
    failure.__cause__ = error
    return failure


@coroutine
def wait(
    reads: Sequence[int] = (), writes: Sequence[int] = (), until: float | None = None
) -> Generator[Yielded, Any, set[int]]:
    """Wait for descriptors.

    Args:
        reads, writes: descriptors of which one must become readable, or writable.
        until: point in time (seconds of the driver's clock) at which to give up, or None.

    Returns:
        The descriptors that are ready; an empty set if *until* came first.
    """
    ready: set[int] = yield Wait(reads, writes, until)
    return ready


@coroutine
def my_turn(until: float | None = None, begins: bool = False) -> Generator[Yielded, Any, bool]:
    """Wait until there is time to compute for about a millisecond, up to the next step.

    A loop with many such coroutines spreads them over its turns: see share.py.

    Args:
        until: point in time (seconds of the driver's clock) at which to give up, or None.
        begins: whether this is the caller's first step; then later steps of others go first.

    Returns:
        True; False if *until* came first.
    """
    granted = yield Turn(until, begins)
    return bool(granted)


@coroutine
def now() -> Generator[Yielded, Any, float]:
    """Return the time of the driver's clock, in seconds."""
    seconds: float = yield _NOW
    return seconds


@coroutine
def note(what: Any, text: str = "") -> Generator[Yielded, Any, None]:
    """Tell whoever has started this of a step that is done; takes no time.

    Args:
        what: the step.
        text: details.
    """
    yield Note(what, text)


async def sleep(seconds: float) -> None:
    """Wait for a number of seconds."""
    until = await now() + seconds
    while await now() < until:
        await wait(until=until)


@coroutine
def in_thread(
    function: Callable[..., T],
    *args: Any,
    until: float | None = None,
    key: Hashable = None,
    threads: HelperThreads = helpers,
) -> Generator[Yielded, Any, T]:
    """Call a function that blocks, on a helper thread.

    Args:
        function, args: what to call. If the caller gives up, the call goes on without a listener.
        until: point in time (seconds of the driver's clock) at which to give up, or None.
        key: calls with the same key that are in flight at the same time share one result.
        threads: the threads to use; default: those for the functions that users pass.

    Returns:
        What the function returns.

    Raises:
        WebSocketTimeoutException: *until* has passed.
        Exception: what the function raises.
    """
    result: T = yield InThread(function, args, until, key, threads)
    return result
