"""From websocket-client's parameters to our options.

What it is: the translation that both classic faces share (WebSocket and WebSocketApp).

What it must not know: what is done with the options.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from ..exceptions import WebSocketProxyException
from ..options import ClientOptions
from ..proxies import no_proxy_of
from .defaults import getdefaulttimeout
from .watch import ClassicWatch

__all__ = ["app_options", "proxy_options"]

PROXY_TYPES = ("http", "socks4", "socks4a", "socks5", "socks5h")

#: Bytes of a message, and of what waits to be sent to a server that does not read:
#: websocket-client has no limit, and its users have large messages.
MAX_MESSAGE_SIZE = 256 * 1024 * 1024


def proxy_options(
    host: str | None,
    port: int | str | None,
    auth: tuple[str, str] | None,
    kind: str | None,
    no_proxy: list[str] | None,
    timeout: float | None,
) -> dict[str, Any]:
    """Return the options ``proxy``, ``no_proxy`` and ``proxy_timeout``.

    Parameters:
        host, port: of the proxy; without a host, the environment decides.
        auth: user and password.
        kind: http (also for None), socks4, socks4a, socks5 or socks5h.
        no_proxy: hosts that are reached directly.
        timeout: seconds for the proxy.

    Raises WebSocketProxyException for another kind, ValueError for a port that is none.
    """
    options: dict[str, Any] = {"no_proxy": no_proxy or None, "proxy_timeout": timeout}
    if not host:
        return options
    options["no_proxy"] = no_proxy or no_proxy_of(os.environ)  # for a proxy of one's own too
    kind = kind or "http"
    if kind not in PROXY_TYPES:
        raise WebSocketProxyException(
            f"Only http, socks4, socks5 proxy protocols are supported, not {kind!r}"
        )
    try:
        number = int(port or (80 if kind == "http" else 1080))
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


def _current(app: Any, name: str) -> Any:
    """What an attribute of the app says at this moment: programs change it between attempts."""
    value = getattr(app, name)
    return value() if callable(value) else value


def app_options(app: Any, **given: Any) -> ClientOptions:
    """Return the options of a WebSocketApp's run.

    Parameters:
        app: the WebSocketApp, for what its constructor got.
        given: the parameters of its run_forever().

    Raises as :func:`proxy_options` and ClientOptions do.
    """
    sslopt = given["sslopt"]
    interval = given["ping_interval"]
    return ClientOptions(
        header=partial(_current, app, "header"),
        cookie=partial(_current, app, "cookie"),
        origin=given["origin"],
        host=given["host"],
        suppress_origin=given["suppress_origin"],
        suppress_host=given["suppress_host"],
        subprotocols=app.subprotocols or (),
        connect_timeout=getdefaulttimeout() or None,
        sslopt=sslopt if sslopt is None or isinstance(sslopt, Mapping) else dict(sslopt),
        sockopt=given["sockopt"] or (),
        sock=app.prepared_socket,
        mask_key=app.get_mask_key,
        # A socket that was handed in serves one connection.
        reconnect=None if app.prepared_socket is not None else given["reconnect"],
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
        ),
    )
