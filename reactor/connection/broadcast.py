"""Broadcast: one message to many connections, serialized once.

What it is: the function :func:`broadcast`.

What it must not know: the wire format; that is protocols/shared.py's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..exceptions import (
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketQueueFullException,
)
from ..protocols.session import State, WebSocketSession
from ..protocols.shared import SharedMessage
from ..protocols.websocket import WebSocketProtocol
from .connection import Connection
from .dispatcher import call_on_error
from .handover import reserve, send_reserved
from .sender import encode

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop

__all__ = ["broadcast"]

#: A receiver on another thread, and the session that the message is for.
Reserved = tuple[Connection, WebSocketSession]

#: Receivers on other threads whose on_error will be called, because their write queue is full.
_told_soon: set[Connection] = set()


def broadcast(
    protocols: Iterable[WebSocketProtocol],
    message: str | bytes | bytearray | memoryview,
    compress: bool | None = None,
) -> int:
    """Send a message to all connections that are open. Any thread.

    Receivers whose connection is not open are skipped. A receiver whose write queue has reached
    its limit does not get the message; its ``on_error`` gets a WebSocketQueueFullException. (If
    another thread calls ``broadcast``, ``on_error`` is called once for all messages that were
    refused until then.)

    What servers send is serialized once. Clients' frames differ by their masks, so each is
    serialized for itself.

    Args:
        protocols: the receivers, on one reactor or on several.
        message: str for a text message; bytes, bytearray or memoryview for a binary one.
        compress: see ``WebSocketProtocol.send``.

    Returns:
        How many of the connections were open.

    Raises:
        TypeError: The message is of another type.
    """
    shared = SharedMessage(*encode(message), compress)
    here: list[Connection] = []
    elsewhere: dict[EventLoop, list[Reserved]] = {}
    count = 0
    for protocol in protocols:
        connection = protocol._reactor_connection
        if not isinstance(connection, Connection) or connection.state is not State.OPEN:
            continue
        if threading.get_ident() == connection.loop.thread_id:
            here.append(connection)
        else:
            _reserve(connection, shared, elsewhere.setdefault(connection.loop, []))
            count += 1
    for connection in here:
        if connection.state is State.OPEN:  # else the on_error of another receiver has closed it
            _send(connection, connection.sender.send_shared, shared)
    for loop, reserved in elsewhere.items():
        if not reserved:
            continue
        try:
            loop.call_soon_threadsafe(_send_reserved, reserved, shared)
        except RuntimeError:
            pass  # the loop has just been closed, and its connections with it
    return len(here) + count


def _reserve(connection: Connection, message: SharedMessage, reserved: list[Reserved]) -> None:
    """Add the receiver to the list if it has room for the message."""
    try:
        reserved.append((connection, reserve(connection, len(message.payload))))
    except WebSocketQueueFullException as exc:
        _tell_soon(connection, exc.with_traceback(None))  # its frames would keep the message alive
    except WebSocketException:
        pass  # it has just been closed


def _tell_soon(connection: Connection, error: WebSocketQueueFullException) -> None:
    """Have ``on_error`` called on the connection's thread, unless a call is waiting already."""
    if connection not in _told_soon:
        _told_soon.add(connection)
        try:
            connection.loop.call_soon_threadsafe(_tell, connection, error)
        except RuntimeError:
            _told_soon.discard(connection)  # the loop has just been closed


def _tell(connection: Connection, error: WebSocketQueueFullException) -> None:
    _told_soon.discard(connection)
    call_on_error(connection.protocol, error)


def _send_reserved(receivers: Iterable[Reserved], message: SharedMessage) -> None:
    for connection, session in receivers:
        _send(connection, send_reserved, connection, session, message)


def _send(connection: Connection, send: Callable[..., None], *args: object) -> None:
    try:
        send(*args)
    except WebSocketQueueFullException as exc:
        call_on_error(connection.protocol, exc)
    except WebSocketConnectionClosedException:
        pass  # the full queue has ended the connection: on_overflow="close"
