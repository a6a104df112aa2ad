"""The protocol object of a connection: its handlers tell the tasks that wait.

What it is: :class:`Handlers`, between the reactor, which calls it, and a Connection.

What it must not know: what the tasks wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from ..exceptions import WebSocketQueueFullException
from ..protocols.websocket import WebSocketProtocol
from .received import Piece

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Handlers"]


class Handlers(WebSocketProtocol):
    """The protocol object of a connection.

    It keeps the connection from the opening to the end, and makes no cycle of references with it
    before and after: an attempt is kept by whoever waits for it, a connection that is over by the
    program.

    Args:
        face: the connection, whose methods are called.
    """

    def __init__(self, face: Connection) -> None:
        self._face = ref(face)
        self._kept: Connection | None = None
        # Straight into the queue: a call less for every message.
        self.on_message = face._received.inbox.put  # type: ignore[method-assign,assignment]

    def on_open(self) -> None:
        """See WebSocketProtocol."""
        face = self._kept = self._face()
        if face is not None:
            face._is_open()

    def on_data(self, data: str | bytes, opcode: int, fin: bool) -> None:
        """See WebSocketProtocol."""
        face = self._face()
        if face is not None:
            face._received.inbox.put(Piece(data, fin))

    def on_pong(self, payload: bytes) -> None:
        """See WebSocketProtocol."""
        face = self._face()
        if face is not None:
            face._pings.answered(payload)

    def on_writable(self) -> None:
        """See WebSocketProtocol."""
        face = self._face()
        if face is not None:
            face._has_room()

    def on_error(self, error: Exception) -> None:
        """See WebSocketProtocol."""
        face = self._face()
        if face is None:
            return
        if isinstance(error, WebSocketQueueFullException):
            face._left_out = error  # out of a broadcast; it goes on
        else:
            face._error = error

    def on_close(self, code: int, reason: str) -> None:
        """See WebSocketProtocol."""
        face, self._kept = self._face(), None
        if face is not None:
            face._is_closed(code, reason)
