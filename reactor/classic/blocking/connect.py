"""Connecting, for the blocking face: from the options to an upgraded socket.

What it is: the names of the options, their translation, and the connect pipeline driven in the
calling thread, with the trace and the cookies of websocket-client.

What it must not know: what is done with the socket.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...base.mistakes import check_called, did_you_mean
from ...base.printable import without_secrets
from ...client.options import ClientOptions
from ...client.pipeline import ClientUpgrade, connect
from ...exceptions import WebSocketTimeoutException
from ...loop.tasks import run_blocking
from ...protocols.http.http11 import Response
from ..defaults import check_timeout, sock_opt
from ..errors import boundary
from ..options import (
    check_proxy,
    header_as_utf8,
    parse_url,
    proxy_options,
    text_as_utf8,
    tls_options,
)
from ..tracing import debug
from ..watch import ClassicWatch, text_of

__all__ = ["handshake_response", "headers_of", "note_unknown", "open_connection"]

#: The options of WebSocket.connect().
CONNECT_OPTIONS = frozenset(
    {
        "compression",
        "connection",
        "cookie",
        "header",
        "host",
        "http_no_proxy",
        "http_proxy_auth",
        "http_proxy_host",
        "http_proxy_port",
        "http_proxy_timeout",
        "lenient",
        "origin",
        "plain_socket",
        "proxy_type",
        "redirect_limit",
        "socket",
        "subprotocols",
        "suppress_host",
        "suppress_origin",
        "timeout",
    }
)

#: The options of the constructor of WebSocket.
CONSTRUCTOR_OPTIONS = frozenset(
    {
        "dispatcher",
        "enable_multithread",
        "fire_cont_frame",
        "get_mask_key",
        "max_fragments",
        "max_message_size",
        "skip_utf8_validation",
        "sockopt",
        "sslopt",
    }
)


class handshake_response:  # noqa: N801 - websocket-client's name
    """The server's answer to the opening handshake.

    Attributes:
        status: the HTTP status (int).
        headers: dict with names in lower case.
        subprotocol: the one that the server chose, or None.
    """

    def __init__(self, status: int, headers: dict[str, str], subprotocol: str | None) -> None:
        self.status = status
        self.headers = headers
        self.subprotocol = subprotocol


def headers_of(response: Response) -> dict[str, str]:
    """Return the headers of an answer in the form that websocket-client uses."""
    values = response.headers.to_dict().items()
    return {name: text_of(value.encode("latin-1")) for name, value in values}


def note_unknown(names: Iterable[str], where: str) -> None:
    """Log options that do not exist, on a level that is off by default."""
    known = CONNECT_OPTIONS | CONSTRUCTOR_OPTIONS
    unknown = [f"{name!r}{did_you_mean(name, known)}" for name in sorted(set(names) - known)]
    if unknown:
        debug(f"{where} has no option {', '.join(unknown)}: ignored")


def open_connection(url: str, settings: sock_opt, given: Mapping[str, Any]) -> ClientUpgrade:
    """Connect in the calling thread.

    Args:
        url: ws:// or wss://.
        settings: socket and TLS options; ``timeout`` is the time for the whole call.
        given: the options of WebSocket.connect().

    Raises:
        WebSocketTimeoutException: the time-out is 0, which leaves no time to connect.
        Exception: what the connect pipeline raises, by way of the boundary in errors.py.
    """
    timeout = settings.timeout
    check_timeout(timeout)
    if timeout == 0:
        raise WebSocketTimeoutException(
            f"timeout=0 leaves no time to connect to {without_secrets(url)}: "
            "connect with another one, then call settimeout(0)"
        )
    parse_url(url)
    options = ClientOptions(
        origin=text_as_utf8(given.get("origin")),
        host=text_as_utf8(given.get("host")),
        suppress_origin=bool(given.get("suppress_origin")),
        suppress_host=bool(given.get("suppress_host")),
        connection=text_as_utf8(given.get("connection")),
        subprotocols=given.get("subprotocols") or (),
        connect_timeout=timeout,
        redirect_limit=given.get("redirect_limit", 3),
        sslopt=tls_options(settings.sslopt),
        sockopt=settings.sockopt or (),
        sock=given.get("socket"),
        plain_sock=bool(given.get("plain_socket")),
        watch=ClassicWatch(),
        compression=given.get("compression"),
        lenient=given.get("lenient", True),
        **proxy_options(
            given.get("http_proxy_host"),
            given.get("http_proxy_port"),
            given.get("http_proxy_auth"),
            given.get("proxy_type"),
            given.get("http_no_proxy"),
            given.get("http_proxy_timeout"),
            url,
        ),
    )
    if given.get("socket") is None:
        check_proxy(url, given.get("http_proxy_host"), given.get("http_proxy_port"))
    header, cookie = given.get("header"), given.get("cookie")
    check_called("header", header)
    check_called("cookie", cookie)
    header = header_as_utf8(header() if callable(header) else header)
    cookie = text_as_utf8(cookie() if callable(cookie) else cookie)
    with boundary(settings.sslopt):
        return run_blocking(connect(url, options, header, cookie, exact=True))
