"""The functions of websocket-client's ``_http``: from a URL to a connected socket, step by step.

What it is: functions that programs import or replace. They block the thread that calls them, and
return blocking sockets.

What it must not know: the opening handshake (handshake.py); the caller (blocking/steps.py).

How it works. The steps are those of the connect pipeline (client/pipeline.py), driven in the
calling thread. Only heads are read here, byte by byte: a plain socket cannot take back bytes that
belong to the next step. One step calls another by its name in this module, where a program may
have set its own function.
"""

from __future__ import annotations

import socket as sockets
import time
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...base.addresses import host_and_port
from ...base.printable import quoted
from ...exceptions import (
    WebSocketAddressException,
    WebSocketException,
    WebSocketProxyException,
)
from ...loop.tasks import run_blocking
from ...protocols.http.headers import build_head
from ...transports.dial.names import server_hostname
from ...transports.dial.race import dial
from ...transports.dial.resolver import Address
from ...transports.proxy import Proxy as SocksProxy
from ...transports.proxy import dial_through
from ...transports.tls.contexts import make_context
from ..blocking.socket_io import recv_line, send
from ..errors import boundary
from ..options import tls_options
from ..tracing import debug, dump, trace
from .legacy import HAVE_PYTHON_SOCKS, ProxyError, get_proxy_info, parse_url

__all__ = ["connect", "proxy_info", "read_headers"]

#: The protocols that websocket-client speaks to proxies: TLS to none of them.
PROXY_TYPES = ("http", "socks4", "socks4a", "socks5", "socks5h")

#: The default time-out for a SOCKS proxy, in seconds, as in python-socks.
PROXY_TIMEOUT = 60.0

#: The greatest length of a head, in bytes.
MAX_HEAD = 1 << 20

#: The result of connect(): a socket, and host, port and resource of the URL.
Connected = tuple[Any, tuple[str, int, str]]


class proxy_info:  # noqa: N801 - websocket-client's name
    """The proxy that the options of WebSocket.connect() ask for.

    Args:
        options: ``http_proxy_host``, ``http_proxy_port``, ``http_proxy_auth``,
            ``http_no_proxy``, ``http_proxy_timeout`` and ``proxy_type`` are used.

    Attributes:
        proxy_host, proxy_port, auth, no_proxy, proxy_timeout: as given; without a host: None, or 0
            for the port.
        proxy_protocol: "http", "socks4", "socks4a", "socks5" or "socks5h".

    Raises:
        ProxyError: ``proxy_type`` is another one.
    """

    def __init__(self, **options: Any) -> None:
        self.proxy_host = options.get("http_proxy_host")
        given = options if self.proxy_host else {}
        self.proxy_port: int | str | None = given.get("http_proxy_port", 0)
        self.auth = given.get("http_proxy_auth")
        self.no_proxy = given.get("http_no_proxy")
        self.proxy_protocol = given.get("proxy_type") or "http"
        self.proxy_timeout = given.get("http_proxy_timeout")
        if self.proxy_protocol not in PROXY_TYPES:
            raise ProxyError("Only http, socks4, socks5 proxy protocols are supported")


def connect(url: str, options: Any, proxy: Any, socket: Any) -> Connected:
    """Connect to the host of a URL: resolve, dial, through a proxy or not, and TLS for wss.

    Args:
        url: ws:// or wss://.
        options: a sock_opt: ``timeout`` (for each step), ``sockopt``, ``sslopt``.
        proxy: a :class:`proxy_info`.
        socket: a connected socket that is returned as it is; None: connect one.

    Raises:
        ValueError: the URL cannot be used.
        Exception: what the steps raise.
    """
    if proxy.proxy_host and not socket and proxy.proxy_protocol != "http":
        return _start_proxied_socket(url, options, proxy)
    host, port, resource, secure = parse_url(url)
    place = host, port, resource
    if socket:
        return socket, place
    addresses, through_proxy, auth = _get_addrinfo_list(host, port, secure, proxy)
    if not addresses:
        raise WebSocketException(f"Host not found.: {host}:{port}")
    sock = _open_socket(addresses, options.sockopt, options.timeout)
    try:
        if through_proxy:
            sock = _tunnel(sock, host, port, auth)
        return (_ssl_socket(sock, options.sslopt, host) if secure else sock), place
    except BaseException:
        sock.close()
        raise


def _start_proxied_socket(url: str, options: Any, proxy: Any) -> Connected:
    """The same as :func:`connect`, through a SOCKS proxy."""
    if proxy.proxy_host and not proxy.proxy_port:
        raise WebSocketProxyException("Cannot use port 0 when proxy_host specified")
    if not HAVE_PYTHON_SOCKS:
        raise WebSocketException("Python Socks is needed for SOCKS proxying but is not available")
    host, port, resource, secure = parse_url(url)
    user, password = proxy.auth or (None, None)
    there = SocksProxy(
        proxy.proxy_protocol, proxy.proxy_host, int(proxy.proxy_port), user, password
    )
    until = time.monotonic() + (proxy.proxy_timeout or PROXY_TIMEOUT)
    sock: Any
    with boundary():
        sock, _ = run_blocking(dial_through(there, host, port, until=until))
    try:
        sock.settimeout(getattr(options, "timeout", None))
        return (_ssl_socket(sock, options.sslopt, host) if secure else sock), (host, port, resource)
    except BaseException:
        sock.close()
        raise


