"""Hosting: a reactor inside of trio.

What it is: :func:`trio_host`, which makes a reactor whose turns a system task of trio runs.

What it must not know: what lives on the reactor.

How it works. The system task waits for the reactor's descriptor, in a cancel scope whose deadline
is the alarm, and which a nudge cancels: see hosted.py. trio cancels it when the main task has
ended, and that is the reactor's end.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING

import trio

from ..base.arguments import named, shows
from ..reactor import Reactor
from .hosted import Farewell, Host

if TYPE_CHECKING:
    from typing_extensions import Unpack  # type checkers know it: it need not be installed

    from ..signatures import ReactorArguments

__all__ = ["TrioHost", "trio_host"]


@shows(named(Reactor))
def trio_host(**options: Unpack[ReactorArguments]) -> TrioHost:
    """Return a new reactor whose turns trio runs; it ends with ``trio.run()``.

    Args:
        options: those of Reactor.

    Raises:
        RuntimeError: called outside of trio.
        ValueError: the selector that was given has no descriptor.
    """
    return TrioHost(**options)


class TrioHost(Reactor):
    """A Reactor inside of trio. See :func:`trio_host`.

    It is an asynchronous context manager, too: leaving it awaits :meth:`shutdown`.
    """

    @shows(named(Reactor))
    def __init__(self, **options: Unpack[ReactorArguments]) -> None:
        trio.lowlevel.current_task()  # raises RuntimeError outside of trio
        super().__init__(**options)
        self._host = _Host(self)
        self._host.start()

    async def __aenter__(self) -> TrioHost:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shutdown()

    async def shutdown(self, timeout: float = 5.0) -> None:  # type: ignore[override]  # noqa: ASYNC109
        """Close every connection with 1001 (going away), await the ends, and close the reactor.

        Args:
            timeout: seconds after which connections that are left are aborted; 0 or more. They are
                aborted as well when the task is cancelled.
        """
        if self.loop._closed:
            return
        self._registry.check_usable()
        over = trio.Event()
        try:
            Farewell(self._host, timeout, over.set).start()
            await over.wait()
        finally:
            self.close()


class _Host(Host):
    """See the module."""

    def __init__(self, reactor: Reactor) -> None:
        super().__init__(reactor)
        self._scope = trio.CancelScope()
        self._ended = False

    def watch(self, fd: int) -> None:
        """See Host."""
        trio.lowlevel.spawn_system_task(partial(self._serve, fd), name="reactor")

    def unwatch(self, fd: int) -> None:
        """See Host."""
        self._ended = True
        try:
            trio.lowlevel.notify_closing(fd)
        except RuntimeError:
            pass  # trio has gone

    def set_alarm(self, delay: float) -> None:
        """See Host."""
        self._scope.deadline = trio.current_time() + delay

    def stop_alarm(self) -> None:
        """See Host."""
        self._scope.deadline = inf

    def nudge(self) -> None:
        """See Host."""
        self._scope.cancel()

    async def _serve(self, fd: int) -> None:
        try:
            while not self._ended:
                with self._scope:
                    await trio.lowlevel.wait_readable(fd)
                if self._scope.cancelled_caught:  # by the alarm, or a nudge
                    self._alarm = None
                self._scope = trio.CancelScope(deadline=self._due())
                self.run_turn()
        except trio.ClosedResourceError:
            pass  # unwatch()
        finally:
            if not self._ended:
                self.reactor.close()

    def _due(self) -> float:
        """When the alarm is set to, by trio's clock."""
        if self._alarm is None:
            return inf
        return trio.current_time() + max(0.0, self._alarm - self._loop.time())
