"""Ending: how a connection, or an attempt, came to its end, and what comes next.

What it is: what ``WebSocketProtocol.ending`` returns.

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

#: Who ended a connection: see :class:`Ending`.
Initiator = Literal["us", "peer", "network"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection, or an attempt to connect, came to its end. Immutable.

    Attributes:
        code: the close code, as ``on_close`` gets it (int).
        reason: the reason, as ``on_close`` gets it (str).
        error: what ``on_error`` was given, or None.
        initiator: who ended it. "us": close(), abort(), reconnect(), ``idle_timeout``, a limit, or
            our complaint about a peer that broke the rules. "peer": its close frame came first, or
            it refused the opening handshake. "network": everything else, such as a lost
            connection, a ping without an answer, a name that cannot be resolved.
        final: whether no further attempt follows (bool).
        attempt: the number of the attempt that follows, 1 for the first one after a stable
            connection; if *final*, how many attempts in a row there were after the first (int).
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
