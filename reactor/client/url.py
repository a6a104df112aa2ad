"""WebSocket URLs (RFC 6455 section 3): parsing, and where a redirect leads.

What it is: :func:`parse_url`, which returns a :class:`WebSocketURL`: the host as it is resolved,
the resource as it is sent. Connections with the same URL share one object, so it is parsed once.
:func:`join` follows a redirect.

What it must not know: sockets, options.

How it works. The URL is split as RFC 3986 appendix B does it. urllib.parse.urlsplit is not used,
since it silently drops tabs and line ends, and treats brackets differently from one Python version
to the next.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from urllib.parse import quote, unquote, urljoin

from ..base.addresses import host_and_port
from ..base.printable import printable, quoted, without_secrets
from ..exceptions import WebSocketHandshakeException
from ..transports.dial.names import canonical_host

__all__ = ["WebSocketURL", "join", "parse_authority", "parse_url", "same_origin", "shown_endpoint"]

_DEFAULT_PORTS = {"ws": 80, "wss": 443}
_HTTP_TO_WS = {"http": "ws", "https": "wss"}  # of a redirect

_PARTS = re.compile(r"(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#.*)?")  # after the scheme
_HOST_PORT = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::(.*))?")
_HOST = re.compile(r"[0-9a-z._\-]{1,254}")  # after IDNA; "_" is no host name, but is in use
_ZONE = re.compile(r"[0-9A-Za-z._~\-]{1,64}")
_PORT = re.compile(r"[0-9]{1,5}")
_NOT_IN_URL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_NOT_IN_RESOURCE = re.compile(r"[^\x21-\x7e]+")


@dataclass(frozen=True)
class WebSocketURL:
    """A parsed ws or wss URL.

    Attributes:
        scheme: "ws" or "wss".
        host: the name in ASCII, lower case, with its final dot if there is one; or the IP
            address; an IPv6 address without brackets, with its zone ("fe80::1%eth0").
        port: 1 to 65535.
        resource: path and query as they are sent; begins with "/".
        username: percent-decoded; None if the URL has none.
        password: likewise.
    """

    scheme: str
    host: str
    port: int
    resource: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @cached_property
    def secure(self) -> bool:
        """Whether the connection is over TLS."""
        return self.scheme == "wss"

    @cached_property
    def host_header(self) -> str:
        """The value of the Host header: without the port if it is the scheme's default.

        The zone of an IPv6 address means nothing to the server, and is not sent (RFC 6874
        section 4).
        """
        host = self.host.partition("%")[0]
        return self._with_port(f"[{host}]" if ":" in host else host)

    @cached_property
    def origin(self) -> str:
        """The value of the Origin header that websocket-client sends: the server's own origin."""
        return f"{'https' if self.secure else 'http'}://{self.host_header}"

    def _with_port(self, host: str) -> str:
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """The URL without username, password and query: for people, and for the log."""
        return without_secrets(str(self))

    def __str__(self) -> str:
        """Return the URL without username and password."""
        host = f"[{self.host.replace('%', '%25')}]" if ":" in self.host else self.host
        return f"{self.scheme}://{self._with_port(host)}{self.resource}"


def parse_url(url: str) -> WebSocketURL:
    """Parse a ws:// or wss:// URL.

    Whitespace around the URL and the fragment are dropped. In the resource, characters that a
    request must not contain are percent-encoded. A host name is converted as browsers do it (IDNA
    2008, UTS 46).

    Raises:
        ValueError: It is not such a URL. The message begins as websocket-client's do: "url is
            invalid", "scheme X is invalid", "hostname is invalid"; or with "port X is invalid".
        TypeError: *url* is not a str.
    """
    if not isinstance(url, str):
        raise TypeError(f"url must be str, not {type(url).__name__}")
    # The user and the query may contain secrets, so such URLs are not cached.
    return _parse(url) if "@" in url or "?" in url else _parse_and_keep(url)


def _parse(url: str) -> WebSocketURL:
    url = url.strip(" \t\r\n")
    scheme, colon, rest = url.partition(":")
    if not colon:
        raise ValueError("url is invalid: it has no scheme (ws:// or wss://)")
    if bad := _NOT_IN_URL.search(url):
        raise ValueError(f"url is invalid: it holds {bad[0]!r} at position {bad.start()}")
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise ValueError(f"scheme {printable(scheme)} is invalid: must be ws or wss")
    match = _PARTS.fullmatch(rest)
    assert match is not None  # every text without line ends matches
    authority, path, query = match.groups("")
    host, port, username, password = parse_authority(authority)
    return WebSocketURL(
        scheme=scheme,
        host=host,
        port=port or _DEFAULT_PORTS[scheme],
        resource=_encode_resource(path, query),
        username=username,
        password=password,
    )


