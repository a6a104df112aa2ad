"""Coroutines without asyncio: a trampoline with two drivers.

What it is: two ways to drive a coroutine that awaits only the steps of steps.py: :class:`Task` on
an event loop, and :func:`run_blocking` in the calling thread. The connect pipeline and the server's
handshake are written once, as straight code, and run on both.

What it must not know: what the coroutines do.

How it works. A step yields a request to the driver; the driver sends back the result or throws the
exception. The wrapper for a user's coroutine is in within.py.

Cancelling closes the coroutine: ``GeneratorExit`` is raised at the step in which it waits. The
coroutine must release what it holds in ``finally`` or ``except BaseException``. What it raises
meanwhile is reported, and does not reach whoever cancels: they have more to do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..exceptions import WebSocketTimeoutException
from ..timers import Clock, MonotonicClock
from .answers import Later
from .poller import wait_for
from .steps import Guard, InThread, Note, Now, Turn, Wait, Yielded, as_failure, check_step

if TYPE_CHECKING:
    from ..timers import Timer
    from .event_loop import EventLoop

__all__ = ["Task", "run_blocking"]

T = TypeVar("T")

_START = Now()  # what a task waits for before its first step


class Task(Generic[T]):
    """Drives one coroutine on an event loop.

    Args:
        loop: the event loop. All of this runs on its thread.
        coroutine: what to run; its first step runs in the loop's next batch of calls.
        on_done: called once with ``(result, None)`` or ``(None, exception)``; not called
            after :meth:`cancel`.
        soon: False: the first step runs when :meth:`start` is called. For a caller that the loop
            has called, and that need not wait for the next turn.
        on_note: called with what the coroutine notes, and its text; None: nobody is.
        whose: returns for whom the coroutine works, in words; None: its name says it.
        on_fault: called with what the coroutine raises after :meth:`cancel`, in its clean-up for
            example; None: that of the clean-up goes to the loop's log.
    """

    __slots__ = (
        *("_coroutine", "_loop", "_on_done", "_on_fault", "_on_note", "_timer", "_until"),
        *("_waiting_for", "_whose"),
    )

    def __init__(
        self,
        loop: EventLoop,
        coroutine: Coroutine[Yielded, Any, T],
        on_done: Callable[[T | None, Exception | None], object],
        *,
        soon: bool = True,
        on_note: Callable[[Any, str], object] | None = None,
        whose: Callable[[], str] | None = None,
        on_fault: Callable[[Exception], object] | None = None,
    ) -> None:
        self._loop = loop
        self._on_fault = on_fault
        self._whose = whose
        self._on_note = on_note
        self._coroutine = coroutine
        # None once the task is done or cancelled.
        self._on_done: Callable[[T | None, Exception | None], object] | None = on_done
        # Kept from one request to the next: most coroutines have one deadline for all requests.
        self._timer: Timer | None = None
        self._until: float | None = None  # when the timer is due
        # The request that is being served: answers to earlier ones are too late. None while the
        # coroutine runs.
        self._waiting_for: Yielded | None = _START
        if soon:
            loop.call_soon(self.start)

    @property
    def done(self) -> bool:
        """Whether the coroutine has ended or was cancelled."""
        return self._on_done is None

    def whose(self) -> str:
        """For whom it works: see names.py."""
        if self._whose is not None:
            return self._whose()
        return getattr(self._coroutine, "__qualname__", "a coroutine")

    def cancel(self) -> None:
        """Stop the coroutine at the step in which it waits. Idempotent; ``on_done`` is not called.

        Raises:
            KeyboardInterrupt, SystemExit: the coroutine has raised it while it was closed.
        """
        if self._on_done is None:
            return
        self._on_done = None
        runs = self._waiting_for is None
        self._abandon()
        self._clear()
        self._set_timer(None)
        if not runs:
            self._close()
        # Otherwise the coroutine itself has called this, maybe indirectly, and _step closes it.

    def _close(self) -> None:
        """Have the coroutine clean up, and report what it raises."""
        try:
            self._coroutine.close()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:  # noqa: BLE001 - reported
            error = as_failure(exc)
            try:
                if self._on_fault is not None:
                    self._on_fault(error)
                else:
                    self._loop.report(error, self._coroutine)
            finally:
                del error  # it has this frame

    def start(self) -> None:
        """Run the first step, unless the task was cancelled."""
        if self._on_done is not None:
            self._waiting_for = None
            self._step(self._coroutine.send, None)

    def _step(self, resume: Callable[[Any], Yielded], value: Any) -> None:
        while True:
            try:
                request = resume(value)
            except StopIteration as stop:
                result, error = stop.value, None
                break
            except Exception as exc:  # noqa: BLE001 - handed to on_done
                result, error = None, exc
                break
            except (KeyboardInterrupt, SystemExit):  # these leave the loop
                self._on_done = None
                self._set_timer(None)
                raise
            except BaseException as exc:  # noqa: BLE001 - handed to on_done
                result, error = None, as_failure(exc)
                break
            if self._on_done is None:
                self._close()
                return
            if isinstance(request, Now):
                resume, value = self._coroutine.send, self._loop.time()
                continue
            if isinstance(request, Note):
                if self._on_note is not None:
                    self._on_note(request.what, request.text)
                resume, value = self._coroutine.send, None
                continue
            if isinstance(request, Turn):
                self._waiting_for = request
                if request.until != self._until:
                    self._set_timer(request.until)
                granted = partial(self._granted, request)
                self._loop.share.run(self._loop, granted, request.begins)
                return
            try:
                self._serve(request)
            except Exception as exc:  # noqa: BLE001 - thrown into the coroutine
                # The poller refused a descriptor, or no thread could be started.
                self._clear()
                resume, value = self._coroutine.throw, exc.with_traceback(None)
                continue
            return
        # Not above: StopIteration would become the context of what the callback raises.
        try:
            self._finish(result, error)
        finally:
            del value, error  # else an exception and this frame would refer to each other

    def _serve(self, request: Wait | InThread | Later) -> None:
        check_step(request)
        self._waiting_for = request
        loop = self._loop  # not its poller: hosting/verbs.py, on sockets closed without notice
        if request.guard is not None and request.guard.watching:
            loop.add_reader(request.guard.fd, self._look, request.guard)
        if isinstance(request, Wait):
            for fd in request.reads:
                loop.add_reader(fd, self._ready, fd)
            for fd in request.writes:
                loop.add_writer(fd, self._ready, fd)
        elif isinstance(request, Later):
            request.answer.when_given(partial(self._given, request))
        else:
            loop.awaited += 1
            request.threads.submit(request, partial(self._answer, request))
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
        if request is None or isinstance(request, (Now, Note, Turn)):
            return
        poller = self._loop.poller
        if request.guard is not None:
            poller.remove_reader(request.guard.fd)
        if isinstance(request, Wait):
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

    def _given(self, request: Later) -> None:
        if self._waiting_for is request:  # it has neither timed out nor been cancelled
            self._clear()
            self._step(self._coroutine.send, None)

    def _ready(self, fd: int) -> None:
        self._clear()
        self._step(self._coroutine.send, {fd})

    def _look(self, guard: Guard) -> None:
        guard.look()
        if guard.over is not None:
            self._abandon()
            self._clear()
            self._step(self._coroutine.send, None)
        elif not guard.watching:
            self._loop.remove_reader(guard.fd)

    def _abandon(self) -> None:
        """Do not wait for a helper thread any more."""
        if isinstance(self._waiting_for, InThread):
            self._waiting_for.threads.abandon(self._waiting_for)

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
            pass  # the loop has been closed: nobody is waiting any more

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
        elif exc is not None and self._on_fault is not None:
            self._on_fault(exc)  # it has cancelled itself, and then failed


def run_blocking(coroutine: Coroutine[Yielded, Any, T], clock: Clock | None = None) -> T:
    """Drive a coroutine in the calling thread, which blocks meanwhile.

    Args:
        coroutine: what to run.
        clock: the clock that the coroutine sees; default: the monotonic clock.

    Returns:
        What the coroutine returns.

    Raises:
        Exception: what the coroutine raises.
    """
    if clock is None:
        clock = MonotonicClock()
    resume: Callable[[Any], Yielded] = coroutine.send
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
        del value  # the exception has this frame
        coroutine.close()


def _serve_blocking(request: Yielded, clock: Clock) -> Any:
    if isinstance(request, Now):
        return clock.now()
    if isinstance(request, Turn):
        return True
    if isinstance(request, Note):
        return None
    assert not isinstance(request, Later), "answers come on an event loop"
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

    request.threads.submit(request, answer)
    if not answered.wait(timeout):
        request.threads.abandon(request)
        name = getattr(request.function, "__name__", "call")
        raise WebSocketTimeoutException(f"{name} timed out")
    result, exc = answers.pop()
    if exc is not None:
        try:
            raise exc
        finally:
            del exc  # it has this frame
    return result
