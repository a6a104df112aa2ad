"""The queue of received messages.

What it is: :class:`Received`, between the reactor, which puts messages in, and the one task that
takes them out.

What it must not know: how messages are read.

How it works. An inbox (inbox.py) has what came, and the task that waits. A message leaves it only
in the step in which it is returned, so a task that is cancelled while it waits loses none. A
message in fragments is collected here, not in the task, for the same reason. Above its high mark
the queue asks for a pause of reading, and at the low one for its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NoReturn, cast
from weakref import proxy

from .exceptions import ConcurrencyError
from .inbox import Inbox
from .options import Marks

if TYPE_CHECKING:
    from ..hosting.asyncio import AsyncioHost
    from ..protocols.websocket import WebSocketProtocol

__all__ = ["Piece", "Received"]


class Piece(NamedTuple):
    """A fragment of a message.

    Attributes:
        data: str in a text message, bytes in a binary one.
        fin: whether the message ends here.
    """

    data: str | bytes
    fin: bool


class Received:
    """The queue of one connection. See the module. The loop's thread only.

    Args:
        host: the reactor, in the asyncio loop.
        marks: above how many items there is to be a pause, and at how many it ends.

    Attributes:
        inbox: what has come (Inbox): whole messages, and Piece.
        protocol: what is asked to pause (WebSocketProtocol); set before anything comes.
    """

    __slots__ = ("__weakref__", "_parts", "inbox", "protocol")

    protocol: WebSocketProtocol

    def __init__(self, host: AsyncioHost, marks: Marks) -> None:
        # A proxy: who has the queue has the inbox, and they make no cycle of references.
        owner = cast("Received", proxy(self))
        self.inbox = Inbox(owner, host, marks.queue_high, marks.queue_low)
        self._parts: list[str | bytes] = []  # of a message of which the rest has not come

    async def next(self) -> str | bytes:
        """Return the next whole message.

        Raises:
            ConnectionClosed: there is none left, and none will come.
            ConcurrencyError: somebody waits already.
        """
        while (message := self.inbox.take()) is None:
            await self.inbox
        return message

    async def next_piece(self) -> Piece:
        """Return the next fragment of a message, or a whole one. Raises as :meth:`next` does."""
        inbox = self.inbox
        if self._parts:  # somebody has given up waiting for the rest of this message
            parts, self._parts = self._parts, []
            inbox.items.extendleft(Piece(part, False) for part in reversed(parts))
        if not inbox.items:
            await inbox
        item = inbox.items.popleft()
        if inbox.paused:
            inbox.taken()
        return item if isinstance(item, Piece) else Piece(item, True)

    def begin_pieces(self) -> None:
        """Reserve the queue for a task that takes a message in fragments.

        Raises:
            ConcurrencyError: Another task is waiting, or has reserved it.
        """
        if self.inbox.busy or self.inbox.waiting:
            self.refuse()
        self.inbox.busy = True

    def end_pieces(self) -> None:
        """The message is taken."""
        self.inbox.busy = False

    # -- what the inbox asks ---------------------------------------------------------------

    def pause(self) -> None:
        """See Owner."""
        self.protocol.pause_reading()

    def resume(self) -> None:
        """See Owner."""
        self.protocol.resume_reading()

    def assemble(self, piece: Piece) -> str | bytes | None:
        """See Owner."""
        self._parts.append(piece.data)
        if not piece.fin:
            return None
        parts, self._parts = self._parts, []
        if any(isinstance(part, str) for part in parts):
            return "".join(part for part in parts if isinstance(part, str))
        return b"".join(part for part in parts if isinstance(part, bytes))

    def refuse(self) -> NoReturn:
        """See Owner."""
        raise ConcurrencyError("another task is waiting for a message of this connection already")
