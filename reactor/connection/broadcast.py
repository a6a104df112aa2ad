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
from .sending import encode

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop

__all__ = ["broadcast"]

#: A receiver on another thread, and the session that the message is for.
Reserved = tuple[Connection, WebSocketSession]

#: Receivers on other threads whose on_error is about to be told of a full queue.
_told_soon: set[Connection] = set()


def broadcast(
    protocols: Iterable[WebSocketProtocol],
    message: str | bytes | bytearray | memoryview,
    compress: bool | None = None,
) -> int:
    """Send a message to all connections that are open. Any thread.

    Receivers whose connection is not open are passed over. One whose write queue has reached its
    limit goes without the message; its ``on_error`` is told, with WebSocketQueueFullException
    (where another thread sends: once for all that were refused until then).
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
    count = 0
    for protocol in protocols:
        connection = protocol._connection
        if not isinstance(connection, Connection) or connection.state is not State.OPEN:
            continue
        if threading.get_ident() == connection.loop.thread_id:
            here.append(connection)
        else:
            _reserve(connection, shared, elsewhere.setdefault(connection.loop, []))
            count += 1
    for connection in here:
        if connection.state is State.OPEN:  # else closed by somebody's on_error
            _send(connection, connection.send_shared, shared)
    for loop, reserved in elsewhere.items():
        if not reserved:
            continue
        try:
            loop.call_soon_threadsafe(_send_reserved, reserved, shared)
        except RuntimeError:
            pass  # the loop was closed this moment, and its connections with it
    return len(here) + count


def _reserve(connection: Connection, message: SharedMessage, reserved: list[Reserved]) -> None:
    """Add the receiver to those that get the message, if it has room for it."""
    try:
        reserved.append((connection, connection.reserve(len(message.payload))))
    except WebSocketQueueFullException as exc:
        _tell_soon(connection, exc.with_traceback(None))  # whose frames have the message
    except WebSocketException:
        pass  # it has been closed this moment


def _tell_soon(connection: Connection, error: WebSocketQueueFullException) -> None:
    """Have ``on_error`` called on the connection's thread; once, until that has been done."""
    if connection not in _told_soon:
        _told_soon.add(connection)
        try:
            connection.loop.call_soon_threadsafe(_tell, connection, error)
        except RuntimeError:
            _told_soon.discard(connection)  # the loop was closed this moment


def _tell(connection: Connection, error: WebSocketQueueFullException) -> None:
    _told_soon.discard(connection)
    call_on_error(connection.protocol, error)


def _send_reserved(receivers: Iterable[Reserved], message: SharedMessage) -> None:
    for connection, session in receivers:
        _send(connection, connection.send_reserved, session, message)


def _send(connection: Connection, send: Callable[..., None], *args: object) -> None:
    try:
        send(*args)
    except WebSocketQueueFullException as exc:
        call_on_error(connection.protocol, exc)
    except WebSocketConnectionClosedException:
        pass  # its queue was full, and that was the end of it: see on_overflow
