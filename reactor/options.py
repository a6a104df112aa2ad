"""Options: everything that can be said about a connection, checked in one place.

What it is: a frozen dataclass for each role. They are made once and shared by every
connection that was opened with the same options; an unknown name is a TypeError, a wrong
value an error that names the option.

What it must not know: who uses them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache, partial
from math import inf
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, TypeVar

from .mistakes import check_called, check_names, check_number
from .protocols.answers import build_response
from .protocols.deflate import Deflate
from .protocols.handshake import (
    HeaderSource,
    check_subprotocols,
    normalize_headers,
)
from .protocols.headers import check_header
from .protocols.http11 import HeadLimits, Request, Response
from .protocols.messages import MessageLimits
from .proxies import parse_proxy
from .timers import Backoff, KeepAlivePolicy
from .transports.proxy import Proxy

if TYPE_CHECKING:
    from .admission import ProcessRequest
    from .url import WebSocketURL

__all__ = [
    "ClientOptions",
    "ConnectionOptions",
    "HandshakeWatch",
    "ServerOptions",
    "plain_origin",
]

#: A value, or a function that is called before every attempt.
TextSource = str | Callable[[], str] | None

O = TypeVar("O", bound="ConnectionOptions")  # noqa: E741 - options


@dataclass(frozen=True, kw_only=True)
class ConnectionOptions:
    """What both roles have.

    Parameters:
        ping_interval: seconds of silence after which a ping is sent; None or 0: no pings.
        ping_timeout: seconds that the peer has for an answer; None: any time.
        ping_payload: what the pings carry; at most 125 bytes.
        ping_when_idle: True: any traffic postpones the ping and counts as an answer. False:
            ping every interval, and only a pong is an answer, as websocket-client does.
        close_timeout: seconds that the peer has to answer our close frame.
        max_message_size: bytes of a message that the peer may send (else close code 1009). A
            compressed text of more than 64 MiB counts what its str takes in memory.
        max_fragments: frames of such a message.
        decode_text: False: text messages go to ``on_data`` as bytes, not decoded or checked.
        fragments: True: messages in several frames go to ``on_data`` frame by frame.
        fragment_size: with ``fragments``: every message of more bytes than this goes to
            ``on_data``, in pieces of about this size as they come; None: a frame is never divided.
            (``max_message_size`` holds for the sum of the pieces.)
        compression: permessage-deflate (RFC 7692): "deflate", or a Deflate; None: none.
        max_head_size, max_header_count: bytes and header lines that the peer's part of the
            opening handshake may have, and a proxy's answer. One line may take all of the bytes.
        write_limit: bytes in the write queue at which ``on_overflow`` applies.
        on_overflow: what becomes of a peer that takes less than it is sent. "raise": at
            ``write_limit``, ``send`` raises WebSocketQueueFullException. "close": it returns 0,
            and the connection ends: ``on_error`` hears of that exception, ``on_close`` of 1006.
            (Other verbs, and other threads, get WebSocketConnectionClosedException.) "pause":
            while the queue is above its high mark, nothing is read, and what was read is not
            delivered; so who answers what comes never gets to the limit. Who sends more than
            that at one go does, and then ``send`` raises.
        high_water, low_water: ``on_writable`` is called when the write queue, having been
            above the first, falls to the second.
    """

    ping_interval: float | None = 20.0
    ping_timeout: float | None = 20.0
    ping_payload: str | bytes = b""
    ping_when_idle: bool = True
    close_timeout: float = 5.0
    max_message_size: int = 16 * 1024 * 1024
    max_fragments: int = 65536
    decode_text: bool = True
    fragments: bool = False
    fragment_size: int | None = None
    compression: Deflate | str | None = None
    max_head_size: int = 65536
    max_header_count: int = 128
    write_limit: int = 16 * 1024 * 1024
    on_overflow: str = "raise"
    high_water: int = 65536
    low_water: int = 16384

    def __post_init__(self) -> None:
        for name in (
            "max_message_size",
            "max_fragments",
            "max_head_size",
            "max_header_count",
            "write_limit",
        ):
            self._check(name, lambda value: value > 0, "greater than 0")
        self._check("close_timeout", lambda value: 0 < value < inf, "greater than 0, and finite")
        self._check("ping_interval", lambda value: value is None or value >= 0, "0 or greater")
        self._check("ping_timeout", lambda value: value is None or value > 0, "greater than 0")
        self._check(
            "fragment_size", lambda value: value is None or value > 0, "None, or greater than 0"
        )
        if self.fragment_size is not None and not self.fragments:
            raise ValueError("fragment_size needs fragments=True")
        self._check("high_water", lambda value: value >= 0, "0 or greater")
        self._check(
            "low_water",
            lambda value: 0 <= value <= self.high_water,
            f"between 0 and high_water={self.high_water}",
        )
        policies = ("raise", "close", "pause")
        if self.on_overflow not in policies:
            raise ValueError(f"on_overflow must be one of {policies}, not {self.on_overflow!r}")
        # Made now, so that a wrong value is an error of the call that gave it.
        _ = self.keep_alive, self.message_limits, self.head_limits, self.deflate

    def _check(self, name: str, valid: Callable[[Any], bool], expected: str) -> None:
        """Raise ValueError for a number, TypeError for what is none."""
        value = getattr(self, name)
        check_number(name, value, expected)
        kind: type[Exception] = ValueError
        try:
            if valid(value):
                return
        except TypeError:
            kind = TypeError
        raise kind(f"{name} must be {expected}, not {value!r}")

    @classmethod
    def of(cls: type[O], given: Mapping[str, Any], where: str) -> O:
        """Return the options of these names and values.

        Raises TypeError for an unknown name, saying *where* it is unknown; and as the class does.
        """
        check_names(given, [option.name for option in fields(cls)], where)
        return cls(**given)

    @cached_property
    def water_marks(self) -> tuple[int, int]:
        """The marks of the write queue. Where reading is paused at the first, it must not be so
        near to the limit that one answer more is too much.
        """
        high = self.high_water
        if self.on_overflow == "pause":
            high = min(high, self.write_limit // 2)
        return high, min(self.low_water, high)

    @cached_property
    def keep_alive(self) -> KeepAlivePolicy | None:
        """The ping policy, shared by all connections with these options; None: no pings."""
        if not self.ping_interval:
            return None
        payload = self.ping_payload
        try:
            return KeepAlivePolicy(
                self.ping_interval,
                self.ping_timeout,
                payload.encode() if isinstance(payload, str) else payload,
                self.ping_when_idle,
            )
        except (ValueError, TypeError) as exc:
            raise type(exc)(f"ping_{exc}") from None

    @cached_property
    def deflate(self) -> Deflate | None:
        """What ``compression`` means."""
        return Deflate.of(self.compression)

    @cached_property
    def message_limits(self) -> MessageLimits:
        """The limits that a session applies."""
        return MessageLimits(self.max_message_size, self.max_fragments)

    @cached_property
    def head_limits(self) -> HeadLimits:
        """The limits of the opening handshake."""
        return HeadLimits(self.max_head_size, self.max_header_count)


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
            None: no limit.
        redirect_limit: how many redirects are followed.
        sslopt: TLS options as websocket-client has them: ``ca_certs``, ``certfile``,
            ``cert_reqs``, ``check_hostname``, ``context``, ...
        sockopt: arguments of ``setsockopt`` calls.
        source_address: local ``(host, port)`` to connect from.
        unix_path: connect to this unix socket instead of the URL's host, without a proxy.
        sock: a connected stream socket to use instead, as it is: for wss:// it speaks TLS already.
            It belongs to the connection from now on. A redirect leads away from it.
        plain_sock: True: for wss:// too, ``sock`` speaks no TLS; something behind it does.
        proxy: the URL of a proxy, ``http://user:password@host:port`` or https, socks4, socks4a,
            socks5, socks5h, or a Proxy; True: as the environment variables say; None or
            False: none. See ``proxies.py``.
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
    redirect_limit: int = 3
    sslopt: Mapping[str, Any] | None = field(default=None, repr=False)
    sockopt: Sequence[tuple[Any, ...]] = ()
    source_address: tuple[str, int] | None = None
    unix_path: str | None = None
    sock: Any = field(default=None, repr=False)
    plain_sock: bool = False
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


@dataclass(frozen=True, kw_only=True)
class ServerOptions(ConnectionOptions):
    """What ``Reactor.listen`` takes. See also :class:`ConnectionOptions`.

    A function of the user that raises costs one client its connection: it is logged, and the
    client gets status 500.

    Parameters:
        ssl: an ``ssl.SSLContext`` for the server's side, or None: no TLS. With ``verify_mode =
            ssl.CERT_REQUIRED`` clients need a certificate; see ``protocol.sock.getpeercert()``.
        process_request: a function ``(request, sock)`` that is called with every complete head
            of a request, before it is looked at: also for what asks for no WebSocket, such as a
            health check. ``request`` has ``method``, ``target`` and ``headers``; ``sock`` is the
            socket, for ``getpeername()`` and ``getpeercert()``. Returns None: go on; an
            HTTPResponse: that is the answer, and the end; or an Accept: go on, with this
            protocol object, these headers, these options for this client.
            It runs on the loop, so it must not block. It may be an ``async def`` that awaits
            the steps of ``reactor.tasks``: ``await in_thread(look_up, token)``; the client waits
            for at most ``handshake_timeout``.
        origins: the origins whose scripts may connect (RFC 6455 section 10.2), others get
            status 403: strings such as "https://app.example", compared without regard to case
            and to a default port (RFC 6454 sections 4 and 5); regular expressions
            (``re.compile``), which must match the whole origin, in lower case; None stands for
            clients that send no Origin, which browsers always do. Default: any origin, or none.
        subprotocols: names that the server speaks, in order of preference; the first that the
            client offers is chosen. Or a function ``(request, offered)`` that returns one of the
            names in ``offered``, or None. Where nothing is chosen the connection opens without a
            subprotocol; whether to stay is up to the client, and to the protocol object.
        response_headers: further headers of the answer that accepts: a dict, a list of pairs or
            of "Name: value" lines, or a function ``(request)`` that returns one.
        handshake_timeout: seconds that a client has from TCP connection to upgrade.
        max_handshakes: clients whose opening handshake may be going on: those that have not sent
            their request, and those that wait for ``process_request``. When there is one more,
            the one that has taken longest is dropped. None: no limit.
        max_connections: connections beyond this number wait in the backlog; None: no limit. A
            connection counts from the TCP connection until its socket is closed.
        max_connections_per_address: connections from one IP address, counted likewise; further
            ones get status 429, and beyond twice the number no answer. None: no limit. Clients
            behind one proxy share its address.
        backlog: connections that the kernel may hold for us.
        reuse_port: let other processes listen on the same port; the kernel shares out the
            clients among them (SO_REUSEPORT).
        unix_mode: permissions of a unix socket, such as 0o660; None: as the umask says.
    """

    ssl: SSLContext | None = field(default=None, repr=False)
    process_request: ProcessRequest | None = None
    origins: Collection[str | re.Pattern[str] | None] | None = None
    subprotocols: Sequence[str] | Callable[[Request, tuple[str, ...]], str | None] = ()
    response_headers: HeaderSource | Callable[[Request], HeaderSource] = field(
        default=None, repr=False
    )
    handshake_timeout: float = 10.0
    max_handshakes: int | None = 4096
    max_connections: int | None = None
    max_connections_per_address: int | None = None
    backlog: int = 4096
    reuse_port: bool = False
    unix_mode: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(
            "handshake_timeout", lambda value: 0 < value < inf, "greater than 0, and finite"
        )
        for name in ("max_handshakes", "max_connections", "max_connections_per_address"):
            self._check(name, lambda value: value is None or value > 0, "None, or greater than 0")
        self._check("backlog", lambda value: value >= 0, "0 or greater")
        self._check(
            "unix_mode", lambda value: value is None or 0 <= value <= 0o777, "None, or 0 to 0o777"
        )
        if self.ssl is not None and not isinstance(self.ssl, SSLContext):
            raise TypeError(f"ssl must be an ssl.SSLContext, not {type(self.ssl).__name__}")
        hook = self.process_request
        if hook is not None and not callable(hook):
            raise TypeError(f"process_request must be a function, not {type(hook).__name__}")
        for name in ("subprotocols", "response_headers"):
            check_called(name, getattr(self, name))
        if not callable(self.subprotocols):
            check_subprotocols(self.subprotocols)
        if not callable(self.response_headers):
            headers = normalize_headers(self.response_headers)
            build_response("", headers=headers)  # what it would refuse is an error of the call
            object.__setattr__(self, "response_headers", headers)
        _ = self.allowed_origins

    @cached_property
    def allowed_origins(
        self,
    ) -> tuple[frozenset[str | None], tuple[re.Pattern[str], ...]] | None:
        """The origins that are named, plain, and the patterns; None: all are allowed."""
        if self.origins is None:
            return None
        if isinstance(self.origins, str) or not isinstance(self.origins, Collection):
            raise TypeError(f"origins is a list of origins, not a {type(self.origins).__name__}")
        exact: set[str | None] = set()
        patterns = []
        for origin in self.origins:
            if isinstance(origin, re.Pattern) and isinstance(origin.pattern, str):
                patterns.append(origin)
            elif origin is None:
                exact.add(None)
            elif not isinstance(origin, str):
                raise TypeError(f"origins has {origin!r}: not a str, re.Pattern of str, or None")
            elif not _ORIGIN.fullmatch(origin):
                raise ValueError(f"origins has {origin!r}, which is not scheme://host[:port]")
            else:
                exact.add(plain_origin(origin))
        return frozenset(exact), tuple(patterns)

    @cached_property
    def changed(self) -> Callable[..., ServerOptions]:
        """A function that returns these options, but for those that it is given by name.

        The same object for the same ones, as long as there are not too many.
        """
        return lru_cache(64)(partial(replace, self))


_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@]*|null")  # RFC 6454 section 7.1


def plain_origin(origin: str) -> str:
    """Return an origin as browsers write it: in lower case, without a default port."""
    origin = origin.lower()
    for scheme, port in (("http://", ":80"), ("https://", ":443")):
        if origin.startswith(scheme):
            return origin.removesuffix(port)
    return origin
