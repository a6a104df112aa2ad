"""The options of ``connect``.

What it is: a frozen dataclass. It adds the options for opening a connection to those of every
connection.

What it must not know: how a connection is opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Any, TypedDict

from ..base.mistakes import check_called
from ..connection.options import ConnectionArguments, ConnectionOptions, check_path
from ..protocols.http.handshake import HeaderSource, check_subprotocols
from ..protocols.http.headers import check_header
from ..protocols.http.http11 import Response
from ..timers import Backoff, Pace
from ..transports.proxy import Proxy
from .gate import check_pace
from .proxy_choice import parse_proxy

if TYPE_CHECKING:
    from ..transports.tls.nested import AnySocket
    from .url import WebSocketURL

__all__ = ["ClientArguments", "ClientOptions", "HandshakeWatch", "OpeningArguments"]

#: A value, or a function that is called before every attempt.
TextSource = str | Callable[[], str] | None


class HandshakeWatch:
    """An observer of a connection's opening handshakes, which may add cookies. Subclass it.

    With redirects there are several handshakes, with different hosts. The methods are called on
    the thread that connects.

    Attributes:
        connects_again: whether the observer may open another connection after a failure. The log
            then does not say that no attempt follows.
    """

    connects_again: bool = False

    def connected(self, url: WebSocketURL, sock: AnySocket) -> None:
        """A socket leads to the host of a URL, with TLS if that is wanted; a request follows."""

    def cookie(self, url: WebSocketURL) -> str | None:
        """Return the cookies for a URL, which are sent before those of the options; or None."""

    def request_sent(self, head: bytes) -> None:
        """Called when a request has been sent.

        Args:
            head: the request.
        """

    def response_received(self, url: WebSocketURL, response: Response, head: bytes) -> None:
        """Called when a response has come.

        Args:
            url: the URL that was requested.
            response: the head of the response.
            head: the same head, as the bytes that came.
        """

    def body_received(self, body: bytes) -> None:
        """What is known of the body of a response that refuses has come."""

    def closed(self) -> None:
        """The socket is closed: it was no upgrade, or has failed."""

    def proxy_without_tls(self, proxy: Proxy, error: Exception) -> bool:
        """Return whether to speak plain HTTP to an https proxy that does not speak TLS.

        Args:
            proxy: the proxy, which was found in the environment variables.
            error: what the TLS handshake with it raised.
        """
        return False


@dataclass(frozen=True, kw_only=True)
class ClientOptions(ConnectionOptions):
    """The options of ``Reactor.connect``, in addition to those of :class:`ConnectionOptions`.

    Args:
        header: further headers of the request: a dict, a list of pairs or of "Name: value"
            lines, or a function that returns one and is called before every attempt.
        cookie: value of the Cookie header, or a function that returns it.
        origin: value of the Origin header; default: the server's own origin.
        host: value of the Host header; default: from the URL.
        suppress_origin: send no Origin header.
        suppress_host: send no Host header.
        connection: a whole line, "Connection: ...", that is sent in place of ours.
        subprotocols: names to offer, in order of preference (RFC 6455 section 1.9).
        connect_timeout: seconds for DNS, TCP, TLS, upgrade and redirects together (10); None: no
            limit. The time runs from when the attempt is dialled: see Reactor, max_connecting.
        connect_pace: a Pace that limits the attempts made with it at each host and port, in place
            of the Reactor's ``connect_pace``; None: the Reactor's.
        redirect_limit: how many redirects are followed (3).
        sslopt: TLS options as in websocket-client: ``ca_certs``, ``certfile``, ``cert_reqs``,
            ``check_hostname``, ``context``, ...
        sslkeylogfile: a file to which the secrets of TLS are appended, for Wireshark: whoever has
            it can read everything. None: the environment variable SSLKEYLOGFILE counts.
        sockopt: the arguments of ``setsockopt`` calls.
        source_address: local ``(host, port)`` to connect from.
        unix_path: a unix socket to connect to instead of the URL's host, without a proxy.
        sock: a connected stream socket to use instead, as it is; for wss:// it must speak TLS
            already. It then belongs to the connection. A redirect opens another socket.
        plain_sock: True: ``sock`` need not speak TLS for wss://, since something behind it does.
        start_tls: True: for wss://, TLS is put on ``sock``, if it speaks none yet.
        proxy: the URL of a proxy, ``http://user:password@host:port`` or https, socks4, socks4a,
            socks5, socks5h, or a Proxy; True: as the environment variables say; None or
            False: no proxy. See proxy_choice.py.
        no_proxy: hosts that are reached directly, whatever ``proxy`` says: names with their
            subdomains, addresses, networks, "*". None: for a proxy from the environment, what
            the environment says; else no host.
        proxy_sslopt: TLS options for an https proxy itself, whose certificate must be for its own
            name; default: those of ``sslopt`` except what is meant for the server (``certfile``
            and related ones, ``server_hostname``; a ``context`` is used for both).
        proxy_timeout: seconds for reaching the proxy and for its answer, within
            ``connect_timeout``; None: no separate limit.
        mask_key: a function that is called with the number 4 and returns that many bytes (or
            characters up to U+00FF) to mask a frame with; default: unpredictable bytes, as
            RFC 6455 section 5.3 demands.
        reconnect: a Backoff, a fixed number of seconds, or None: never reconnect. A Retry-After
            of a server that refuses is respected up to the Backoff's cap.
        lenient: True: some harmless violations by a server are accepted: masked frames, lengths
            that are not in their shortest form, extensions that were not offered, and a
            subprotocol when none was offered (both are ignored). False: they end the connection.
        watch: an observer of the opening handshakes; see HandshakeWatch.
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
    sslkeylogfile: str | None = None
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
        if self.sslkeylogfile is not None:
            check_path("sslkeylogfile", self.sslkeylogfile)
            # With the other options that shape a context, so that it has one of its own.
            sslopt = {**(self.sslopt or {}), "keylog_filename": os.fspath(self.sslkeylogfile)}
            object.__setattr__(self, "sslopt", sslopt)
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
        """Check what goes into the request, except for what functions will return."""
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

    @property
    def opens_again(self) -> bool | None:
        """Whether we open the connection again after a loss; None: somebody else may do so."""
        if self.backoff is None and self.watch is not None and self.watch.connects_again:
            return None
        return self.backoff is not None

    @cached_property
    def backoff(self) -> Backoff | None:
        """The reconnect policy, or None."""
        if self.reconnect is None or isinstance(self.reconnect, Backoff):
            return self.reconnect
        return Backoff.fixed(self.reconnect) if self.reconnect else None


class OpeningArguments(TypedDict, total=False):
    """Those of :class:`ClientArguments` that are about opening a connection."""

    header: HeaderSource | Callable[[], HeaderSource]
    cookie: TextSource
    origin: str | None
    host: str | None
    suppress_origin: bool
    suppress_host: bool
    connection: str | None
    subprotocols: Sequence[str]
    connect_timeout: float | None
    connect_pace: Pace | None
    redirect_limit: int
    sslopt: Mapping[str, Any] | None
    sslkeylogfile: str | None
    sockopt: Sequence[tuple[Any, ...]]
    source_address: tuple[str, int] | None
    unix_path: str | None
    sock: Any
    plain_sock: bool
    start_tls: bool
    proxy: Proxy | str | bool | None
    no_proxy: Sequence[str] | None
    proxy_sslopt: Mapping[str, Any] | None
    proxy_timeout: float | None
    mask_key: Callable[[int], bytes | str] | None
    reconnect: Backoff | float | None
    lenient: bool
    watch: HandshakeWatch | None


class ClientArguments(OpeningArguments, ConnectionArguments, total=False):
    """The options of :class:`ClientOptions`, as keyword arguments of a function of one's own.

    ``def mine(url: str, **options: Unpack[ClientArguments]) -> None``
    """