def _get_addrinfo_list(
    hostname: str, port: int, is_secure: bool, proxy: Any
) -> tuple[list[Any], bool, Any]:
    """Return the addresses to connect to.

    Returns:
        The result of getaddrinfo() for the host, or for the proxy that leads to it; whether it is
        for a proxy; and the credentials for the proxy.

    Raises:
        WebSocketAddressException: the name cannot be resolved.
    """
    try:
        proxy_host, proxy_port, auth = get_proxy_info(
            hostname, is_secure, proxy.proxy_host, proxy.proxy_port, proxy.auth, proxy.no_proxy
        )
        name, number = (proxy_host, proxy_port or 80) if proxy_host else (hostname, port)
        found = sockets.getaddrinfo(name, number, 0, sockets.SOCK_STREAM, sockets.SOL_TCP)
    except (sockets.gaierror, UnicodeError, TypeError, AttributeError) as exc:
        raise WebSocketAddressException(exc) from exc
    return found, bool(proxy_host), auth if proxy_host else None


def _open_socket(
    addrinfo_list: Sequence[Any], sockopt: Iterable[tuple[Any, ...]] | None, timeout: float | None
) -> Any:
    """Return a socket that is connected to the first of these addresses that answers.

    Args:
        addrinfo_list: the result of getaddrinfo().
        sockopt: arguments of setsockopt() calls.
        timeout: seconds, or None; the socket keeps it.
    """
    addresses = [Address(entry[0], entry[4]) for entry in addrinfo_list]
    dialling = dial(
        addresses,
        until=None if timeout is None else time.monotonic() + timeout,
        host_name_for_errors=str(addresses[0].sockaddr[0]),
        sockopt=sockopt or (),
    )
    with boundary():
        sock = run_blocking(dialling)
    sock.settimeout(timeout)
    return sock


def _ssl_socket(sock: Any, user_sslopt: Mapping[str, Any], hostname: str) -> Any:
    """Return the socket with TLS on it, for a certificate of *hostname*."""
    name = server_hostname(user_sslopt, hostname)
    return _wrap_sni_socket(sock, user_sslopt, name, user_sslopt.get("check_hostname", True))


def _wrap_sni_socket(
    sock: Any, sslopt: Mapping[str, Any], hostname: str, check_hostname: bool
) -> Any:
    """Return the socket with TLS on it; ``check_hostname`` of *sslopt* applies.

    The time-out that applies is that of *sock*.

    Raises:
        ssl.SSLError: the TLS handshake has failed.
    """
    with boundary(sslopt):
        context = make_context(tls_options(sslopt))
    return context.wrap_socket(
        sock,
        do_handshake_on_connect=sslopt.get("do_handshake_on_connect", True),
        suppress_ragged_eofs=sslopt.get("suppress_ragged_eofs", True),
        server_hostname=hostname,
    )


def _tunnel(sock: Any, host: str, port: int, auth: Any) -> Any:
    """Have an HTTP proxy connect *sock* to a host (RFC 9110 section 9.3.6); return *sock*."""
    debug("Connecting proxy...")
    place = host_and_port(host, port)
    headers = [("Host", place)]
    if auth and auth[0]:
        credentials = ":".join(part for part in auth if part)
        token = b64encode(credentials.encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {token}"))
    head = build_head(f"CONNECT {place} HTTP/1.1", headers).decode("latin-1")
    dump("request header", head)
    send(sock, head)
    try:
        status, _, _ = read_headers(sock)
    except (OSError, WebSocketException) as exc:
        raise WebSocketProxyException(str(exc)) from exc
    if status != 200:
        raise WebSocketProxyException(f"failed CONNECT via proxy status: {status}")
    return sock


def read_headers(sock: Any) -> tuple[Any, dict[str, str], str | None]:
    """Read the head of an HTTP response, and no byte after it.

    Returns:
        The status (None if there is no line), the headers (names in lower case; the last of
        several with one name, but all cookies), and the reason phrase.

    Raises:
        WebSocketException: this is not a head; and as for recv_line().
    """
    status, reason, headers = None, None, dict[str, str]()
    size = 0
    trace("--- response header ---")
    while line := _read_text_line(sock):
        size += len(line)
        if size > MAX_HEAD:
            raise WebSocketException(f"Invalid header: the head is longer than {MAX_HEAD} bytes")
        trace(line)
        if status is None:
            status, reason = _parse_status_line(line)
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise WebSocketException("Invalid header")
        name, value = name.lower(), value.strip()
        if name == "set-cookie" and name in headers:
            value = f"{headers[name]}; {value}"
        headers[name] = value
    trace("-----------------------")
    return status, headers, reason


def _read_text_line(sock: Any) -> str:
    line = recv_line(sock)
    try:
        return line.decode().strip()
    except UnicodeDecodeError as exc:
        raise WebSocketException(
            f"Invalid header line, not valid UTF-8 at byte {exc.start}: {quoted(line)}"
        ) from exc


def _parse_status_line(line: str) -> tuple[int, str | None]:
    _, _, rest = line.partition(" ")
    status, _, reason = rest.strip().partition(" ")
    if not (status.isascii() and status.isdigit()):
        raise WebSocketException(f"Invalid status line: {quoted(line)}")
    return int(status), reason or None