_parse_and_keep = lru_cache(maxsize=1024)(_parse)  # many connections to the same place


def parse_authority(text: str) -> tuple[str, int | None, str | None, str | None]:
    """Parse "user:password@host:port" (RFC 3986 section 3.2); all but the host is optional.

    Returns:
        Host, port, username and password as in a WebSocketURL, but None for a missing port.

    Raises:
        ValueError: The text is not valid; see :func:`parse_url`.
    """
    userinfo, _, host_port = text.rpartition("@")
    return *_parse_host_port(host_port), *_parse_userinfo(userinfo)


def _parse_host_port(text: str) -> tuple[str, int | None]:
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        raise ValueError(f"hostname is invalid: {quoted(text)}")
    address, name, port = match.groups()
    if address is None and not name:
        raise ValueError(f"hostname is invalid: {quoted(text)} has none")
    host = _parse_name(name) if address is None else _parse_ipv6(address)
    if not port:  # RFC 3986 section 3.2.3: "host:" means the default port, too
        return host, None
    if not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise ValueError(f"port {printable(port)} is invalid: must be 1 to 65535")
    return host, int(port)


def _parse_name(name: str) -> str:
    try:
        # It may be percent-encoded, as in a redirect to a name that is not ASCII.
        host = canonical_host(unquote(name, errors="strict"))
    except ValueError as exc:
        raise ValueError(f"hostname is invalid: {quoted(name)}: {exc}") from None
    if not _HOST.fullmatch(host):
        raise ValueError(f"hostname is invalid: {quoted(name)}")
    return host


def _parse_ipv6(text: str) -> str:
    address, percent, zone = text.partition("%")
    # RFC 6874: "%25" stands before a zone; a bare "%" is what people type.
    zone = zone.removeprefix("25") if zone != "25" else zone
    try:
        ipaddress.IPv6Address(address)
    except ValueError as error:
        raise ValueError(
            f"hostname is invalid: [{printable(text)}]: {printable(str(error))}"
        ) from None
    if percent and not _ZONE.fullmatch(zone):
        raise ValueError(f"hostname is invalid: [{printable(text)}]: bad zone")
    return address.lower() + percent + zone


def _parse_userinfo(userinfo: str) -> tuple[str | None, str | None]:
    if "\\" in userinfo:
        # Browsers end the host at a backslash, so they would connect to another host than RFC 3986
        # says.
        raise ValueError("url is invalid: it holds a backslash before the hostname")
    if not userinfo:
        return None, None
    username, colon, password = userinfo.partition(":")
    return unquote(username), unquote(password) if colon else None


def _encode_resource(path: str, query: str) -> str:
    # RFC 6455 section 3: the path, "/" if empty, and the query if there is one.
    resource = f"{path or '/'}?{query}" if query else path or "/"
    return _NOT_IN_RESOURCE.sub(lambda bad: quote(bad[0]), resource)


@lru_cache(maxsize=256)  # one text for all connections with a host
def shown_endpoint(host: str, port: int) -> str:
    """Return host and port as connections are counted under them; safe to show."""
    return printable(host_and_port(host, port))


def same_origin(a: WebSocketURL, b: WebSocketURL) -> bool:
    """Return whether credentials for *a* may be sent to *b* (RFC 6454 section 5)."""
    return (a.scheme, a.host, a.port) == (b.scheme, b.host, b.port)


def join(base: WebSocketURL, location: str) -> WebSocketURL:
    """Return where a redirect leads.

    http and https mean ws and wss. Within the same origin, username and password are kept unless
    the location has its own. They are not sent to another origin.

    Args:
        base: the URL that was requested.
        location: value of the Location header, absolute or relative (RFC 9110 section 10.2.2).

    Raises:
        WebSocketHandshakeException: *location* is not a URL to connect to, or it leads from a
            connection with TLS to one without.
    """
    # The head was decoded as latin-1. Percent-encode the bytes that the server sent.
    text = re.sub(r"[\x80-\xff]+", lambda bad: quote(bad[0], encoding="latin-1"), location)
    try:
        # They are joined as http(s), so that "http:path", without a host, is relative as well.
        target = urljoin(str(base).replace("ws", "http", 1), text)
        scheme, colon, rest = target.partition(":")
        url = parse_url(_HTTP_TO_WS.get(scheme.lower(), scheme) + colon + rest)
    except ValueError as error:
        raise WebSocketHandshakeException(
            f"Invalid redirect target {quoted(without_secrets(location))}: {printable(str(error))}"
        ) from None
    if base.secure and not url.secure:
        raise WebSocketHandshakeException(
            f"Invalid redirect target {quoted(without_secrets(location))}: "
            "it leads from wss to ws, without TLS"
        )
    if url.username is None and same_origin(base, url):
        url = replace(url, username=base.username, password=base.password)
    return url
