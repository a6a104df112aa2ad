"""The options of ``listen``.

What it is: a frozen dataclass: the options of every connection, and those for accepting one.

What it must not know: how a client's request is answered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from math import inf
from ssl import SSLContext

from ..base.mistakes import check_called
from ..connection.options import ConnectionArguments, ConnectionOptions, check_path
from ..protocols.http.answers import build_response
from ..protocols.http.handshake import HeaderSource, check_subprotocols, normalize_headers
from ..protocols.http.http11 import Request
from .decisions import ProcessRequest

__all__ = ["ServerArguments", "ServerOptions", "plain_origin"]

_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@]*|null")  # RFC 6454 section 7.1


@dataclass(frozen=True, kw_only=True)
class ServerOptions(ConnectionOptions):
    """The options of ``Reactor.listen``. See also :class:`ConnectionOptions`.

    If a function of the user raises, one client loses its connection: the exception is logged, and
    the client gets status 500.

    Args:
        ssl: an ``ssl.SSLContext`` for the server's side, or None: no TLS. With ``verify_mode =
            ssl.CERT_REQUIRED`` clients need a certificate; see ``protocol.sock.getpeercert()``.
        sslkeylogfile: a file to which the secrets of TLS are appended, for Wireshark: whoever has
            it can read everything. The context of ``ssl`` is told of it. None: whatever the context
            says.
        process_request: a function ``(request, sock)`` that is called with every complete head
            of a request, before it is checked: also for requests that do not ask for a WebSocket,
            such as a health check. ``request`` has ``method``, ``target`` and ``headers``; ``sock``
            is the socket, for ``getpeername()`` and ``getpeercert()``. It returns None: go on; an
            HTTPResponse: send this answer, and end the connection; or an Accept: go on, with this
            protocol object, these headers, these options for this client.
            It runs on the loop, so it must not block. It may be an ``async def`` that awaits
            what ``run_in_thread`` returns, the steps of ``reactor.tasks`` and, on an
            ``asyncio_host()``, whatever asyncio has; the client waits for at most
            ``handshake_timeout``.
        origins: the origins whose scripts may connect (RFC 6455 section 10.2); others get
            status 403: strings such as "https://app.example", compared without regard to case
            and to a default port (RFC 6454 sections 4 and 5); regular expressions
            (``re.compile``), which must match the whole origin, in lower case; None stands for
            clients that send no Origin, which browsers always do. Default: any origin, or none.
        subprotocols: the names that the server supports, in order of preference; the first one
            that the client offers is chosen. Or a function ``(request, offered)`` that returns one
            of the names in ``offered``, or None. If none is chosen, the connection opens without a
            subprotocol; the client, or the protocol object, may then close it.
        response_headers: further headers of the answer that accepts: a dict, a list of pairs or
            of "Name: value" lines, or a function ``(request)`` that returns one of these.
        handshake_timeout: seconds that a client has from TCP connection to upgrade.
        max_handshakes: the largest number of opening handshakes in progress: clients that have not
            sent their request, and clients that wait for ``process_request``. When there is one
            more, the oldest is dropped. None: no limit.
        max_connections: connections beyond this number wait in the backlog; None: no limit. A
            connection counts from the TCP connection until its socket is closed.
        max_connections_per_address: connections from one IP address, counted likewise; further
            ones get status 429, and beyond twice the number no answer. None: no limit. Clients
            behind one proxy share its address.
        backlog: the number of connections that the kernel may queue for us.
        reuse_port: let other processes listen on the same port; the kernel distributes the
            clients among them (SO_REUSEPORT).
        unix_mode: permissions of a unix socket, such as 0o660; None: as the umask says.
    """

    ssl: SSLContext | None = field(default=None, repr=False)
    sslkeylogfile: str | None = None
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
        if self.sslkeylogfile is not None:
            check_path("sslkeylogfile", self.sslkeylogfile)
            if self.ssl is None:
                raise ValueError("sslkeylogfile needs ssl, without which nothing is secret")
        hook = self.process_request
        if hook is not None and not callable(hook):
            raise TypeError(f"process_request must be a function, not {type(hook).__name__}")
        for name in ("subprotocols", "response_headers"):
            check_called(name, getattr(self, name))
        if not callable(self.subprotocols):
            check_subprotocols(self.subprotocols)
        if not callable(self.response_headers):
            headers = normalize_headers(self.response_headers)
            build_response("", headers=headers)  # it raises here what it would raise later
            object.__setattr__(self, "response_headers", headers)
        _ = self.allowed_origins

    @cached_property
    def allowed_origins(
        self,
    ) -> tuple[frozenset[str | None], tuple[re.Pattern[str], ...]] | None:
        """The allowed origins, as strings and as patterns; None: all are allowed."""
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
        """A function that returns a copy of these options, changed by the keyword arguments.

        It returns the same object for the same arguments, as long as there are not too many.
        """
        return lru_cache(64)(partial(replace, self))


class ServerArguments(ConnectionArguments, total=False):
    """The options of :class:`ServerOptions`, as keyword arguments: see ClientArguments."""

    ssl: SSLContext | None
    sslkeylogfile: str | None
    process_request: ProcessRequest | None
    origins: Collection[str | re.Pattern[str] | None] | None
    subprotocols: Sequence[str] | Callable[[Request, tuple[str, ...]], str | None]
    response_headers: HeaderSource | Callable[[Request], HeaderSource]
    handshake_timeout: float
    max_handshakes: int | None
    max_connections: int | None
    max_connections_per_address: int | None
    backlog: int
    reuse_port: bool
    unix_mode: int | None


def plain_origin(origin: str) -> str:
    """Return an origin as browsers write it: in lower case, without a default port."""
    origin = origin.lower()
    for scheme, port in (("http://", ":80"), ("https://", ":443")):
        if origin.startswith(scheme):
            return origin.removesuffix(port)
    return origin
