"""What can go wrong, under the names that users of websockets know.

What it is: :class:`ConnectionClosed` and its two kinds, which know the close frames of both sides;
why a connection could not be opened; two errors of its use. All are members of the tree of
``WebSocketException``.

What it must not know: connections.
"""

from __future__ import annotations

from typing import NamedTuple

from ..base.printable import without_secrets
from ..exceptions import (
    CloseCode,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketHandshakeException,
    WebSocketMessageTooBigException,
    WebSocketProtocolException,
    WebSocketProxyException,
    WebSocketStateException,
    WebSocketTimeoutException,
)
from ..protocols.http.http11 import HeadCutOff, HeadError
from .heads import Headers, Response

__all__ = [
    "Close",
    "CloseFrames",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "InvalidHandshake",
    "InvalidMessage",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "NegotiationError",
    "OpenTimeout",
    "PayloadTooBig",
    "ProtocolError",
    "ProxyError",
    "WebSocketException",
]

# What is the same thing under two names.
InvalidHandshake = WebSocketHandshakeException
InvalidState = WebSocketStateException
PayloadTooBig = WebSocketMessageTooBigException
ProtocolError = WebSocketProtocolException
ProxyError = WebSocketProxyException

#: The names of close codes, as IANA has registered them.
CODES = {
    1000: "OK",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no status",
    1007: "invalid payload data",
    1008: "policy violation",
    1009: "message too big",
    1010: "mandatory extension",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
}

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
        name = CODES.get(self.code, "private use" if self.code >= 4000 else "registered")
        return f"{self.code} ({name}) {self.reason}".rstrip()


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
        super().__init__(_describe(rcvd, sent, rcvd_then_sent), status_code=code, reason=reason)
        self.rcvd = rcvd
        self.sent = sent
        self.rcvd_then_sent = rcvd_then_sent
        self.code = code

    reason: str


class ConnectionClosedOK(ConnectionClosed):
    """Both sides have sent a close frame, with 1000, 1001 or no code."""


class ConnectionClosedError(ConnectionClosed):
    """The connection ended in another way. The cause, where there is one, is ``__cause__``."""


class InvalidURI(WebSocketException, ValueError):
    """The URI that ``connect`` was given is no WebSocket URI.

    Attributes:
        uri: the URI (str).
    """

    def __init__(self, uri: str, msg: str) -> None:
        super().__init__(f"{without_secrets(uri)} isn't a valid URI: {msg}")
        self.uri = uri


class InvalidMessage(InvalidHandshake):
    """What the server has answered is not HTTP, or too large, or cut off.

    Attributes:
        cut_off: whether the connection ended before the head of the answer was complete (bool).
    """

    cut_off = False


class NegotiationError(InvalidHandshake):
    """For ``select_subprotocol`` to raise: there is none on which both can agree."""


class InvalidStatus(WebSocketBadStatusException):
    """The server has answered with a status other than 101."""

    @property
    def response(self) -> Response:
        """The answer, with that part of the body that was received."""
        headers = Headers((self.resp_headers or {}).items())
        return Response(self.status_code, self.status_message or "", headers, self.resp_body or b"")


class ConcurrencyError(WebSocketException, RuntimeError):
    """Two tasks want something that only one can have, such as the next message."""


class OpenTimeout(WebSocketTimeoutException, TimeoutError):
    """The connection was not open within ``open_timeout``."""


class CloseFrames(NamedTuple):
    """The close frames of both sides: what the exceptions of a connection that is over tell.

    Attributes:
        rcvd, sent, rcvd_then_sent: see ConnectionClosed.
        cause: what the exceptions have as their cause (Exception), or None.
    """

    rcvd: Close | None = None
    sent: Close | None = None
    rcvd_then_sent: bool | None = None
    cause: Exception | None = None

    def error(self) -> ConnectionClosed:
        """Return a new exception of the kind that fits."""
        frames = self.rcvd, self.sent
        normal = all(frame is not None and frame.code in NORMAL for frame in frames)
        kind = ConnectionClosedOK if normal else ConnectionClosedError
        error = kind(*frames, self.rcvd_then_sent)
        error.__cause__ = self.cause
        return error


def _describe(rcvd: Close | None, sent: Close | None, rcvd_then_sent: bool | None) -> str:
    if rcvd is None:
        if sent is None:
            return "no close frame received or sent"
        return f"sent {sent}; no close frame received"
    if sent is None:
        return f"received {rcvd}; no close frame sent"
    if rcvd_then_sent:
        return f"received {rcvd}; then sent {sent}"
    return f"sent {sent}; then received {rcvd}"


def opening_error(error: Exception) -> Exception:
    """Return what is raised where a connection could not be opened because of *error*."""
    known: Exception
    if isinstance(error, WebSocketTimeoutException):
        known = OpenTimeout(str(error) or "timed out during opening handshake")
    elif isinstance(error, WebSocketBadStatusException):
        known = InvalidStatus(
            f"server rejected WebSocket connection: HTTP {error.status_code}",
            error.status_code,
            error.status_message,
            error.resp_headers,
            error.resp_body,
        )
    elif isinstance(error, HeadError) or isinstance(error.__cause__, HeadError):
        known = InvalidMessage(str(error))
        known.cut_off = isinstance(error, HeadCutOff) or isinstance(error.__cause__, HeadCutOff)
    else:
        return error
    known.__cause__ = error
    return known
