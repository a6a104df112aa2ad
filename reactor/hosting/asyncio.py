"""Hosting: a reactor inside of asyncio's event loop, or uvloop's.

What it is: :func:`asyncio_host`, which makes a reactor whose turns the running loop runs.

What it must not know: what lives on the reactor.

How it works. The loop watches the reactor's descriptor (``add_reader``), has an alarm for its next
timer (``call_later``), and is nudged by ``call_soon``: see hosted.py. The reactor ends with the
loop: ``asyncio.run()`` closes the asynchronous generators that were begun in it, before it closes
the loop; so the host begins one, whose last lines are the end.

Coroutines of users that the reactor would drive by itself (the ``login`` of a Feed, an ``async def
process_request``) are tasks of the asyncio loop, so they may await what belongs to it: see
:class:`_HostTask`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from functools import partial
from types import coroutine
from typing import TYPE_CHECKING, Any

from ..base.arguments import named, shows
from ..loop.steps import as_failure, is_step
from ..loop.tasks import Task
from ..reactor import Reactor
from .hosted import FAREWELL, Farewell, Host

if TYPE_CHECKING:
    from typing_extensions import Unpack  # type checkers know it: it need not be installed

    from ..signatures import ReactorArguments

__all__ = ["AsyncioHost", "asyncio_host"]


@shows(named(Reactor))
def asyncio_host(**options: Unpack[ReactorArguments]) -> AsyncioHost:
    """Return a new reactor whose turns the running asyncio loop runs; it ends with that loop.

    ``connect``, ``listen``, ``call_later``, and ``send`` and ``close`` of protocol objects take
    effect at once, wherever in the loop they are called: in a task, a callback, a handler.

    Args:
        options: those of Reactor.

    Raises:
        RuntimeError: no asyncio loop is running on this thread; or it cannot watch descriptors, as
            the ProactorEventLoop of Windows.
        ValueError: the selector that was given has no descriptor.
    """
    return AsyncioHost(**options)


class AsyncioHost(Reactor):
    """A Reactor inside of the running asyncio loop. See :func:`asyncio_host`.

    It is an asynchronous context manager, too: leaving it awaits :meth:`shutdown`.

    Attributes:
        asyncio_loop: the loop that runs its turns.
        runner: what has it run them (Host).
    """

    @shows(named(Reactor))
    def __init__(self, **options: Unpack[ReactorArguments]) -> None:
        try:
            self.asyncio_loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "asyncio_host() is called where no asyncio loop is running: call it in a coroutine"
            ) from None
        self._last_lines: AsyncGenerator[None, None] | None = None
        self._running_lines: AsyncGenerator[None, None] | None = None
        self._shutting_down: asyncio.Future[None] | None = None
        super().__init__(**options)
        self.loop.host_tasks = _Tasks(self)
        self.runner = _Host(self)
        self.runner.start()
        self._last_lines = self._until_the_end()
        _step(self._last_lines.asend(None))  # the first one, which tells the loop of it

    async def __aenter__(self) -> AsyncioHost:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shutdown()

    async def shutdown(self, timeout: float = 5.0) -> None:  # type: ignore[override]
        """Close every connection with 1001 (going away), await the ends, and close the reactor.

        A second call awaits the same end.

        Args:
            timeout: seconds after which connections that are left are aborted; 0 or more. They are
                aborted as well when the awaiting task is cancelled.

        Raises:
            RuntimeError: called from another thread.
        """
        if self.loop._closed:
            return
        self._registry.check_usable()
        if self._shutting_down is not None:
            await asyncio.shield(self._shutting_down)
            return
        over = self._shutting_down = self.asyncio_loop.create_future()
        try:
            Farewell(self.runner, timeout, partial(_resolve, over)).start()
            await over
        finally:
            _resolve(over)  # for those who wait as well
            self._shutting_down = None
            self.close()

    def close(self) -> None:
        """See Reactor."""
        super().close()
        lines, self._last_lines = self._last_lines, None
        if lines is not None and lines is not self._running_lines:
            _step(lines.aclose())

    async def _until_the_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            if not self.loop._closed and asyncio._get_running_loop() is self.asyncio_loop:
                self._running_lines = self._last_lines
                await self.shutdown(FAREWELL)


class _Tasks:
    """See HostTasks."""

    def __init__(self, host: AsyncioHost) -> None:
        self._host = host

    def run(
        self,
        coroutine: Coroutine[Any, Any, object],
        then: Callable[[Any, Exception | None], object],
        on_fault: Callable[[Exception], object] | None = None,
    ) -> _HostTask:
        """See HostTasks."""
        return _HostTask(self._host, coroutine, then, on_fault)

    def new_future(self) -> asyncio.Future[None] | None:
        """See HostTasks."""
        loop = self._host.asyncio_loop
        return loop.create_future() if asyncio.current_task(loop) is not None else None


class _HostTask:
    """A coroutine of a user's, as a task of the asyncio loop.

    It may await what asyncio has, and the steps of loop/tasks.py. Each of these is served by a
    small task of the reactor, whose end resolves a future.

    Args:
        host: the reactor.
        work: the coroutine.
        then: called at its end, see Task; not after :meth:`cancel`.
        on_fault: called with what it raises after :meth:`cancel`; None: that goes to the log.
    """

    def __init__(
        self,
        host: AsyncioHost,
        work: Coroutine[Any, Any, object],
        then: Callable[[Any, Exception | None], object],
        on_fault: Callable[[Exception], object] | None,
    ) -> None:
        self._host = host
        self._on_fault = on_fault or partial(host.loop.report, source=work)
        self._then: Callable[[Any, Exception | None], object] | None = then
        # None once it is over: an exception that it has has frames that know this object.
        self._task: asyncio.Task[object] | None = host.asyncio_loop.create_task(self._run(work))
        self._task.add_done_callback(self._end)

    def cancel(self) -> None:
        """End it early; its end is not told then."""
        self._then = None
        # The loop may be closed, and take the reactor in it along.
        if self._task is not None and not self._host.asyncio_loop.is_closed():
            self._task.cancel()

    async def _run(self, work: Coroutine[Any, Any, object]) -> object:
        return await self._steps(work)

    def _end(self, task: asyncio.Task[object]) -> None:
        """Tell of the end in a turn of the reactor, as it does of everything: its time is right."""
        self._task = None
        if self._then is None or self._host.loop._closed:
            self._tell(task)
        else:
            self._host.loop.call_soon(self._tell, task)

    def _tell(self, task: asyncio.Task[object]) -> None:
        then, self._then = self._then, None
        if task.cancelled():
            if then is not None:
                then(None, RuntimeError("the task was cancelled"))
            return
        error = task.exception()
        try:
            if then is not None:
                result = task.result() if error is None else None
                then(result, None if error is None else as_failure(error))
            elif isinstance(error, Exception):
                self._on_fault(error)
        finally:
            del task, error  # else what `then` raises would refer to itself

    @coroutine
    def _steps(self, work: Coroutine[Any, Any, object]) -> Generator[Any, Any, object]:
        resume: Callable[[Any], Any] = work.send
        value: Any = None
        try:
            while True:
                try:
                    awaited = resume(value)
                except StopIteration as stop:
                    return stop.value
                except (Exception, asyncio.CancelledError, KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as exc:
                    raise as_failure(exc) from exc
                try:
                    if is_step(awaited):
                        value = yield from self._serve(awaited)
                    else:
                        value = yield awaited
                    resume = work.send
                except GeneratorExit:
                    raise
                except BaseException as exc:  # noqa: BLE001 - thrown into it, as CancelledError is
                    resume, value = work.throw, exc
        finally:
            work.close()
            del value  # else an exception, which has this frame, would refer to itself

    def _serve(self, step: Any) -> Generator[Any, Any, Any]:
        future: asyncio.Future[Any] = self._host.asyncio_loop.create_future()

        def settle(result: Any, error: Exception | None) -> None:
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        task: Task[Any] = Task(self._host.loop, _one(step), settle, soon=False)
        task.start()
        try:
            return (yield from future)
        finally:
            task.cancel()


@coroutine
def _one(step: Any) -> Generator[Any, Any, Any]:
    return (yield step)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _step(awaitable: Awaitable[None]) -> None:
    """Have something done that need not wait for anything."""
    try:
        awaitable.__await__().send(None)
    except StopIteration:
        pass


class _Host(Host):
    """See the module."""

    def __init__(self, reactor: AsyncioHost) -> None:
        super().__init__(reactor)
        self._asyncio_loop = reactor.asyncio_loop
        self._handle: asyncio.TimerHandle | None = None

    def watch(self, fd: int) -> None:
        """See Host."""
        try:
            self._asyncio_loop.add_reader(fd, self.run_turn)
        except NotImplementedError:
            kind = type(self._asyncio_loop).__name__
            raise RuntimeError(
                f"asyncio's {kind} cannot watch a descriptor: use a SelectorEventLoop"
            ) from None

    def unwatch(self, fd: int) -> None:
        """See Host."""
        if not self._asyncio_loop.is_closed():
            self._asyncio_loop.remove_reader(fd)

    def set_alarm(self, delay: float) -> None:
        """See Host."""
        self.stop_alarm()
        self._handle = self._asyncio_loop.call_later(delay, self.on_alarm)

    def stop_alarm(self) -> None:
        """See Host."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def nudge(self) -> None:
        """See Host."""
        if not self._asyncio_loop.is_closed():
            self._asyncio_loop.call_soon(self.run_turn)
