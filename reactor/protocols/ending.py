"""Ending: how a connection, or an attempt to connect, ended, and what follows.

What it is: the class of ``WebSocketProtocol.ending``.

What it must not know: connections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..exceptions import (
    WebSocketException,
    WebSocketHandshakeException,
    WebSocketPeerException,
    WebSocketQueueFullException,
)

__all__ = ["Ending", "Initiator", "find_initiator"]

#: The side that ended a connection: see :class:`Ending`.
Initiator = Literal["us", "peer", "network"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection, or an attempt to connect, ended. Immutable.

    Attributes:
        code: the close code, as ``on_close`` gets it (int).
        reason: the reason, as ``on_close`` gets it (str).
        error: the exception that ``on_error`` got, or None.
        initiator: the side that ended it. "us": close(), abort(), reconnect(), ``idle_timeout``, a
            limit, or our complaint about a peer that violated the protocol. "peer": the peer sent
            its close frame first, or refused the opening handshake. "network": everything else,
            such as a lost connection, a ping without an answer, a name that cannot be resolved.
        final: whether no further attempt follows (bool).
        attempt: the number of the next attempt, 1 for the first one after a stable connection; if
            *final*, how many attempts in a row followed the first (int).
        delay: seconds from the end to the next attempt (float); None if *final*.
    """

    code: int
    reason: str
    error: Exception | None
    initiator: Initiator
    final: bool = True
    attempt: int = 0
    delay: float | None = None


def find_initiator(
    error: Exception | None, by_us: bool, opened: bool, close_received: bool
) -> Initiator:
    """Say who ended a connection, or an attempt.

    Args:
        error: what went wrong, or None.
        by_us: our user or an option of theirs has asked for the end.
        opened: it was open; False: an attempt has failed.
        close_received: the peer has sent a close frame.
    """
    if by_us or isinstance(error, (WebSocketPeerException, WebSocketQueueFullException)):
        return "us"
    if close_received:
        return "peer"
    if not opened and error is not None and not isinstance(error, WebSocketException):
        return "us"  # a function or an option of the user
    return "peer" if isinstance(error, WebSocketHandshakeException) else "network"
