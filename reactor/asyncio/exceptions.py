"""Exceptions of connections for tasks.

What it is: :class:`ConnectionClosed` and its two subclasses, which have the close frames of both
sides, and exceptions for the misuse of a connection and for failed handshakes.

What it must not know: connections.
"""

from __future__ import annotations

from typing import NamedTuple

from ..exceptions import (
    CloseCode,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketHandshakeException,
    WebSocketTimeoutException,
)

__all__ = [
    "Close",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "InvalidHandshake",
    "InvalidStatus",
    "OpenTimeout",
]

#: The names that users of websockets know.
InvalidHandshake = WebSocketHandshakeException
InvalidStatus = WebSocketBadStatusException

#: Codes of an end that was nobody's fault.
NORMAL = frozenset({CloseCode.NORMAL, CloseCode.GOING_AWAY, CloseCode.NO_STATUS})


class Close(NamedTuple):
    """A close frame.

    Attributes:
        code: the close code (int); 1005 if the frame has none.
        reason: the reason (str).
    """

    code: int
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.code} {self.reason}".strip()


class ConnectionClosed(WebSocketConnectionClosedException):
    """The connection is closed, or was lost.

    Attributes:
        rcvd: the peer's close frame, or None if none came.
        sent: ours, or None if none was sent.
        rcvd_then_sent: whether the peer's came first; None if not both of them are there.
        code: the code of the peer's close frame (int); 1006 if none came.
        reason: its reason (str); "" if none came.
    """

    def __init__(
        self, rcvd: Close | None, sent: Close | None, rcvd_then_sent: bool | None = None
    ) -> None:
        code = CloseCode.ABNORMAL if rcvd is None else rcvd.code
        reason = "" if rcvd is None else rcvd.reason
        super().__init__(_describe(rcvd, sent), status_code=code, reason=reason)
        self.rcvd = rcvd
        self.sent = sent
        self.rcvd_then_sent = rcvd_then_sent
        self.code = code

    reason: str


class ConnectionClosedOK(ConnectionClosed):
    """Both sides have sent a close frame, with 1000, 1001 or no code."""


class ConnectionClosedError(ConnectionClosed):
    """The connection ended in another way. The cause, where there is one, is ``__cause__``."""


class ConcurrencyError(WebSocketException, RuntimeError):
    """Two tasks want something that only one can have, such as the next message."""


class OpenTimeout(WebSocketTimeoutException, TimeoutError):
    """The connection was not open within ``open_timeout``."""


def closed(rcvd: Close | None, sent: Close | None, rcvd_then_sent: bool | None) -> ConnectionClosed:
    """Return the exception of the kind that fits."""
    normal = rcvd is not None and rcvd.code in NORMAL and sent is not None and sent.code in NORMAL
    kind = ConnectionClosedOK if normal else ConnectionClosedError
    return kind(rcvd, sent, rcvd_then_sent)


def _describe(rcvd: Close | None, sent: Close | None) -> str:
    if rcvd is None and sent is None:
        return "no close frame received or sent"
    received = "no close frame received" if rcvd is None else f"received {rcvd}"
    return f"{received}; " + ("no close frame sent" if sent is None else f"sent {sent}")
