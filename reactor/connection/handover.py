"""Handing over: messages on their way from other threads to the loop.

What it is: what the methods that send do on another thread than the loop's.

What it must not know: what is sent.

How it works. The caller must know at once if its message cannot be sent, so the state of the
connection and the size of the write queue are checked on its thread. What is on its way counts
toward the queue, for otherwise a fast thread would fill the memory before the loop runs. The loop
takes calls in the order in which they were made. A call that comes too late, because the connection
has ended since, has no effect.

All functions may be called from any thread, unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..base.locks import ProcessLock
from ..exceptions import WebSocketQueueFullException
from ..protocols.events import OPEN
from ..protocols.session import WebSocketSession
from ..protocols.shared import SharedMessage
from .counting import public_place

if TYPE_CHECKING:
    from .connection import Connection
    from .sender import Sender

__all__ = ["check", "hand_over", "queue_full", "reserve", "send_reserved"]

#: Bytes that a call from another thread counts in addition to its payload, for its own objects.
CALL_SIZE = 320

_lock = ProcessLock()


def check(connection: Connection, sender: Sender) -> None:
    """Check whether anything can be sent.

    Args:
        connection: the connection, as its sender knows it.
        sender: its sender.

    Raises:
        WebSocketException: As ``send`` does.
    """
    if sender.closing_soon or connection.state is not OPEN:
        sender.refuse()
    buffered = sender.buffered_amount
    if buffered >= connection.options.write_limit:
        if connection.options.on_overflow != "close":
            raise queue_full(connection, buffered)
        hand_over(connection, 0, sender.overflowed, buffered)
        sender.refuse()


def queue_full(connection: Connection, queued: int) -> WebSocketQueueFullException:
    """Return the exception for a write queue of so many bytes."""
    return WebSocketQueueFullException(
        f"the write queue of {public_place(connection)} holds {queued} bytes, "
        f"write_limit is {connection.options.write_limit}"
    )


def hand_over(connection: Connection, size: int, method: Callable[..., None], *args: Any) -> None:
    """Have the loop call a method, unless the connection has ended by then.

    Args:
        connection: the connection; it has been checked.
        size: bytes of the payload.
        method: what to call.
        *args: its arguments.
    """
    _count(connection, size + CALL_SIZE)
    session = connection.session
    connection.loop.call_soon_threadsafe(_take_over, connection, session, size, method, args)


def _take_over(
    connection: Connection,
    session: WebSocketSession,
    size: int,
    method: Callable[..., None],
    args: Any,
) -> None:
    _count(connection, -size - CALL_SIZE)
    # The connection may have ended since the call, and may even have a new session.
    if session.state is OPEN:
        method(*args)


def _count(connection: Connection, size: int) -> None:
    with _lock:
        connection.sender.from_threads += size


def reserve(connection: Connection, size: int) -> WebSocketSession:
    """Reserve room in the write queue for a broadcast.

    Args:
        connection: one of its receivers.
        size: bytes of the payload.

    Returns:
        The session that the message is for; :func:`send_reserved` follows on the loop's thread.

    Raises:
        WebSocketException: As ``send`` does.
    """
    check(connection, connection.sender)
    _count(connection, size + CALL_SIZE)
    return connection.session


def send_reserved(
    connection: Connection, session: WebSocketSession, message: SharedMessage
) -> None:
    """Send a message that room was reserved for. The loop's thread only.

    Args:
        connection: the receiver.
        session: what :func:`reserve` returned.
        message: the message.
    """
    send = connection.sender.send_shared
    _take_over(connection, session, len(message.payload), send, (message,))
