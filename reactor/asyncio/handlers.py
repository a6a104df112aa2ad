"""The protocol object of a connection: its handlers tell the tasks that wait.

What it is: :class:`Handlers`, between the reactor, which calls it, and a Connection.

What it must not know: what the tasks wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import WebSocketQueueFullException
from ..protocols.websocket import WebSocketProtocol
from .received import Piece

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Handlers"]


class Handlers(WebSocketProtocol):
    """The protocol object of a connection.

    Args:
        face: the connection, whose methods are called.
    """

    def __init__(self, face: Connection) -> None:
        self.face = face
        # Straight into the queue: a call less for every message.
        self.on_message = face._received.inbox.put  # type: ignore[method-assign,assignment]

    def on_open(self) -> None:
        """See WebSocketProtocol."""
        self.face._is_open()

    def on_data(self, data: str | bytes, opcode: int, fin: bool) -> None:
        """See WebSocketProtocol."""
        self.face._received.inbox.put(Piece(data, fin))

    def on_pong(self, payload: bytes) -> None:
        """See WebSocketProtocol."""
        self.face._pings.answered(payload)

    def on_writable(self) -> None:
        """See WebSocketProtocol."""
        self.face._has_room()

    def on_error(self, error: Exception) -> None:
        """See WebSocketProtocol."""
        if isinstance(error, WebSocketQueueFullException):
            self.face._left_out = error  # out of a broadcast; it goes on
        else:
            self.face._error = error

    def on_close(self, code: int, reason: str) -> None:
        """See WebSocketProtocol."""
        self.face._is_closed(code, reason)
