"""An inbox: what has come, and the one task that waits for it.

What it is: :class:`Inbox`, a queue that handlers fill and that a task awaits. It has a compiled
twin, which takes its place (compiled/inbox.pyx).

What it must not know: messages in fragments, how connections pause; that is its owner's.

How it works. asyncio's own way, a future whose result is set, makes a future for every wait, and
has the task go on in the next turn of asyncio's loop. An inbox is one object for all waits, and its
task goes on in the same turn of the reactor, as soon as the handlers have heard all that one read
has brought: until then the inbox is among what the reactor flushes after the running callback
(``EventLoop.dirty``). What the task sends leaves when its step is over, in one write.

To asyncio an inbox is a future: it has what a task asks of one (``_asyncio_future_blocking``,
``_loop``, ``add_done_callback``, ``cancel``, ``result``), as uvloop and others have their own, too.
Where a task may not go on in place, because another one is running, it does so in asyncio's next
turn: so it is when a task closes the reactor, or with nest_asyncio, which runs loops within tasks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from contextvars import Context
from typing import TYPE_CHECKING, Any, Protocol

from ..base.marks import calls_user_code
from ..compiled.replace import compiled

if TYPE_CHECKING:
    from ..hosting.asyncio import AsyncioHost

__all__ = ["Inbox"]


class Owner(Protocol):
    """Whom an inbox asks when it is not the usual case."""

    def pause(self) -> None:
        """There is more than the high mark."""

    def resume(self) -> None:
        """There is no more than the low mark again."""

    def assemble(self, piece: Any) -> str | bytes | None:
        """A piece of a message is taken. Return the message, if this was the last one."""

    def refuse(self) -> None:
        """Somebody else is at it: raise."""


class Inbox:
    """See the module. All of this belongs to the loop's thread.

    Args:
        owner: whom to ask.
        host: the reactor, in the asyncio loop.
        high: above how many items there is to be a pause; None: never.
        low: at how many items it ends.

    Attributes:
        items: what has come, in order: messages (str or bytes), and pieces of them.
        error: what ended it; a function that returns a new exception, or None.
        busy: whether the pieces of a message are being taken one by one.
        paused: whether the owner was asked to pause.
        waiting: whether a task waits, or is about to go on.
    """

    __slots__ = (
        *("_asyncio_future_blocking", "_cancelled", "_context", "_high", "_in_place", "_loop"),
        *("_low", "_owner", "_reactor", "_rung", "_runner", "_wake"),
        *("busy", "error", "items", "paused", "waiting"),
    )

    def __init__(self, owner: Owner, host: AsyncioHost, high: int | None, low: int) -> None:
        self.items: deque[Any] = deque()
        self.error: Callable[[], Exception] | None = None
        self.busy = False
        self.paused = False
        self.waiting = False
        self._owner = owner
        self._high = high
        self._low = low
        self._reactor = host.loop
        self._runner = host.runner
        self._in_place = not hasattr(asyncio, "_nest_patched")
        self._wake: Callable[[Any], object] | None = None  # resumes the task that waits
        self._context: Context | None = None  # of that task
        self._rung = False  # the task that waits is about to go on
        self._cancelled: asyncio.CancelledError | None = None  # what the task is to be told
        # Under these names a task looks for them.
        self._loop = host.asyncio_loop
        self._asyncio_future_blocking = False

    # -- what comes, and goes ----------------------------------------------------------------

    def put(self, item: Any) -> None:
        """Something has come."""
        self.items.append(item)
        if self._wake is not None:
            self._ring()
        if self._high is not None and len(self.items) > self._high and not self.paused:
            self.paused = True
            self._owner.pause()

    def end(self, error: Callable[[], Exception]) -> None:
        """Nothing more will come. What is there can still be taken."""
        self.error = error
        if self._wake is not None:
            self._ring()

    def take(self) -> str | bytes | None:
        """Return the next whole message; None if it has not come. Raises as ``owner.refuse``."""
        if self.busy:
            self._owner.refuse()
        while self.items:
            item = self.items.popleft()
            if self.paused:
                self.taken()
            if type(item) is str or type(item) is bytes:
                return item
            message = self._owner.assemble(item)
            if message is not None:
                return message
        return None

    def taken(self) -> None:
        """Something was taken out of ``items`` while there was a pause."""
        if len(self.items) <= self._low:
            self.paused = False
            if self.error is None:
                self._owner.resume()

    # -- the task that waits -----------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, None]:
        """Wait until there is something. Raises what ended it, and as ``owner.refuse``."""
        if self.waiting:
            self._owner.refuse()
        try:
            while not self.items:
                if self.error is not None:
                    raise self.error()
                self.waiting = self._asyncio_future_blocking = True
                yield self
                self._rung = False
        finally:  # cancelled, or closed
            self.waiting = self._rung = False
            self._wake = None

    def _ring(self) -> None:
        """Have the task go on."""
        if self._rung:
            return
        self._rung = True
        if self._reactor.running:
            self._reactor.dirty.append(self)
        else:
            self._resume_later()

    @calls_user_code
    def flush(self) -> None:
        """The callback that has rung is over: resume the task, unless it is gone."""
        wake, context = self._wake, self._context
        if wake is None or context is None:
            return
        if self._in_place and self._runner.running:
            self._wake = None
            context.run(wake, self)
        else:
            self._resume_later()

    def _resume_later(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            self._loop.call_soon(wake, self, context=self._context)

    # -- what a task asks of a future ----------------------------------------------------------

    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: Context | None = None
    ) -> None:
        """The task waits."""
        self._wake = callback
        self._context = context

    def cancel(self, msg: Any = None) -> bool:
        """The task is cancelled. Returns False if it is about to go on: then it is told."""
        if self._wake is None or self._rung:
            return False
        self._cancelled = asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg)
        self._resume_later()
        return True

    def result(self) -> None:
        """The task goes on. Raises CancelledError where that is why."""
        error, self._cancelled = self._cancelled, None
        if error is not None:
            raise error


PythonInbox = Inbox

if compiled and not TYPE_CHECKING:  # pragma: no cover - what coverage measures is Python's way
    try:
        from ..compiled.inbox import Inbox
    except ModuleNotFoundError:
        pass  # it was not built
