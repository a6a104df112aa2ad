"""The server's side of the opening handshake (RFC 6455 section 4.2).

A server judges a request with :func:`check_request`, and answers it with :func:`build_response`
or :func:`build_rejection`: pure functions over the heads of http11.py. A head that is too long, or
cannot be parsed, never becomes a request: http11.py says with which status it is rejected (414,
431, 400). The module must not know about sockets, time, or which clients are let in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from ...base.printable import printable, quoted
from ...exceptions import WebSocketHandshakeException
from .handshake import VERSION, accept_for, check_subprotocols, lower_tokens, names_of
from .headers import build_head
from .http11 import Request, has_body

__all__ = [
    "RejectedUpgrade",
    "UpgradeRequest",
    "build_rejection",
    "build_response",
    "check_request",
]

_KNOWN_STATUSES = {int(status) for status in HTTPStatus}
_KEY = re.compile(r"[+/0-9A-Za-z]{22}==")  # 16 bytes in base64


class RejectedUpgrade(WebSocketHandshakeException):
    """A request is not an opening handshake that we accept.

    Attributes:
        status: the status of the answer (int), for :func:`build_rejection`.
        headers: the headers of the answer (list of pairs), for :func:`build_rejection`.
    """

    def __init__(
        self, message: str, status: int = 400, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = list(headers)


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """A client's request: its key, and its subprotocols and extensions in order of preference."""

    key: str
    subprotocols: tuple[str, ...]
    extensions: tuple[str, ...]


# RFC 9110 section 15.5.22: a 426 names the protocol; 7.8: Connection names Upgrade.
_UPGRADE_REQUIRED = (("Upgrade", "websocket"), ("Connection", "Upgrade, close"))


def check_request(request: Request) -> UpgradeRequest:
    """Check a client's opening handshake (RFC 6455 section 4.2.1).

    Returns:
        What the client asks for.

    Raises:
        RejectedUpgrade: the request is not an opening handshake. The exception has the answer: 405
            for a method other than GET, 426 if the request does not ask for an upgrade, or names
            another version, and 400 otherwise.
    """
    headers = request.headers
    if request.method != "GET":
        raise RejectedUpgrade(
            f"the method must be GET, not {printable(request.method)}", 405, [("Allow", "GET")]
        )
    if request.version == "HTTP/1.0":  # RFC 9110 section 7.8: it has no upgrade
        raise RejectedUpgrade("the request must be HTTP/1.1, not HTTP/1.0")
    if len(headers.get_all("Host")) != 1:
        raise RejectedUpgrade(f"Host must be sent once, not {len(headers.get_all('Host'))} times")
    if "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0":
        # Its bytes would be taken for frames.
        raise RejectedUpgrade("a request for an upgrade must not have a body")
    for name, token in (("Upgrade", "websocket"), ("Connection", "upgrade")):
        if token not in lower_tokens(headers, name):
            raise RejectedUpgrade(
                f"this is a WebSocket server: {name} must have {token!r}", 426, _UPGRADE_REQUIRED
            )
    version = headers.get("Sec-WebSocket-Version")
    if version != VERSION:  # RFC 6455 section 4.4
        raise RejectedUpgrade(
            f"Sec-WebSocket-Version must be {VERSION}, not {printable(str(version))}",
            426,
            [*_UPGRADE_REQUIRED, ("Sec-WebSocket-Version", VERSION)],
        )
    key = headers.get("Sec-WebSocket-Key")
    if key is None or not _KEY.fullmatch(key):
        raise RejectedUpgrade(f"Sec-WebSocket-Key must be 16 bytes in base64, not {quoted(key)}")
    return UpgradeRequest(
        key,
        tuple(headers.tokens("Sec-WebSocket-Protocol")),
        tuple(headers.tokens("Sec-WebSocket-Extensions")),
    )


_SET_BY_HANDSHAKE = {
    "upgrade",
    "connection",
    "sec-websocket-accept",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
}


def build_response(
    key: str,
    subprotocol: str | None = None,
    extensions: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> bytes:
    """Return the server's answer that accepts the upgrade (RFC 6455 section 4.2.2).

    Args:
        key: the client's key, from :func:`check_request`.
        subprotocol: one of those that the client offered, or None (default).
        extensions: the value of Sec-WebSocket-Extensions, or None (default).
        headers: further headers.

    Raises:
        ValueError: a header cannot be sent, or is set by the handshake itself.
    """
    ours = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", accept_for(key)),
    ]
    if subprotocol is not None:
        check_subprotocols([subprotocol])
        ours.append(("Sec-WebSocket-Protocol", subprotocol))
    if extensions:
        ours.append(("Sec-WebSocket-Extensions", extensions))
    for name, _ in headers:
        if name.lower() in _SET_BY_HANDSHAKE:
            raise ValueError(f"header {name} is set by the handshake itself")
    return build_head("HTTP/1.1 101 Switching Protocols", [*ours, *headers])


def build_rejection(
    status: int,
    reason: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes | str = b"",
) -> bytes:
    """Return a whole HTTP response, after which the server closes the connection.

    Args:
        status: 200 to 599. 200 answers a health check, for example.
        reason: the phrase after the status; None (default): the usual one.
        headers: further headers; Connection and Content-Type replace ours.
        body: str is sent as UTF-8. It is left out if the status allows no body (204, 304).

    Raises:
        ValueError: the status is out of range, or a header cannot be sent.
    """
    if not 200 <= status <= 599:
        raise ValueError(f"status must be 200 to 599, not {status}")
    for name in ("Content-Length", "Transfer-Encoding"):
        if name.lower() in names_of(headers):
            raise ValueError(f"header {name} is set from the body")
    if reason is None:
        reason = HTTPStatus(status).phrase if status in _KNOWN_STATUSES else ""
    content = body.encode() if isinstance(body, str) else body
    ours = [("Connection", "close")]
    if not has_body(status):
        content = b""
    else:
        if content:
            ours.append(("Content-Type", "text/plain; charset=utf-8"))
        ours.append(("Content-Length", str(len(content))))
    custom = names_of(headers)
    lines = [(name, value) for name, value in ours if name.lower() not in custom]
    return build_head(f"HTTP/1.1 {status} {reason}", [*lines, *headers]) + content
