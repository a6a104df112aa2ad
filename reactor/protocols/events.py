"""Events: what a session reports, and the words for its role and state.

What it is: the vocabulary that the session, the dispatcher and the connection share.

What it must not know: what makes events, or what receives them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from ..exceptions import WebSocketPeerException

__all__ = ["OPEN", "Close", "Data", "Event", "Failure", "Ping", "Pong", "Role", "State"]


class Role(IntEnum):
    """Which end of the connection this is (RFC 6455 section 5.1: the client masks)."""

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


#: Looked up with every message: the look-up in an enum takes ten times as long.
OPEN: Final = State.OPEN


class Ping(NamedTuple):
    """A ping was received; its pong is in the output already."""

    payload: bytes


class Pong(NamedTuple):
    """A pong was received."""

    payload: bytes


class Close(NamedTuple):
    """A close frame was received, or sent. Code 1005: it had no code (RFC 6455 section 7.1.5)."""

    code: int
    reason: str


class Data(NamedTuple):
    """A part of a message, or a text that was not decoded; only on request (see WebSocketSession).

    For a fragment, *opcode* is its frame's, *payload* is str in a text message, and *fin* says
    whether it is the last. A whole text message that was not decoded is OP_TEXT, bytes, True.
    """

    opcode: int
    payload: str | bytes
    fin: bool


class Failure(NamedTuple):
    """The peer violated the protocol, or a limit; *error* says how and has the close code."""

    error: WebSocketPeerException


Event = str | bytes | Data | Ping | Pong | Close | Failure
