"""The queue of received messages.

What it is: :class:`Received`, between the reactor, which puts messages in, and the one task that
takes them out.

What it must not know: how messages are read.

How it works. A task that finds the queue empty awaits a future. The first message resolves it, and
when the task runs, the whole batch is there. A message leaves the queue only in the step in which
it is returned, so a task that is cancelled while it waits loses none. For the same reason, the
fragments of a message are collected here and not in the task. Above its high mark, the queue pauses
reading; at its low mark, reading resumes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from .exceptions import ConcurrencyError
from .options import Marks

__all__ = ["Piece", "Received"]

BUSY = "another task is waiting for a message of this connection already"


class Piece(NamedTuple):
    """A fragment of a message.

    Attributes:
        data: str in a text message, bytes in a binary one.
        fin: whether the message ends here.
    """

    data: str | bytes
    fin: bool


Item = str | bytes | Piece


class Received:
    """The queue of one connection. See the module. The loop's thread only.

    Args:
        loop: the asyncio loop.
        marks: the numbers of items above which reading is paused, and at which it resumes.
        pause: called to pause reading.
        resume: called to resume it.

    Attributes:
        items: messages and fragments, in order.
        error: a function that returns a new exception, after the end of the connection; or None.
    """

    __slots__ = (
        *("_busy", "_high", "_loop", "_low", "_parts", "_pause", "_resume", "_waiter"),
        *("error", "items", "paused"),
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        marks: Marks,
        pause: Callable[[], object],
        resume: Callable[[], object],
    ) -> None:
        self.items: deque[Item] = deque()
        self.error: Callable[[], Exception] | None = None
        self.paused = False
        self._loop = loop
        self._high = marks.queue_high
        self._low = marks.queue_low
        self._pause = pause
        self._resume = resume
        self._waiter: asyncio.Future[None] | None = None
        self._parts: list[str | bytes] = []  # the fragments of an incomplete message
        self._busy = False  # the fragments of a message are being taken one by one

    def put(self, item: Item) -> None:
        """Add a message or a fragment."""
        items = self.items
        items.append(item)
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        if self._high is not None and len(items) > self._high and not self.paused:
            self.paused = True
            self._pause()

    def end(self, error: Callable[[], Exception]) -> None:
        """Take note that nothing more will come. The items can still be taken.

        Args:
            error: returns the exception for a task that finds the queue empty.
        """
        self.error = error
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until there is an item.

        Raises:
            ConnectionClosed: The connection has ended.
            ConcurrencyError: Another task is waiting.
        """
        while not self.items:
            if self.error is not None:
                raise self.error()
            if self._waiter is not None:
                raise ConcurrencyError(BUSY)
            waiter = self._waiter = self._loop.create_future()
            try:
                await waiter
            finally:
                if self._waiter is waiter:
                    self._waiter = None

    def taken(self) -> None:
        """Resume reading if few items are left. Called when one was taken during a pause."""
        if len(self.items) <= self._low:
            self.paused = False
            if self.error is None:
                self._resume()

    def take(self) -> str | bytes | None:
        """Return the next whole message; None if it has not come.

        Raises:
            ConcurrencyError: A task is taking a message in fragments.
        """
        if self._busy:
            raise ConcurrencyError(BUSY)
        items = self.items
        while items:
            item = items.popleft()
            if self.paused:
                self.taken()
            if type(item) is not Piece:
                return item  # type: ignore[return-value]
            self._parts.append(item.data)
            if item.fin:
                return self._join()
        return None

    async def next(self) -> str | bytes:
        """Return the next whole message. It raises what :meth:`wait` raises."""
        while (message := self.take()) is None:
            await self.wait()
        return message

    def _join(self) -> str | bytes:
        parts, self._parts = self._parts, []
        if any(isinstance(part, str) for part in parts):
            return "".join(part for part in parts if isinstance(part, str))
        return b"".join(part for part in parts if isinstance(part, bytes))

    async def next_piece(self) -> Piece:
        """Return the next fragment, or a whole message. It raises what :meth:`wait` raises."""
        if self._parts:  # a task that waited for the rest of this message has been cancelled
            parts, self._parts = self._parts, []
            self.items.extendleft(Piece(part, False) for part in reversed(parts))
        if not self.items:
            await self.wait()
        item = self.items.popleft()
        if self.paused:
            self.taken()
        return item if isinstance(item, Piece) else Piece(item, True)

    def begin_pieces(self) -> None:
        """Reserve the queue for a task that takes a message in fragments.

        Raises:
            ConcurrencyError: Another task is waiting, or has reserved it.
        """
        if self._busy or self._waiter is not None:
            raise ConcurrencyError(BUSY)
        self._busy = True

    def end_pieces(self) -> None:
        """Release the queue: the whole message has been taken."""
        self._busy = False
