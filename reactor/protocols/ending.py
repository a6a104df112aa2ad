"""Ending: how a connection, or an attempt, came to its end, and what comes next.

What it is: what ``WebSocketProtocol.ending`` returns.

What it must not know: connections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Ending", "Initiator"]

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
