"""The functions of websocket-client's ``_handshake``: the opening handshake over a plain socket.

What it is: functions that programs import or replace. They block.

What it must not know: how the socket was connected (http.py); redirects (blocking/steps.py).

How it works. The request is that of protocols/http/handshake.py. The answer is checked as
websocket-client checks it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...base.printable import quoted
from ...exceptions import WebSocketBadStatusException, WebSocketException
from ...protocols.http.handshake import (
    accept_for,
    build_request,
    make_key,
    normalize_headers,
    refusal_text,
)
from ...protocols.http.headers import tokens
from ...protocols.http.http11 import DEFAULT_LIMITS
from ..blocking import socket_io as blocking
from ..blocking.connect import handshake_response
from ..blocking.socket_io import send
from ..cookies import CookieJar
from ..options import header_as_utf8, text_as_utf8
from ..tracing import dump, error
from .http import read_headers
from .legacy import SUCCESS_STATUSES, SUPPORTED_REDIRECT_STATUSES

__all__ = ["handshake"]

#: The largest single read of a body: a record of TLS.
MAX_READ = 16384

#: The tokens that must be in these headers (RFC 6455 section 4.1).
_HEADERS_TO_CHECK = {"upgrade": "websocket", "connection": "upgrade"}

_create_sec_websocket_key = make_key


def handshake(
    sock: Any, url: str, hostname: str, port: int, resource: str, **options: Any
) -> handshake_response:
    """Do the opening handshake.

    Args:
        sock: the connected socket.
        url, hostname, port, resource: the target.
        options: those of WebSocket.connect().

    Returns:
        The server's answer, also if it is a redirect.

    Raises:
        WebSocketBadStatusException: the status is another one.
        WebSocketException: this is not the answer of a WebSocket server.
    """
    lines, key = _get_handshake_headers(resource, url, hostname, port, options)
    head = "\r\n".join(lines)
    send(sock, head)
    dump("request header", head)
    status, headers = _get_resp_headers(sock)
    if status in SUPPORTED_REDIRECT_STATUSES:
        return handshake_response(status, headers, None)
    right, subprotocol = _validate(headers, key, options.get("subprotocols"))
    if not right:
        raise WebSocketException("Invalid WebSocket Header")
    CookieJar.add(headers.get("set-cookie"), hostname)
    return handshake_response(status, headers, subprotocol)


def _pack_hostname(hostname: str) -> str:
    """Return a host as it is written in a URL: an IPv6 address in brackets."""
    return f"[{hostname}]" if ":" in hostname else hostname


def _get_handshake_headers(
    resource: str, url: str, host: str, port: int, options: Mapping[str, Any]
) -> tuple[list[str], str]:
    """Return the lines of the request, with two empty ones at the end, and its key."""
    place = _pack_hostname(host) if port in (80, 443) else f"{_pack_hostname(host)}:{port}"
    origin = options.get("origin")
    if origin is None:
        origin = f"{'https' if url.startswith('wss') else 'http'}://{place}"
    given = options.get("header")
    headers = normalize_headers(header_as_utf8(given() if callable(given) else given))
    key = _create_sec_websocket_key()
    for name, value in headers:
        if name.lower() == "sec-websocket-key":
            key = value
    path = resource.partition("?")[0]
    cookies = [CookieJar.get(host, path, url.startswith("wss")), options.get("cookie")]
    head = build_request(
        None if options.get("suppress_host") else text_as_utf8(options.get("host") or place),
        resource,
        key,
        origin=None if options.get("suppress_origin") else text_as_utf8(origin),
        subprotocols=options.get("subprotocols") or (),
        headers=headers,
        cookie=text_as_utf8("; ".join(filter(None, cookies))),
        connection=text_as_utf8(options.get("connection")),
    )
    return head.decode().split("\r\n"), key


def _get_resp_headers(
    sock: Any, success_statuses: Sequence[int] = SUCCESS_STATUSES
) -> tuple[int, dict[str, str]]:
    """Read the server's answer; return its status and headers.

    Raises:
        WebSocketBadStatusException: the status is not in *success_statuses*. It has the body, if
            the length of the body is given.
    """
    status, headers, reason = read_headers(sock)
    if status in success_statuses:
        return status, headers
    body = _read_body(sock, headers.get("content-length"))
    raise WebSocketBadStatusException(
        refusal_text(status, reason, headers, body),
        status,
        reason,
        headers,
        body,
    )


def _read_body(sock: Any, length: str | None) -> bytes | None:
    """Return the body of a refusal, up to the limit that applies to all of them."""
    if not length:
        return None
    try:
        missing = min(int(length), DEFAULT_LIMITS.max_body_size)
    except ValueError:
        raise WebSocketException(f"Invalid content-length header: {quoted(length)}") from None
    body = b""
    while missing > 0:
        piece = blocking.recv(sock, min(missing, MAX_READ))
        body += piece
        missing -= len(piece)
    return body


def _validate(
    headers: Mapping[str, str], key: str, subprotocols: Sequence[str] | None
) -> tuple[bool, str | None]:
    """Check the headers of an answer (RFC 6455 section 4.1).

    Returns:
        Whether they are right, and the subprotocol in lower case.
    """
    for name, token in _HEADERS_TO_CHECK.items():
        if token not in tokens(headers.get(name, "").lower()):
            return False, None
    chosen = None
    if subprotocols:
        chosen = headers.get("sec-websocket-protocol", "").lower()
        if chosen not in [each.lower() for each in subprotocols]:
            error(f"Invalid subprotocol: {subprotocols}")
            return False, None
    if headers.get("sec-websocket-accept", "").lower() != accept_for(key).lower():
        return False, None
    return True, chosen
