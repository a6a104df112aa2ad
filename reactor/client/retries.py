"""Retries: whether another attempt follows when a connection or an attempt has ended, and when.

What it is: :class:`Retries`, which every client connection has. It counts attempts, and takes into
account what three parties want: the policy (timers/backoff.py), the user, and a server that refuses
with Retry-After (RFC 9110 section 10.2.3).

What it must not know: sockets, timers, how an attempt is made.

How it works. The delay is that of the policy, and not less than the server asks for. A wish of the
user, noted by ``reconnect``, comes before both. When the user has ended the connection for good,
there is no policy any more and wishes are not heeded. Retry-After is meant for everybody who comes
from here, so it holds back all attempts at that address (client/gate.py).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from ..exceptions import WebSocketBadStatusException
from ..protocols.http.retry_after import retry_after
from ..timers import Backoff

if TYPE_CHECKING:
    from .gate import Endpoint, Gate

__all__ = ["BY_POLICY", "Retries", "asked_by"]

#: A wish to reconnect after as long a wait as the policy says.
BY_POLICY: Final = -1.0

#: The policy that limits Retry-After when the connection has none.
NO_POLICY: Final = Backoff()


class Retries:
    """The attempts of one connection. See the module. The loop's thread only.

    Args:
        policy: the reconnect policy; None: no attempt follows a loss.

    Attributes:
        attempt: how many attempts in a row have not led to a stable connection.
        policy: that for the next loss; None: what goes on now is the last attempt.
        wanted: whether the user has not ended the connection for good.
        wish: after how many seconds the user wants to reconnect, or BY_POLICY; None: there is no
            such wish.
    """

    __slots__ = ("attempt", "policy", "wanted", "wish")

    def __init__(self, policy: Backoff | None) -> None:
        self.attempt = 0
        self.policy = policy
        self.wanted = True
        self.wish: float | None = None

    def retire(self) -> None:
        """The user ends the connection for good: no further attempt will follow."""
        self.policy = None
        self.wanted = False

    def next_delay(self, open_for: float | None, asked: float) -> float | None:
        """Return the seconds before the next attempt, and count it; None: there is none.

        Args:
            open_for: for how many seconds the connection was open; None: an attempt has failed.
            asked: the seconds for which the server has asked; 0 or less: it has not.
        """
        wish, self.wish = self.wish, None
        own = wish is not None and wish != BY_POLICY and self.wanted
        if self.policy is None and not own:
            return None
        policy = self.policy or NO_POLICY
        if open_for is not None:
            self.attempt = policy.attempts_after(self.attempt, open_for)
        delay = wish if own else policy.delay(self.attempt, asked=asked)
        if delay is not None:
            self.attempt += 1
        return delay

    def hold_others_back(self, gate: Gate, address: Endpoint, asked: float) -> None:
        """Hold back all attempts at an address, as long as the policy grants to a server.

        Args:
            gate: what the attempts pass.
            address: the server's.
            asked: the seconds for which it has asked; 0 or less: it has not.
        """
        policy = self.policy or NO_POLICY
        seconds = policy.heed(asked)
        if seconds:
            gate.hold(address, seconds, seconds / 2 if policy.jitter else 0.0)


def asked_by(error: Exception | None) -> float:
    """Return the seconds that a server which refuses asks us to wait; 0 or less: it does not.

    Args:
        error: what has ended the attempt or the connection, or None.
    """
    if isinstance(error, WebSocketBadStatusException):
        return retry_after(error.resp_headers or {}, time.time())
    return 0.0
