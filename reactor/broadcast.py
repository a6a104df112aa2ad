"""Broadcast: one message to many connections, serialized once.

What it is: the function :func:`broadcast`.

What it must not know: the wire format; that is protocols/shared.py's.
"""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .connection import Connection
from .dispatcher import call_on_error
from .exceptions import WebSocketQueueFullException
from .protocols.session import State
from .protocols.shared import SharedMessage
from .protocols.websocket import WebSocketProtocol
from .sending import encode

if TYPE_CHECKING:
    from .loop import EventLoop

__all__ = ["broadcast"]


def broadcast(
    protocols: Iterable[WebSocketProtocol],
    message: str | bytes | bytearray | memoryview,
    compress: bool | None = None,
) -> int:
    """Send a message to all connections that are open. Any thread.

    Receivers whose connection is not open are passed over. One whose write queue has reached its
    limit goes without the message; its ``on_error`` is told, with WebSocketQueueFullException.
    Clients' frames differ by their masks, so that only what servers send is serialized once.

    Parameters:
        protocols: the receivers; on one reactor or several.
        message: str for text; bytes, bytearray, memoryview for binary.
        compress: see ``WebSocketProtocol.send``.

    Returns how many of the connections were open. Raises TypeError for another type of message.
    """
    shared = SharedMessage(*encode(message), compress)
    receivers: dict[EventLoop, list[Connection]] = {}
    for protocol in protocols:
        connection = protocol._connection
        if isinstance(connection, Connection) and connection.state is State.OPEN:
            receivers.setdefault(connection.loop, []).append(connection)
    for loop, connections in receivers.items():
        if get_ident() == loop.thread_id:
            _send(connections, shared)
        else:
            loop.call_soon_threadsafe(_send, connections, shared)
    return sum(map(len, receivers.values()))


def _send(connections: Sequence[Connection], message: SharedMessage) -> None:
    for connection in connections:
        if connection.state is not State.OPEN:
            continue  # closed since, by another thread or by somebody's on_error
        try:
            connection.send_shared(message)
        except WebSocketQueueFullException as exc:
            call_on_error(connection.protocol, exc)
