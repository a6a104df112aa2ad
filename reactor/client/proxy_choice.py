"""The choice of a proxy for a URL: from the options, or from the environment.

What it is: pure functions.

What it must not know: sockets, time, ``os.environ`` (it is passed as an argument).

How it works. The environment variables are those of curl and of Python's urllib: ``https_proxy``
for wss, ``http_proxy`` for ws, ``all_proxy`` for both, and ``no_proxy`` for hosts that are reached
directly. The name in lower case comes first. An empty value counts as not set.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

from ..exceptions import WebSocketProxyException
from ..transports.dial.names import to_ascii
from ..transports.proxy import KINDS, Proxy
from .url import WebSocketURL, parse_authority

__all__ = ["choose_proxy", "no_proxy_of", "parse_proxy"]

# As Chromium reads it: SOCKS 5, and the proxy resolves the names.
_ALIASES = {"socks": "socks5h"}

_NAME_AND_PORT = re.compile(r"(?:\[([^\]]*)\]|([^:]*))(?::([0-9]+))?")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_proxy(url: str) -> Proxy:
    """Parse the URL of a proxy.

    Args:
        url: "scheme://user:password@host:port", with user and password percent-encoded. The
            scheme is http (also if there is none), https (TLS with the proxy), socks4, socks4a,
            socks5, socks5h, or socks, which means socks5h. The port may be left out: 80 for
            http, 443 for https, else 1080. A path is ignored.

    Raises:
        ValueError: It is not such a URL. The message never shows user or password.
        TypeError: It is not a str.
    """
    if not isinstance(url, str):
        raise TypeError(f"proxy must be a URL, not {type(url).__name__}")
    scheme, separator, rest = url.strip().partition("://")
    if not separator:
        scheme, rest = "http", scheme
    scheme = scheme.lower()
    kind = _ALIASES.get(scheme, scheme)
    if kind not in KINDS:
        raise ValueError(
            f"proxy is invalid: its scheme must be one of {', '.join([*KINDS, *_ALIASES])}"
        )
    authority, *path = re.split("[/?#]", rest, maxsplit=1)
    if any("@" in part for part in path):
        raise ValueError("proxy is invalid: '/', '?' or '#' in user or password must be encoded")
    try:
        host, port, username, password = parse_authority(authority)
    except ValueError as exc:
        raise ValueError(f"proxy is invalid: {exc}") from None
    return Proxy(kind, host, port or KINDS[kind], username, password)


def choose_proxy(
    url: WebSocketURL,
    proxy: Proxy | str | bool | None,
    no_proxy: Iterable[str] | None,
    environ: Mapping[str, str],
) -> Proxy | None:
    """Return the proxy for a URL; None: connect directly.

    Args:
        url: the URL to connect to.
        proxy: a proxy or its URL; True: as the environment says; None or False: no proxy.
        no_proxy: hosts that are reached directly, whatever *proxy* says. Each entry is "*" (all
            hosts); a name, which includes its subdomains, with or without a dot in front; an
            address; or a network in CIDR notation. A port behind a name or address (":8080")
            limits the entry to that port. None: for a proxy from the environment, the variable
            ``no_proxy``; else no host.
        environ: the environment variables.

    Raises:
        ValueError: *proxy* is not the URL of a proxy.
        WebSocketProxyException: An environment variable is not the URL of a proxy. The message
            names the variable.
    """
    if proxy is None or proxy is False:
        return None
    if proxy is True:
        variable = _variable(url.secure, environ)
        if variable is None:
            return None
        direct = no_proxy_of(environ) if no_proxy is None else no_proxy
        return None if _is_direct(url, direct) else _parse_variable(variable, environ)
    if no_proxy is not None and _is_direct(url, no_proxy):
        return None
    return proxy if isinstance(proxy, Proxy) else parse_proxy(proxy)


def no_proxy_of(environ: Mapping[str, str]) -> list[str]:
    """Return the entries of the environment variable ``no_proxy``."""
    return (environ.get("no_proxy") or environ.get("NO_PROXY") or "").split(",")


def _variable(secure: bool, environ: Mapping[str, str]) -> str | None:
    """Return the name of the environment variable that applies, or None."""
    own = "https_proxy" if secure else "http_proxy"
    for name in (own, own.upper(), "all_proxy", "ALL_PROXY"):
        if not environ.get(name, "").strip():
            continue
        # In a CGI program, HTTP_PROXY is a header that a client has sent (CVE-2016-1000110).
        if name != "HTTP_PROXY" or "REQUEST_METHOD" not in environ:
            return name
    return None


def _parse_variable(name: str, environ: Mapping[str, str]) -> Proxy:
    try:
        return parse_proxy(environ[name])
    except ValueError as exc:
        raise WebSocketProxyException(f"environment variable {name}: {exc}") from exc


def _is_direct(url: WebSocketURL, entries: Iterable[str]) -> bool:
    """Return whether one of the entries of no_proxy applies to a URL."""
    host = url.host.partition("%")[0].rstrip(".")
    address = _address(host)
    for entry in entries:
        entry = entry.strip().lower()
        if entry == "*" or _matches(entry, host, address, url.port):
            return True
    return False


def _matches(entry: str, host: str, address: _Address | None, port: int) -> bool:
    if "/" in entry:
        return address is not None and _is_in_network(address, entry)
    match = _NAME_AND_PORT.fullmatch(entry)
    if match is None:  # more than one colon: an IPv6 address without brackets
        return address is not None and address == _address(entry)
    if match[3] is not None and int(match[3]) != port:
        return False
    name = match[1] or match[2] or ""
    if address is not None:
        return address == _address(name)
    name = _to_ascii(name.removeprefix("*").strip("."))
    return bool(name) and (host == name or host.endswith("." + name))


def _is_in_network(address: _Address, entry: str) -> bool:
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _address(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _to_ascii(name: str) -> str:
    """Return the name as a WebSocketURL has it, or unchanged if it is not a valid name."""
    try:
        return to_ascii(name)
    except ValueError:
        return name
