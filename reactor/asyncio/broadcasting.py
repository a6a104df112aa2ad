"""One message to many connections.

What it is: :func:`broadcast`.

What it must not know: frames.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..connection.broadcast import broadcast as broadcast_to_protocols
from .connection import Connection
from .pieces import convert

__all__ = ["broadcast"]


def broadcast(
    connections: Iterable[Connection],
    message: str | bytes | bytearray | memoryview,
    *,
    text: bool | None = None,
) -> None:
    """Send a message to all connections that are open, serialized once. Waits for none of them.

    A connection whose write queue has reached its limit (16 MiB, ``write_limit`` of ClientOptions
    and ServerOptions) goes without it.

    Args:
        connections: the receivers.
        message: str for text; bytes, bytearray, memoryview for binary.
        text: See ``Connection.send``.

    Raises:
        TypeError: the message is of another type.
    """
    if text is not None:
        message = convert(message, text)
    # One that is in the middle of a message in fragments gets this one behind it.
    broadcast_to_protocols((each._protocol for each in connections), message)
