"""Broadcast: one message to many connections, serialized once.

What it is: the function :func:`broadcast`.

What it must not know: the wire format; that is protocols/shared.py's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .connection import Connection
from .dispatcher import call_on_error
from .exceptions import (
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketQueueFullException,
)
from .protocols.session import State, WebSocketSession
from .protocols.shared import SharedMessage
from .protocols.websocket import WebSocketProtocol
from .sending import encode

if TYPE_CHECKING:
    from .loop import EventLoop

__all__ = ["broadcast"]

#: A receiver on another thread, and its session; or why it does not get the message.
Reserved = tuple[Connection, WebSocketSession | WebSocketException]


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
    here: list[Connection] = []
    elsewhere: dict[EventLoop, list[Reserved]] = {}
    for protocol in protocols:
        connection = protocol._connection
        if not isinstance(connection, Connection) or connection.state is not State.OPEN:
            continue
        if threading.get_ident() == connection.loop.thread_id:
            here.append(connection)
        else:
            elsewhere.setdefault(connection.loop, []).append(_reserve(connection, shared))
    for connection in here:
        if connection.state is State.OPEN:  # else closed by somebody's on_error
            _send(connection, connection.send_shared, shared)
    for loop, reserved in elsewhere.items():
        try:
            loop.call_soon_threadsafe(_send_reserved, reserved, shared)
        except RuntimeError:
            pass  # the loop was closed this moment, and its connections with it
    return len(here) + sum(map(len, elsewhere.values()))


def _reserve(connection: Connection, message: SharedMessage) -> Reserved:
    try:
        return connection, connection.reserve(len(message.payload))
    except WebSocketException as exc:
        return connection, exc


def _send_reserved(receivers: Iterable[Reserved], message: SharedMessage) -> None:
    for connection, session in receivers:
        if isinstance(session, WebSocketSession):
            _send(connection, connection.send_reserved, session, message)
        elif isinstance(session, WebSocketQueueFullException):
            call_on_error(connection.protocol, session)


def _send(connection: Connection, send: Callable[..., None], *args: object) -> None:
    try:
        send(*args)
    except WebSocketQueueFullException as exc:
        call_on_error(connection.protocol, exc)
    except WebSocketConnectionClosedException:
        pass  # its queue was full, and that was the end of it: see on_overflow
