"""The small parts of websocket-client's private modules that have no other place here.

What it is: small functions and constants under its names, for programs that import them.

What it must not know: anything of ours except URLs and proxies.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Callable, Sequence
from ssl import SSLEOFError, SSLError, SSLWantReadError, SSLWantWriteError
from urllib.parse import unquote, urlsplit

from ...client.proxies import choose_proxy, no_proxy_of
from ...client.url import WebSocketURL
from ...exceptions import WebSocketProxyException
from ..blocking.sock import NoLock
from ..options import parse_url as _parse_url
from ..options import proxy_variable

__all__ = [
    "HAVE_PYTHON_SOCKS",
    "HAVE_SSL",
    "SUCCESS_STATUSES",
    "SUPPORTED_REDIRECT_STATUSES",
    "VERSION",
    "NoLock",
    "ProxyConnectionError",
    "ProxyError",
    "ProxyTimeoutError",
    "SSLEOFError",
    "SSLError",
    "SSLWantReadError",
    "SSLWantWriteError",
    "extract_err_message",
    "extract_error_code",
    "get_proxy_info",
    "parse_url",
    "ssl",
    "validate_utf8",
]

HAVE_SSL = True
HAVE_PYTHON_SOCKS = True

#: All errors of a proxy are of one class here.
ProxyError = ProxyTimeoutError = ProxyConnectionError = WebSocketProxyException

SUPPORTED_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
SUCCESS_STATUSES = (*SUPPORTED_REDIRECT_STATUSES, 101)
VERSION = 13


def validate_utf8(utfbytes: str | bytes) -> bool:
    """Return whether the bytes are UTF-8."""
    try:
        utfbytes.encode() if isinstance(utfbytes, str) else bytes(utfbytes).decode()
    except UnicodeError:
        return False
    return True


def extract_err_message(exception: Exception) -> str | None:
    """Return the first argument of an exception as text, or None."""
    return str(exception.args[0]) if exception.args else None


def extract_error_code(exception: Exception) -> int | None:
    """Return the error number of an exception with more than one argument, or None."""
    if len(exception.args) > 1 and isinstance(exception.args[0], int):
        return exception.args[0]
    return None


def parse_url(url: str) -> tuple[str, int, str, bool]:
    """Return host, port, resource, and whether it is wss.

    Raises:
        ValueError: the URL cannot be used.
    """
    parsed = _parse_url(url)
    return parsed.host, parsed.port, parsed.resource, parsed.secure


def _is_no_proxy_host(hostname: str, no_proxy: Sequence[str] | None) -> bool:
    """Whether a host is reached without a proxy; None: as the environment says."""
    proxy = "http://proxy"  # any URL: the question is whether the proxy is bypassed
    entries = list(no_proxy or no_proxy_of(os.environ))
    return choose_proxy(WebSocketURL("ws", hostname, 80, "/"), proxy, entries, {}) is None


def _is_address_in_network(ip: str, net: str) -> bool:
    """Whether an IP address is in a network in CIDR notation."""
    return _is_subnet_address(net) and _is_ip_address(ip) and _is_no_proxy_host(ip, [net])


def _is_ip_address(addr: str) -> bool:
    """Whether this is an IP address."""
    if not isinstance(addr, str):
        raise TypeError(f"an address is a str, not {type(addr).__name__}")
    return _parses(ipaddress.ip_address, addr)


def _is_subnet_address(hostname: str) -> bool:
    """Whether this is an IP network in CIDR notation, or an address."""
    return _parses(ipaddress.ip_network, hostname)


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def get_proxy_info(
    hostname: str,
    is_secure: bool,
    proxy_host: str | None = None,
    proxy_port: int = 0,
    proxy_auth: tuple[str, str] | None = None,
    no_proxy: Sequence[str] | None = None,
    proxy_type: str = "http",
) -> tuple[str | None, int | None, tuple[str, str] | None]:
    """Return host, port and credentials of the proxy for a host; (None, 0, None) for no proxy.

    The port is None if the environment does not contain one.

    Raises:
        WebSocketProxyException: *proxy_host* is given without a port.
        ValueError: the port in an environment variable is not a port.
    """
    if _is_no_proxy_host(hostname, no_proxy):
        return None, 0, None
    if proxy_host:
        if not proxy_port:
            raise WebSocketProxyException("Cannot use port 0 when proxy_host specified")
        return proxy_host, proxy_port, proxy_auth
    value = proxy_variable(is_secure)
    if not value:
        return None, 0, None
    there = urlsplit(value)
    auth = (unquote(there.username), unquote(there.password or "")) if there.username else None
    return there.hostname, there.port, auth
