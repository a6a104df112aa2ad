"""Coroutines without asyncio: a trampoline with two drivers.

What it is: a handful of awaitable steps, and two ways to drive a coroutine that awaits only
those: :class:`Task` on an event loop, and :func:`run_blocking` in the calling thread. The
connect pipeline and the server's handshake are written once, in straight lines, and run on
both.

What it must not know: what the coroutines do.

How it works. An awaitable step yields a small *request* object to the driver; the driver
sends back the result or throws the exception. There are four requests: wait for file
descriptors or a point in time, wait for the time to compute for long, call a function on a helper
thread, and tell the time.

Cancelling closes the coroutine: ``GeneratorExit`` is raised at the step it waits in. Whatever
it holds must be released in ``finally`` or ``except BaseException``.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Hashable, Sequence
from copy import copy
from functools import partial
from types import coroutine
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from .exceptions import WebSocketTimeoutException
from .poller import wait_for
from .timers import Clock, MonotonicClock

if TYPE_CHECKING:
    from .loop import EventLoop
    from .timers import Timer

__all__ = ["Task", "in_thread", "my_turn", "now", "run_blocking", "sleep", "wait", "within"]

T = TypeVar("T")


class Wait(NamedTuple):
    """Request: until one of the descriptors is ready, or *until* (clock time) has come."""

    reads: Sequence[int]
    writes: Sequence[int]
    until: float | None


class Turn(NamedTuple):
    """Request: until the loop has time for an expensive step (share.py), or *until* has come."""

    until: float | None


class InThread(NamedTuple):
    """Request: the result of ``function(*args)``, called on a helper thread."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    until: float | None
    key: Hashable


class Now(NamedTuple):
    """Request: the driver's clock."""


Request = Wait | Turn | InThread | Now

_NOW = Now()  # one serves for all
_START = Now()  # what a task waits for before its first step


@coroutine
def wait(
    reads: Sequence[int] = (), writes: Sequence[int] = (), until: float | None = None
) -> Generator[Request, Any, set[int]]:
    """Wait for descriptors.

    Parameters:
        reads, writes: descriptors of which one must become readable, or writable.
        until: point in time (seconds of the driver's clock) at which to give up, or None.

    Returns the descriptors that are ready; an empty set when *until* came first.
    """
    ready: set[int] = yield Wait(reads, writes, until)
    return ready


@coroutine
def my_turn(until: float | None = None) -> Generator[Request, Any, bool]:
    """Wait until there is time to compute for a millisecond or so, up to the next step.

    A loop that has many coroutines do so shares them out among its turns: see share.py.

    Returns whether there is; False when *until* came first.
    """
    granted = yield Turn(until)
    return bool(granted)


@coroutine
def now() -> Generator[Request, Any, float]:
    """Return the time of the driver's clock, in seconds."""
    seconds: float = yield _NOW
    return seconds


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
) -> Generator[Request, Any, T]:
    """Call a function that blocks, on a helper thread.

    Parameters:
        function, args: what to call. It goes on, unheard, when the caller gives up.
        until: point in time (seconds of the driver's clock) at which to give up, or None.
        key: calls with the same key that are in flight at the same time share one result.

    Returns what the function returns, raises what it raises, and
    WebSocketTimeoutException at *until*.
    """
    result: T = yield InThread(function, args, until, key)
    return result


@coroutine
def within(until: float, awaitable: Awaitable[T]) -> Generator[Request, Any, T]:
    """Await something of somebody else, who may know of no deadline, under one.

    Parameters:
        until: point in time (seconds of the driver's clock) at which it is closed.
        awaitable: a coroutine, for example.

    Returns its result, raises what it raises, and WebSocketTimeoutException at *until*. Where it
    awaits what is no step of this module (a future of asyncio, say), TypeError is raised there.
    """
    steps = _awaiting(awaitable)
    resume: Callable[[Any], Any] = steps.send
    value: Any = None
    try:
        while True:
            try:
                request = resume(value)
            except StopIteration as stop:
                result: T = stop.value
                return result
            try:
                value = yield from _no_later(until, request)
                resume = steps.send
            except Exception as exc:  # noqa: BLE001 - thrown into the coroutine
                resume, value = steps.throw, exc
            if (yield _NOW) >= until:
                name = getattr(awaitable, "__name__", "call")
                raise WebSocketTimeoutException(f"{name} timed out")
    finally:
        steps.close()


