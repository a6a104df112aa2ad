"""What a user has of a connection: a protocol object, or an object of another face.

What it is: :func:`subject_of`, for functions that look at connections (``explain``, ``record``,
``trace``), which take all of these objects.

What it must not know: the faces. A class whose objects stand for a connection says so by an
attribute ``_reactor_subject``, which is the object that is looked at.
"""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Subject", "subject_of"]

#: What all of these functions take.
EVERYWHERE = (
    "a WebSocketProtocol object, a WebSocketApp, a connection of reactor.asyncio, a Link of a Feed"
)


class Subject(Protocol):
    """A WebSocketProtocol, or a WebSocketApp: see WebSocketProtocol for these attributes."""

    _reactor_connection: Any
    _reactor_trace: Any
    _reactor_wiretaps: tuple[Any, ...]


def subject_of(given: object, function: str, also: str) -> Subject:
    """Return what a function is to look at.

    Args:
        given: what the user has given to it.
        function: its name, for the message.
        also: what else it takes, for the message: "a Reactor or a Feed".

    Raises:
        TypeError: it is no such object.
    """
    if hasattr(type(given), "_reactor_subject"):
        subject: Subject = given._reactor_subject  # type: ignore[attr-defined]
        return subject
    hint = ""
    if isinstance(given, type) and hasattr(given, "_reactor_subject"):
        hint = " (did you mean an object of this class?)"
    raise TypeError(f"{function}() takes {EVERYWHERE}, {also}, not {given!r}{hint}")
