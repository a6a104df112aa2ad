"""The end of a life: a connection that is over leaves no cycle of references behind.

What it is: :func:`let_go_soon`, which is called when a connection is over for good, and
:func:`take_up`, which undoes it when the user opens the connection again.

What it must not know: why a connection has ended.

How it works. While a connection lives, its parts refer to it and it refers to them, and so do the
connection and its protocol object. Such a cycle is not freed with the last reference from outside,
but by Python's cyclic collector, which looks at every object of the program. So when the life is
over, the parts refer to an :class:`Over` in place of the connection, and the connection has only a
weak reference to its protocol object. The protocol object keeps the connection, of which the user
may still ask what there was; with the one, the other is freed at once.

This happens when the callback that has ended the life has returned, so that no method of the parts
is running on the loop's thread. One that another thread has called may be: it asks for the
connection once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..protocols.events import State
from ..protocols.websocket import WebSocketProtocol
from .phase import Phase

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop
    from .connection import Connection

__all__ = ["NOBODY", "Over", "let_go_soon", "take_up"]


class _Nobody(WebSocketProtocol):
    """Its connection is over, so there is nothing to close."""

    def close(self, code: int = 1000, reason: str = "", timeout: float | None = None) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing."""


#: The protocol object of a connection that is over and whose own one is gone.
NOBODY = _Nobody()


class Over:
    """What the parts of a connection know of it when it is over: nothing else, and that it is.

    Args:
        loop: its event loop.
    """

    __slots__ = ("loop",)

    phase = Phase.OVER
    state = State.CLOSED

    def __init__(self, loop: EventLoop) -> None:
        self.loop = loop

    def whose(self) -> str:
        """For whom it works: see loop/names.py."""
        return "a connection that is over"


class _LetGo:
    """Stands in the line of what is flushed after a callback."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def flush(self) -> None:
        """Let go, unless that was done already, or the connection has been opened again since."""
        connection = self._connection
        if connection.phase is Phase.OVER and connection.sender._connection is connection:
            _let_go(connection)


def let_go_soon(connection: Connection) -> None:
    """Undo the cycles of a connection that is over, when the running callback has returned."""
    connection.loop.dirty.insert(0, _LetGo(connection))  # flushed last: senders come first


def take_up(connection: Connection, protocol: WebSocketProtocol) -> None:
    """Have a connection that was over, its parts and its protocol object refer to each other again.

    Args:
        connection: the connection.
        protocol: its protocol object.
    """
    connection.keep_protocol(protocol)
    _make_known(connection, connection)


def _let_go(connection: Connection) -> None:
    connection.forget_protocol()
    _make_known(connection, Over(connection.loop))


def _make_known(connection: Connection, known_as: Any) -> None:
    connection.sender._connection = known_as
    connection.reader._connection = known_as
    connection.lifecycle._connection = known_as
