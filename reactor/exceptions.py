"""The whole exception tree of the package.

Everything that goes wrong reaches user code as a member of this tree. The names that
websocket-client has are members under the same names, so ``except`` clauses written for it
keep working; where its users catch an exception of the operating system or of ``ssl``
(``ConnectionRefusedError``, ``ssl.SSLError``), our class derives from that one as well.

This module must not know about sockets, the event loop or any protocol state.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

__all__ = [
    "CloseCode",
    "WebSocketAddressException",
    "WebSocketBadStatusException",
    "WebSocketCertificateException",
    "WebSocketConnectException",
    "WebSocketConnectRefusedException",
    "WebSocketConnectionClosedException",
    "WebSocketConnectionLostException",
    "WebSocketException",
    "WebSocketForkException",
    "WebSocketHandshakeException",
    "WebSocketMessageTooBigException",
    "WebSocketPayloadException",
    "WebSocketPeerException",
    "WebSocketProtocolException",
    "WebSocketProxyConnectException",
    "WebSocketProxyConnectRefusedException",
    "WebSocketProxyException",
    "WebSocketQueueFullException",
    "WebSocketRecordingException",
    "WebSocketStateException",
    "WebSocketTLSException",
    "WebSocketTLSOptionException",
    "WebSocketTimeoutException",
]

#: The message about a connection that has ended without a close frame, in websocket-client's words.
LOST = "Connection to remote host was lost."

FORKED = (
    "this event loop and its connections belong to the process that forked this one: "
    "make a new Reactor here"
)


class CloseCode:
    """The close codes of RFC 6455 section 7.4.1 and of the IANA registry."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005  # never on the wire: the close frame had no code
    ABNORMAL = 1006  # never on the wire: the connection ended without a close frame
    INVALID_PAYLOAD = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MISSING_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015  # never on the wire


#: What OSError and AttributeError keep outside of ``args`` and ``__dict__``.
_KEPT_ELSEWHERE = ("errno", "strerror", "filename", "filename2", "name")


class WebSocketException(Exception):
    """Base of every exception that the package raises or reports.

    All survive ``pickle`` and ``copy`` with their attributes.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # The inherited method calls the class with ``args``, which not every class accepts, and
        # leaves out what is not in the __dict__.
        elsewhere = {name: getattr(self, name, None) for name in _KEPT_ELSEWHERE}
        # Only what is set: for OSError's str(), None is not the same as nothing.
        state = {name: value for name, value in elsewhere.items() if value is not None}
        return _remake, (type(self), self.args), state | vars(self)


def _remake(kind: type[WebSocketException], args: tuple[Any, ...]) -> WebSocketException:
    """Return an exception without calling ``__init__``; its state is set afterwards."""
    exc = kind.__new__(kind, *args)
    exc.args = args
    return exc


class WebSocketStateException(WebSocketException):
    """An operation does not fit the state the connection is in (for example: not open yet)."""


class WebSocketForkException(WebSocketStateException, RuntimeError):
    """An event loop, or a connection on it, is used in a forked child of its process."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or FORKED)


class WebSocketPeerException(WebSocketException):
    """The peer sent something that ends the connection.

    Attributes:
        close_code: the close code (int) that tells the peer why (RFC 6455 section 7.4.1).
    """

    close_code = CloseCode.PROTOCOL_ERROR


class WebSocketProtocolException(WebSocketPeerException):
    """The peer broke RFC 6455."""


class WebSocketPayloadException(WebSocketPeerException, ValueError):
    """A text message, or the reason of a close frame, is not UTF-8 (RFC 6455 section 8.1).

    It is a ValueError, as UnicodeDecodeError is.
    """

    close_code = CloseCode.INVALID_PAYLOAD


class WebSocketMessageTooBigException(WebSocketPeerException):
    """A message is larger, or in more fragments, than the limits allow (RFC 6455 section 10.4)."""

    close_code = CloseCode.MESSAGE_TOO_BIG


class WebSocketConnectionClosedException(WebSocketException):
    """The connection is closed, or ended without a normal close.

    Attributes:
        status_code: the close code (int), or None if there was none.
        reason: the close reason (str), or None if there was none.
    """

    def __init__(
        self, *args: object, status_code: int | None = None, reason: str | None = None
    ) -> None:
        super().__init__(*args)
        self.status_code = status_code
        self.reason = reason


class WebSocketConnectionLostException(
    WebSocketConnectionClosedException, ConnectionResetError, BrokenPipeError
):
    """The connection broke while it was read from or written to.

    The class derives from what websocket-client lets through there, so ``except`` clauses for a
    reset or a broken pipe still catch it. ``errno`` is the operating system's.
    """

    def __init__(self, message: str = "", errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno


class WebSocketQueueFullException(WebSocketException):
    """The write queue of a connection has reached its limit: the peer reads too slowly."""


class WebSocketTimeoutException(WebSocketException):
    """An operation took longer than its time budget.

    Attributes:
        connecting: whether it was the TCP or TLS connection, so that nothing was sent yet (bool).
    """

    connecting = False


class WebSocketAddressException(WebSocketException):
    """A host name could not be resolved to an address."""


class WebSocketProxyException(WebSocketException):
    """A proxy refused, or could not be used.

    Attributes:
        status_code: the HTTP status (int) of its refusal, or None if there was none.
    """

    status_code: int | None = None


class WebSocketHandshakeException(WebSocketException):
    """The answer to the opening handshake is not a WebSocket server's (RFC 6455 section 4.1)."""


class WebSocketBadStatusException(WebSocketHandshakeException):
    """The server answered the opening handshake with an HTTP status other than 101.

    Attributes:
        status_code: the HTTP status (int).
        status_message: the reason phrase (str or None).
        resp_headers: the response headers (mapping of lower-case names, or None).
        resp_body: the part of the body that was received (bytes or None).
    """

    def __init__(
        self,
        message: str,
        status_code: int,
        status_message: str | None = None,
        resp_headers: Mapping[str, str] | None = None,
        resp_body: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.status_message = status_message
        self.resp_headers = resp_headers
        self.resp_body = resp_body


class WebSocketConnectException(WebSocketException, OSError):
    """The TCP connection could not be made. ``errno`` is the operating system's."""


class WebSocketConnectRefusedException(WebSocketConnectException, ConnectionRefusedError):
    """The host refused the TCP connection."""


class WebSocketProxyConnectException(WebSocketProxyException, WebSocketConnectException):
    """The TCP connection to a proxy could not be made, or was lost."""


class WebSocketProxyConnectRefusedException(
    WebSocketProxyConnectException, WebSocketConnectRefusedException
):
    """A proxy's host refused the TCP connection."""


class WebSocketTLSException(WebSocketConnectException, ssl.SSLError):
    """The TLS handshake failed."""


class WebSocketTLSOptionException(WebSocketTLSException):
    """A TLS option, a certificate file for example, cannot be used."""


class WebSocketCertificateException(WebSocketTLSException, ssl.SSLCertVerificationError):
    """The server's certificate could not be verified."""


class WebSocketRecordingException(WebSocketException, ValueError):
    """A recording cannot be read, or cannot be played.

    Attributes:
        reason: what is wrong (str).
        file: the name of the file (str).
        offset: where in the file it is wrong, in bytes (int).
    """

    def __init__(self, reason: str, file: str = "", offset: int = 0) -> None:
        super().__init__(f"{file}, offset {offset}: {reason}")
        self.reason = reason
        self.file = file
        self.offset = offset
