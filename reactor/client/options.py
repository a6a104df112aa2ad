"""The options of ``connect``.

What it is: a frozen dataclass, which adds to those of every connection what is needed to open one.

What it must not know: how a connection is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Any

from ..base.mistakes import check_called
from ..connection.options import ConnectionOptions
from ..protocols.http.handshake import HeaderSource, check_subprotocols
from ..protocols.http.headers import check_header
from ..protocols.http.http11 import Response
from ..timers import Backoff, Pace
from ..transports.proxy import Proxy
from .gate import check_pace
from .proxy_choice import parse_proxy

if TYPE_CHECKING:
    from .url import WebSocketURL

__all__ = ["ClientOptions", "HandshakeWatch"]

#: A value, or a function that is called before every attempt.
TextSource = str | Callable[[], str] | None


class HandshakeWatch:
    """Is told of the opening handshakes of a connection, and may add cookies; this one does not.

    With redirects there are several handshakes, with different hosts. The methods are called on
    the thread that connects.
    """

    def cookie(self, url: WebSocketURL) -> str | None:
        """Return cookies for a URL, which go out before those of the options; None for none."""

    def request_sent(self, head: bytes) -> None:
        """A request has gone out."""

    def response_received(self, url: WebSocketURL, response: Response, head: bytes) -> None:
        """A response has come to a request for a URL; *head* is the same as it came."""

    def proxy_without_tls(self, proxy: Proxy, error: Exception) -> bool:
        """Whether to speak plain HTTP to an https proxy of the environment that speaks no TLS."""
        return False


@dataclass(frozen=True, kw_only=True)
class ClientOptions(ConnectionOptions):
    """What ``Reactor.connect`` takes. See also :class:`ConnectionOptions`.

    Parameters:
        header: further headers of the request: a dict, a list of pairs or of "Name: value"
            lines, or a function that returns one and is called before every attempt.
        cookie: value of the Cookie header, or a function.
        origin: value of the Origin header; default: the server's own origin.
        host: value of the Host header; default: from the URL.
        suppress_origin, suppress_host: send no such header.
        connection: a whole line, "Connection: ...", that is sent in place of ours.
        subprotocols: names to offer, in order of preference (RFC 6455 section 1.9).
        connect_timeout: seconds for all of DNS, TCP, TLS, upgrade and redirects together;
            None: no limit. It begins when the attempt is dialled: see Reactor, max_connecting.
        connect_pace: a Pace for the attempts at each host and port that are made with it, in place
            of the Reactor's ``connect_pace``; None: the Reactor's.
        redirect_limit: how many redirects are followed.
        sslopt: TLS options as websocket-client has them: ``ca_certs``, ``certfile``,
            ``cert_reqs``, ``check_hostname``, ``context``, ...
        sockopt: arguments of ``setsockopt`` calls.
        source_address: local ``(host, port)`` to connect from.
        unix_path: connect to this unix socket instead of the URL's host, without a proxy.
        sock: a connected stream socket to use instead, as it is: for wss:// it speaks TLS already.
            It belongs to the connection from now on. A redirect leads away from it.
        plain_sock: True: for wss:// too, ``sock`` speaks no TLS; something behind it does.
        start_tls: True: for wss://, TLS is put on ``sock``, which speaks none yet.
        proxy: the URL of a proxy, ``http://user:password@host:port`` or https, socks4, socks4a,
            socks5, socks5h, or a Proxy; True: as the environment variables say; None or
            False: none. See proxy_choice.py.
        no_proxy: hosts that are reached directly, whatever ``proxy`` says: names with their
            subdomains, addresses, networks, "*". None: for a proxy of the environment what
            the environment says, else none.
        proxy_sslopt: TLS options for an https proxy itself, whose certificate must be for its own
            name; default: those of ``sslopt`` without what is for the server (``certfile`` and
            its kin, ``server_hostname``; a ``context`` serves for both).
        proxy_timeout: seconds for reaching the proxy and for its answer, within
            ``connect_timeout``; None: no limit of its own.
        mask_key: a function that is given the number 4 and returns that many bytes (or
            characters up to U+00FF), to mask a frame with; default: unpredictable ones, as
            RFC 6455 section 5.3 demands.
        reconnect: a Backoff, a fixed number of seconds, or None: never reconnect. A server that
            refuses with Retry-After is heeded up to the Backoff's cap, see there.
        lenient: True: what a server must not do and what harms nobody is let through: masked
            frames, lengths that are not in their shortest form, extensions that were not offered
            and a subprotocol where none was (both are ignored). False: it ends the connection.
        watch: is told of the opening handshakes; see HandshakeWatch.
    """

    header: HeaderSource | Callable[[], HeaderSource] = field(default=None, repr=False)
    cookie: TextSource = field(default=None, repr=False)
    origin: str | None = None
    host: str | None = None
    suppress_origin: bool = False
    suppress_host: bool = False
    connection: str | None = field(default=None, repr=False)
    subprotocols: Sequence[str] = field(default=(), repr=False)  # tokens are handed over there
    connect_timeout: float | None = 10.0
    connect_pace: Pace | None = None
    redirect_limit: int = 3
    sslopt: Mapping[str, Any] | None = field(default=None, repr=False)
    sockopt: Sequence[tuple[Any, ...]] = ()
    source_address: tuple[str, int] | None = None
    unix_path: str | None = None
    sock: Any = field(default=None, repr=False)
    plain_sock: bool = False
    start_tls: bool = False
    proxy: Proxy | str | bool | None = field(default=True, repr=False)
    no_proxy: Sequence[str] | None = None
    proxy_sslopt: Mapping[str, Any] | None = field(default=None, repr=False)
    proxy_timeout: float | None = None
    mask_key: Callable[[int], bytes | str] | None = None
    reconnect: Backoff | float | None = None
    lenient: bool = False
    watch: HandshakeWatch | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("connect_timeout", "proxy_timeout"):
            self._check(
                name,
                lambda value: value is None or 0 < value < inf,
                "None, or greater than 0 and finite",
            )
        check_pace(self.connect_pace)
        self._check("redirect_limit", lambda value: value >= 0, "0 or greater")
        self._check(
            "reconnect",
            lambda value: value is None or isinstance(value, Backoff) or 0 <= value < inf,
            "None, a Backoff (as Backoff()), or 0 or more seconds",
        )
        if isinstance(self.no_proxy, str):
            raise TypeError("no_proxy is a list of hosts, not a str")
        if self.proxy is not None and not isinstance(self.proxy, (bool, Proxy)):
            parse_proxy(self.proxy)
        if self.sock is not None and self.reconnect:
            raise ValueError("reconnect cannot be given with sock, which serves one connection")
        self._check_request()

    def _check_request(self) -> None:
        """Check what goes into the request; what a function will give cannot be known yet."""
        for name in ("header", "cookie", "mask_key"):
            check_called(name, getattr(self, name))
        for name in ("origin", "host", "connection", "cookie"):
            value = getattr(self, name)
            if isinstance(value, str):
                check_header(name.capitalize(), value)
            elif value is not None and not (name == "cookie" and callable(value)):
                raise TypeError(f"{name} must be a str, not {type(value).__name__}")
        check_subprotocols(self.subprotocols)
        if self.mask_key is not None and not callable(self.mask_key):
            raise TypeError(f"mask_key must be a function, not {type(self.mask_key).__name__}")

    @cached_property
    def backoff(self) -> Backoff | None:
        """The reconnect policy, or None."""
        if self.reconnect is None or isinstance(self.reconnect, Backoff):
            return self.reconnect
        return Backoff.fixed(self.reconnect) if self.reconnect else None
