"""Events: what a session tells of, and the words for its role and state.

What it is: the vocabulary that the session, the dispatcher and the connection share.

What it must not know: who makes events, or who gets them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from ..exceptions import WebSocketPeerException

__all__ = ["OPEN", "Close", "Data", "Event", "Failure", "Ping", "Pong", "Role", "State"]


class Role(IntEnum):
    """Which end of the connection this is (RFC 6455 section 5.1: who masks)."""

    CLIENT = 0
    SERVER = 1


class State(IntEnum):
    """The state of a connection; the numbers are those of ``readyState`` in browsers."""

    CONNECTING = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return format(int(self) if spec[-1:] in "bcdnoxXeEfFgG%" and spec else self.name, spec)


#: What is asked for with every message: from an enum, the look-up takes ten times as long.
OPEN: Final = State.OPEN


class Ping(NamedTuple):
    """A ping came; its pong is in the output already."""

    payload: bytes


class Pong(NamedTuple):
    """A pong came."""

    payload: bytes


class Close(NamedTuple):
    """A close frame came, or was sent. Code 1005: it had none (RFC 6455 section 7.1.5)."""

    code: int
    reason: str


class Data(NamedTuple):
    """What is not a whole, decoded message; only on request (see WebSocketSession).

    A fragment: *opcode* is that of its frame, *payload* is str in a text message, and *fin* says
    whether it is the last. Or a whole text message that was not decoded: bytes, OP_TEXT, True.
    """

    opcode: int
    payload: str | bytes
    fin: bool


class Failure(NamedTuple):
    """The peer broke the protocol, or a limit; *error* says how and has the close code."""

    error: WebSocketPeerException


Event = str | bytes | Data | Ping | Pong | Close | Failure
