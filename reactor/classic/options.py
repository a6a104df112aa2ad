"""From websocket-client's parameters to our options.

What it is: the translation that both classic faces share (WebSocket and WebSocketApp).

What it must not know: what is done with the options.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

from ..base.marks import calls_user_code
from ..base.mistakes import check_called
from ..client.options import ClientOptions
from ..client.proxy_choice import no_proxy_of
from ..client.url import WebSocketURL
from ..client.url import parse_url as _parse_url
from ..exceptions import WebSocketProxyException
from ..timers import Backoff
from ..transports.proxy import KINDS
from ..transports.tls.contexts import CONTEXT_KEYS, OTHER_KEYS
from .defaults import getdefaulttimeout
from .socks_errors import as_of_socks
from .tracing import debug
from .watch import ClassicWatch

__all__ = [
    "app_options",
    "check_proxy",
    "header_as_utf8",
    "parse_url",
    "proxy_options",
    "proxy_variable",
    "text_as_utf8",
    "tls_options",
]

#: The largest message, and the most that is queued for a server that does not read, in bytes:
#: websocket-client has no limit, and its users have large messages.
MAX_MESSAGE_SIZE = 256 * 1024 * 1024


def parse_url(url: str) -> WebSocketURL:
    """Parse a URL; see there. For URLs that urllib.parse refuses, the message is urllib's."""
    try:
        return _parse_url(url)
    except ValueError as exc:
        _refuse_as_urllib(url.partition(":")[2], exc)
        raise


def _refuse_as_urllib(text: str, reason: ValueError) -> None:
    try:
        urlsplit(text).port  # noqa: B018 - it raises ValueError if it is not a port
    except ValueError as exc:
        if hasattr(exc, "add_note"):  # since Python 3.11
            exc.add_note(str(reason))
        raise exc from reason


def proxy_variable(secure: bool) -> str:
    """Return the proxy of the environment, "" for none, read as websocket-client reads it.

    Args:
        secure: whether it is for wss.
    """
    name = "https_proxy" if secure else "http_proxy"
    value = os.environ.get(name)
    # In a CGI program, HTTP_PROXY is a header that a client has sent (CVE-2016-1000110).
    if value is None and (secure or "REQUEST_METHOD" not in os.environ):
        value = os.environ.get(name.upper())
    return (value or "").replace(" ", "")


def check_proxy(url: Any, host: str | None, port: int | str | None) -> None:
    """Check a proxy that is to be used.

    Raises:
        WebSocketProxyException: there is a host without a port.
        ValueError: the port in an environment variable is not a port; the message is that of
            urllib.parse.
    """
    if host and not port:
        raise WebSocketProxyException("Cannot use port 0 when proxy_host specified")
    if not host and isinstance(url, str):
        urlsplit(proxy_variable(parse_url(url).secure)).port  # noqa: B018 - see above


def _heeds_environment(secure: bool) -> bool:
    """Whether a proxy of the environment applies: websocket-client ignores one without a scheme."""
    value = proxy_variable(secure)
    return not value or "//" in value


def proxy_options(
    host: str | None,
    port: int | str | None,
    auth: tuple[str, str] | None,
    kind: str | None,
    no_proxy: list[str] | None,
    timeout: float | None,
    url: Any = None,
) -> dict[str, Any]:
    """Return the options ``proxy``, ``no_proxy`` and ``proxy_timeout``.

    Args:
        host, port: the proxy's; without a host, the environment decides.
        auth: user and password.
        kind: http (also for None), https, socks4, socks4a, socks5 or socks5h.
        no_proxy: hosts that are reached directly.
        timeout: seconds for the proxy.
        url: the URL to connect to, a str; anything else if it is not known yet.

    Raises:
        WebSocketProxyException: the kind is another one.
        ValueError: the port is not a port.
    """
    options: dict[str, Any] = {"no_proxy": no_proxy or None, "proxy_timeout": timeout}
    if not host:
        if isinstance(url, str) and not _heeds_environment(parse_url(url).secure):
            options["proxy"] = None
        return options
    options["no_proxy"] = no_proxy or no_proxy_of(os.environ)  # for the caller's own proxy, too
    kind = kind or "http"
    if kind not in KINDS:
        text = f"Only http, socks4, socks5 proxy protocols are supported, not {kind!r}"
        raise as_of_socks(WebSocketProxyException(text))
    try:
        number = int(port or KINDS[kind])
    except ValueError:
        raise ValueError(f"http_proxy_port must be a number, not {port!r}") from None
    if not number:
        raise WebSocketProxyException("Cannot use port 0 when proxy_host specified")
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    credentials = ""
    if auth:
        credentials = ":".join(quote(part or "", safe="") for part in auth) + "@"
    options["proxy"] = f"{kind}://{credentials}{name}:{number}"
    return options


