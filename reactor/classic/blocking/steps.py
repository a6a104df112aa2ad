"""Connecting in websocket-client's two steps, for programs that have replaced one of them.

What it is: :func:`open_connection`, with which WebSocket.connect() opens a connection.

What it must not know: what is done with the connection.

How it works. Usually the connect pipeline does all of it. websocket-client has two functions
instead, ``connect`` and ``handshake``, which programs replace: in tests, to connect to nothing;
at run time, to choose an address, or to change TLS. So if one of the functions that these two
consist of is not the original one, both are called one after the other, and the program's own
functions with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ...base.printable import printable, quoted, without_secrets
from ...client.pipeline import ClientUpgrade
from ...client.redirects import headers_for_another_origin, may_be_token
from ...client.url import WebSocketURL
from ...exceptions import WebSocketException
from ...protocols.http.handshake import normalize_headers
from ...protocols.http.headers import Headers
from ...protocols.http.http11 import Response
from ...transports.tls.contexts import for_another_host
from ..defaults import sock_opt
from ..names import handshake as legacy_handshake
from ..names import http as legacy_http
from ..names.handshake import handshake
from ..names.http import connect, proxy_info
from ..names.legacy import SUPPORTED_REDIRECT_STATUSES
from .connect import open_connection as open_at_once

__all__ = ["open_connection"]

_OWN = (connect, handshake, proxy_info)

#: The functions that the two steps consist of, in their modules.
_PARTS = [
    (vars(legacy_http), name, getattr(legacy_http, name))
    for name in (
        "_get_addrinfo_list",
        "_open_socket",
        "_ssl_socket",
        "_start_proxied_socket",
        "_tunnel",
        "_wrap_sni_socket",
        "get_proxy_info",
        "parse_url",
        "read_headers",
        "recv_line",
        "send",
    )
] + [
    (vars(legacy_handshake), name, getattr(legacy_handshake, name))
    for name in (
        "_create_sec_websocket_key",
        "_get_handshake_headers",
        "_get_resp_headers",
        "_validate",
        "read_headers",
        "send",
    )
]


def is_replaced() -> bool:
    """Whether a program has replaced one of our functions."""
    return (connect, handshake, proxy_info) != _OWN or any(
        space[name] is not original for space, name, original in _PARTS
    )


def open_connection(url: str, settings: sock_opt, given: Mapping[str, Any]) -> ClientUpgrade:
    """Connect in the calling thread; see :func:`.connect.open_connection`."""
    if is_replaced():
        return open_in_steps(url, settings, given)
    return open_at_once(url, settings, given)


def open_in_steps(url: str, settings: sock_opt, given: Mapping[str, Any]) -> ClientUpgrade:
    """Connect in the calling thread, step by step, and follow redirects.

    The arguments are those of :func:`.connect.open_connection`. After an exception no socket
    is left open.

    Raises:
        WebSocketException: a redirect leads nowhere.
        Exception: what the steps raise.
    """
    options = dict(given)
    limit = options.pop("redirect_limit", 3)
    target: Any = url
    redirects = 0
    sock: Any
    sock, place = connect(url, settings, proxy_info(**options), options.pop("socket", None))
    try:
        while True:
            response = handshake(sock, target, *place, **options)
            if response.status not in SUPPORTED_REDIRECT_STATUSES:
                break
            if redirects == limit:
                raise WebSocketException("Redirect limit exhausted")
            redirects += 1
            before, target = target, response.headers.get("location")
            if target is None:
                raise WebSocketException(
                    f"Redirect response without Location header, status {response.status}"
                )
            sock, leaving = None, sock
            leaving.close()
            try:
                settings, options = _what_goes_along(before, target, settings, options)
                sock, place = connect(target, settings, proxy_info(**options), None)
            except ValueError as exc:
                raise _no_target(target, printable(str(exc))) from exc
    except BaseException:
        if sock is not None:
            sock.close()
        raise
    headers = response.headers if isinstance(response.headers, Mapping) else {}
    head = Response(response.status, "", Headers(headers.items()))
    # The URL of an answer to WebSocket.connect() is not used; the program's own is not parsed.
    return ClientUpgrade(
        sock, WebSocketURL("ws", "", 80, "/"), head, b"", response.subprotocol, b""
    )


def _what_goes_along(
    before: str, target: str, settings: sock_opt, options: dict[str, Any]
) -> tuple[sock_opt, dict[str, Any]]:
    """Return the options for the target of a redirect: secrets are not sent to another origin."""
    old, new = urlsplit(before), urlsplit(target)
    if (old.scheme, old.netloc) == (new.scheme, new.netloc):
        return settings, options
    if (old.scheme, new.scheme) == ("wss", "ws"):
        raise _no_target(target, "it leads from wss to ws, without TLS")
    header = options.get("header")
    headers = normalize_headers(header() if callable(header) else header)
    names = options.get("subprotocols") or ()
    kept = sock_opt(settings.sockopt, for_another_host(settings.sslopt))
    kept.timeout = settings.timeout
    return kept, {
        **options,
        "cookie": None,
        "header": headers_for_another_origin(headers),
        "host": None,
        "subprotocols": [name for name in names if not may_be_token(name)],
    }


def _no_target(target: str, fault: str) -> WebSocketException:
    return WebSocketException(f"Invalid redirect target {quoted(without_secrets(target))}: {fault}")
