"""One message to many connections.

What it is: :func:`broadcast`.

What it must not know: frames.
"""

from __future__ import annotations

import sys
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
    raise_exceptions: bool = False,
) -> None:
    """Send a message to all connections that are open, serialized once. Waits for none of them.

    A connection whose write queue has reached its limit (16 MiB, ``write_limit`` of ClientOptions
    and ServerOptions) goes without it.

    Args:
        connections: the receivers.
        message: str for text; bytes, bytearray, memoryview for binary.
        text: See ``Connection.send``.

        raise_exceptions: True: raise an ExceptionGroup (Python 3.11) with an exception for every
            connection that goes without the message because its queue is full.

    Raises:
        TypeError: the message is of another type.
        ValueError: ``raise_exceptions`` before Python 3.11.
    """
    if raise_exceptions and sys.version_info < (3, 11):  # pragma: no cover - Python 3.10
        raise ValueError("raise_exceptions requires at least Python 3.11")
    if text is not None:
        message = convert(message, text)
    receivers = list(connections)
    for each in receivers:
        each._left_out = None
    # One that is in the middle of a message in fragments gets this one behind it.
    broadcast_to_protocols((each._protocol for each in receivers), message)
    errors = [each._left_out for each in receivers if each._left_out is not None]
    if raise_exceptions and errors and sys.version_info >= (3, 11):
        raise ExceptionGroup("skipped broadcast", errors)  # noqa: F821 - there since 3.11