def tls_options(sslopt: Any) -> Mapping[str, Any] | None:
    """Return *sslopt* without the keys that websocket-client ignores; the log names them (DEBUG).

    These are unknown keys, and the key of a certificate that is not given.
    """
    if not sslopt:
        return None
    given = dict(sslopt)
    unknown = sorted(map(str, given.keys() - CONTEXT_KEYS - OTHER_KEYS))
    if given.get("certfile") is None and given.get("keyfile") is not None:
        unknown.append("keyfile")
    if not unknown:
        return given
    debug(f"sslopt: these keys are not used: {', '.join(map(repr, unknown))}")
    return {key: value for key, value in given.items() if str(key) not in unknown}


def text_as_utf8(text: Any) -> Any:
    """Return text so that encoding it as latin-1 gives UTF-8, which websocket-client sends."""
    return text.encode().decode("latin-1") if isinstance(text, str) else text


def header_as_utf8(header: Any) -> Any:
    """Return the headers of a program with their values changed by :func:`text_as_utf8`."""
    if isinstance(header, Mapping):
        return {name: text_as_utf8(value) for name, value in header.items()}
    if isinstance(header, (list, tuple)):
        return [
            tuple(map(text_as_utf8, line)) if isinstance(line, tuple) else text_as_utf8(line)
            for line in header
        ]
    return header


@calls_user_code
def _current_header(app: Any) -> Any:
    """The app's ``header`` at this moment: programs change it between attempts."""
    return header_as_utf8(app.header() if callable(app.header) else app.header)


def _header_of_attempt(app: Any, proxy_host: str | None, proxy_port: int | str | None) -> Any:
    """The same; or raise what :func:`check_proxy` raises: that is an error of the attempt."""
    check_proxy(app.url, proxy_host, proxy_port)
    return _current_header(app)


@calls_user_code
def _current_cookie(app: Any) -> Any:
    """The same for its ``cookie``."""
    return text_as_utf8(app.cookie() if callable(app.cookie) else app.cookie)


def app_options(app: Any, **given: Any) -> ClientOptions:
    """Return the options of a WebSocketApp's run.

    Args:
        app: the WebSocketApp, for the arguments of its constructor.
        given: the arguments of its run_forever().

    Raises:
        ValueError, TypeError, WebSocketException: as for :func:`proxy_options` and ClientOptions.
    """
    for name in ("url", "header", "cookie"):
        check_called(name, getattr(app, name))
    interval = given["ping_interval"]
    reconnect = given["reconnect"]
    if isinstance(reconnect, bool):  # with websocket-client, True is one second
        reconnect = int(reconnect)
    if isinstance(reconnect, (int, float)) and reconnect > 0:  # kept, whatever the server asks for
        reconnect = Backoff.fixed(reconnect, retry_after_cap=0.0)
    return ClientOptions(
        header=partial(_header_of_attempt, app, given["http_proxy_host"], given["http_proxy_port"]),
        cookie=partial(_current_cookie, app),
        origin=text_as_utf8(given["origin"]),
        host=text_as_utf8(given["host"]),
        suppress_origin=given["suppress_origin"],
        suppress_host=given["suppress_host"],
        subprotocols=app.subprotocols or (),
        connect_timeout=getdefaulttimeout() or None,
        sslopt=tls_options(given["sslopt"]),
        sockopt=given["sockopt"] or (),
        sock=app.prepared_socket,
        plain_sock=app.plain_socket,
        mask_key=app.get_mask_key,
        # A given socket serves one connection.
        reconnect=None if app.prepared_socket is not None else reconnect,
        ping_interval=interval or None,
        ping_timeout=given["ping_timeout"],
        ping_payload=given["ping_payload"],
        ping_when_idle=False,
        close_timeout=3.0,
        max_message_size=MAX_MESSAGE_SIZE,
        write_limit=MAX_MESSAGE_SIZE,
        decode_text=not given["skip_utf8_validation"],
        fragments=app.on_cont_message is not None,
        compression=app.compression,
        lenient=app.lenient,
        watch=ClassicWatch(),
        **proxy_options(
            given["http_proxy_host"],
            given["http_proxy_port"],
            given["http_proxy_auth"],
            given["proxy_type"],
            given["http_no_proxy"],
            given["http_proxy_timeout"],
            app.url,
        ),
    )