async def _awaiting(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _no_later(until: float, request: Any) -> Generator[Request, Any, Any]:
    """Have a request served that ends at *until*, if not before."""
    if isinstance(request, (Wait, Turn, InThread)):
        sooner = until if request.until is None else min(until, request.until)
        request = request._replace(until=sooner)
    elif not isinstance(request, Now):
        raise TypeError(f"only the steps of reactor.tasks can be awaited here, not {request!r}")
    return (yield request)


class Task(Generic[T]):
    """Drives one coroutine on an event loop.

    Parameters:
        loop: the event loop. All of this runs on its thread.
        coroutine: what to run; its first step runs in the loop's next batch of calls.
        on_done: called once with ``(result, None)`` or ``(None, exception)``; not called
            after :meth:`cancel`.
        soon: False: the first step runs when :meth:`start` is called, by somebody whom the loop
            has called; he need not wait for a turn.
    """

    __slots__ = ("_coroutine", "_loop", "_on_done", "_timer", "_until", "_waiting_for")

    def __init__(
        self,
        loop: EventLoop,
        coroutine: Coroutine[Request, Any, T],
        on_done: Callable[[T | None, Exception | None], object],
        *,
        soon: bool = True,
    ) -> None:
        self._loop = loop
        self._coroutine = coroutine
        # None once the task is done or cancelled.
        self._on_done: Callable[[T | None, Exception | None], object] | None = on_done
        # Kept from one request to the next: most coroutines have one deadline for all.
        self._timer: Timer | None = None
        self._until: float | None = None  # what the timer stands for
        # The request that is being served: answers to an earlier one come too late. None while
        # the coroutine runs.
        self._waiting_for: Request | None = _START
        if soon:
            loop.call_soon(self.start)

    @property
    def done(self) -> bool:
        """Whether the coroutine has ended or was cancelled."""
        return self._on_done is None

    def cancel(self) -> None:
        """Stop the coroutine where it waits. Idempotent; no callback follows."""
        if self._on_done is None:
            return
        self._on_done = None
        runs = self._waiting_for is None
        self._abandon()
        self._clear()
        self._set_timer(None)
        if not runs:
            self._coroutine.close()
        # Otherwise the coroutine itself has called, however indirectly, and _step closes it.

    def start(self) -> None:
        """Run the first step, unless the task was cancelled."""
        if self._on_done is not None:
            self._waiting_for = None
            self._step(self._coroutine.send, None)

    def _step(self, resume: Callable[[Any], Request], value: Any) -> None:
        while True:
            try:
                request = resume(value)
            except StopIteration as stop:
                result, error = stop.value, None
                break
            except Exception as exc:  # noqa: BLE001 - handed to whoever waits for the result
                result, error = None, exc
                break
            except BaseException:
                self._on_done = None  # KeyboardInterrupt or SystemExit, which leave the loop
                self._set_timer(None)
                raise
            if self._on_done is None:
                self._coroutine.close()
                return
            if isinstance(request, Now):
                resume, value = self._coroutine.send, self._loop.time()
                continue
            if isinstance(request, Turn):
                self._waiting_for = request
                if request.until != self._until:
                    self._set_timer(request.until)
                self._loop.share.run(self._loop, partial(self._granted, request))
                return
            try:
                self._serve(request)
            except Exception as exc:  # noqa: BLE001 - thrown into the coroutine
                # The poller refused a descriptor, or no thread could be started.
                self._clear()
                resume, value = self._coroutine.throw, exc
                continue
            return
        # Not above: StopIteration would be the context of all that the callback raises.
        self._finish(result, error)

    def _serve(self, request: Wait | InThread) -> None:
        self._waiting_for = request
        if isinstance(request, Wait):
            loop = self._loop  # not its poller: see verbs.py on sockets closed without a word
            for fd in request.reads:
                loop.add_reader(fd, self._ready, fd)
            for fd in request.writes:
                loop.add_writer(fd, self._ready, fd)
        else:
            self._loop.awaited += 1
            helpers.submit(request, partial(self._answer, request))
        if request.until != self._until:
            self._set_timer(request.until)

    def _set_timer(self, until: float | None) -> None:
        """Have ``_timed_out`` called at *until*, and at no other time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._until = None
        if until is not None:
            self._timer = self._loop.call_at(until, self._timed_out)
            self._until = until

    def _clear(self) -> None:
        """Forget the request and its descriptors."""
        request, self._waiting_for = self._waiting_for, None
        if isinstance(request, Wait):
            poller = self._loop.poller
            for fd in request.reads:
                poller.remove_reader(fd)
            for fd in request.writes:
                poller.remove_writer(fd)
        elif isinstance(request, InThread):
            self._loop.awaited -= 1

    def _granted(self, request: Turn) -> None:
        if self._waiting_for is request:  # it has neither timed out nor been cancelled
            self._waiting_for = None
            self._step(self._coroutine.send, True)

    def _ready(self, fd: int) -> None:
        self._clear()
        self._step(self._coroutine.send, {fd})

    def _abandon(self) -> None:
        """Do not wait for a helper thread any more."""
        if isinstance(self._waiting_for, InThread):
            helpers.abandon(self._waiting_for)

    def _timed_out(self) -> None:
        self._timer = self._until = None
        request = self._waiting_for
        self._abandon()
        self._clear()
        if isinstance(request, InThread):
            name = getattr(request.function, "__name__", "call")
            self._step(self._coroutine.throw, WebSocketTimeoutException(f"{name} timed out"))
        else:
            self._step(self._coroutine.send, set())

    def _answer(self, request: InThread, result: Any, exc: BaseException | None) -> None:
        """Called on the helper thread."""
        try:
            self._loop.call_soon_threadsafe(self._thread_done, request, result, exc)
        except RuntimeError:
            pass  # the loop was closed meanwhile: nobody is waiting any more

    def _thread_done(self, request: InThread, result: Any, exc: BaseException | None) -> None:
        if self._waiting_for is not request:
            return  # the answer came too late
        self._clear()
        if exc is not None:
            self._step(self._coroutine.throw, exc)
        else:
            self._step(self._coroutine.send, result)

    def _finish(self, result: T | None, exc: Exception | None) -> None:
        self._set_timer(None)
        on_done, self._on_done = self._on_done, None
        if on_done is not None:
            on_done(result, exc)


def run_blocking(coroutine: Coroutine[Request, Any, T], clock: Clock | None = None) -> T:
    """Drive a coroutine in the calling thread, which blocks meanwhile.

    Parameters:
        coroutine: what to run.
        clock: whose time the coroutine sees; default the monotonic clock.

    Returns its result; raises what it raises.
    """
    if clock is None:
        clock = MonotonicClock()
    resume: Callable[[Any], Request] = coroutine.send
    value: Any = None
    try:
        while True:
            try:
                request = resume(value)
            except StopIteration as stop:
                result: T = stop.value
                return result
            try:
                resume, value = coroutine.send, _serve_blocking(request, clock)
            except Exception as exc:  # noqa: BLE001 - thrown into the coroutine
                resume, value = coroutine.throw, exc
    finally:
        coroutine.close()


def _serve_blocking(request: Request, clock: Clock) -> Any:
    if isinstance(request, Now):
        return clock.now()
    if isinstance(request, Turn):
        return True
    timeout = None if request.until is None else max(0.0, request.until - clock.now())
    if isinstance(request, Wait):
        return wait_for(request.reads, request.writes, timeout)
    if timeout is None:
        return request.function(*request.args)
    answered = threading.Event()
    answers: list[tuple[Any, BaseException | None]] = []

    def answer(result: Any, exc: BaseException | None) -> None:
        answers.append((result, exc))
        answered.set()

    helpers.submit(request, answer)
    if not answered.wait(timeout):
        helpers.abandon(request)
        name = getattr(request.function, "__name__", "call")
        raise WebSocketTimeoutException(f"{name} timed out")
    result, exc = answers[0]
    if exc is not None:
        raise exc
    return result


Answer = Callable[[Any, BaseException | None], object]


class HelperThreads:
    """A few short-lived threads for functions that can only block (name resolution).

    A thread is started when there is work and fewer than *limit* are at it, and ends when
    there is none left. Requests with the same key that are in flight together share a call.
    """

    def __init__(self, limit: int = 32) -> None:
        self._limit = limit
        self.reset()

    def reset(self) -> None:
        """Begin anew: in a forked child, where none of the threads is."""
        self._lock = threading.Lock()
        # What is to be called, and by whose request who wants to know.
        self._queue: deque[tuple[InThread, dict[int, Answer]]] = deque()
        self._shared: dict[Hashable, dict[int, Answer]] = {}
        self._threads = 0

    def submit(self, request: InThread, answer: Answer) -> None:
        """Have the request served; *answer* is called on a helper thread.

        Raises RuntimeError when that takes a thread and the system has none.
        """
        with self._lock:
            if request.key is not None and request.key in self._shared:
                self._shared[request.key][id(request)] = answer
                return
            if self._threads < self._limit:
                self._start_thread()
            answers = {id(request): answer}
            if request.key is not None:
                self._shared[request.key] = answers
            self._queue.append((request, answers))

    def abandon(self, request: InThread) -> None:
        """Nobody waits for this request any more; what is not begun yet will not be."""
        with self._lock:
            for place, (queued, answers) in enumerate(self._queue):
                if answers.pop(id(request), None) is not None:
                    if not answers:
                        del self._queue[place]
                        self._shared.pop(queued.key, None)
                    return

    def _start_thread(self) -> None:
        """Start a thread, which will find its work when the lock is free."""
        thread = threading.Thread(target=self._work, name="reactor-helper", daemon=True)
        self._threads += 1
        try:
            thread.start()
        except RuntimeError:
            self._threads -= 1
            if not self._threads:
                raise

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._threads -= 1
                    return
                request, answers = self._queue.popleft()
            result, error = None, None
            try:
                result = request.function(*request.args)
            except BaseException as exc:  # noqa: BLE001 - handed to whoever asked
                error = exc
            with self._lock:
                if request.key is not None:
                    del self._shared[request.key]
                waiting = list(answers.values())
            for answer in waiting:
                # Each its own exception: a traceback grows wherever one is raised.
                answer(result, error if len(waiting) == 1 else _copied(error))


def _copied(error: BaseException | None) -> BaseException | None:
    try:
        return copy(error)
    except Exception:  # noqa: BLE001 - some exceptions cannot be copied; then they are shared
        return error


helpers = HelperThreads()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=helpers.reset)
