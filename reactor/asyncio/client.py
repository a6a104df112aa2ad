"""The client: ``async with connect(uri) as ws``, ``await connect(uri)``, ``async for ws in ...``.

What it is: :class:`connect`, and the :class:`ClientConnection` that it leads to.

What it must not know: sessions, sockets.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl as ssl_module
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Sequence
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import ref

from ..base.arguments import named, shows
from ..base.mistakes import check_names
from ..client.options import HandshakeWatch
from ..client.url import parse_url
from ..exceptions import (
    CloseCode,
    WebSocketBadStatusException,
    WebSocketException,
)
from ..protocols.deflate import Deflate
from ..protocols.http.handshake import HeaderSource, normalize_headers
from ..protocols.http.http11 import parse_again
from ..timers import Backoff
from .connection import Connection
from .exceptions import InvalidMessage, InvalidURI, OpenTimeout, opening_error
from .heads import Request, Response
from .hosts import get_host
from .options import check_path, common_options, marks

if TYPE_CHECKING:
    from typing_extensions import Unpack  # type checkers know it: it need not be installed

    from ..client.options import ClientArguments
    from .arguments import ConnectArguments

__all__ = ["ClientConnection", "connect", "process_exception", "unix_connect"]

USER_AGENT = "Python reactor"

#: Statuses of servers that will be well again.
PASSING = frozenset({500, 502, 503, 504})


class ClientConnection(Connection):
    """A connection to a server."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._opened: asyncio.Future[None] = self.loop.create_future()

    def _is_open(self) -> None:
        super()._is_open()
        head = self._protocol.response
        self.response = None if head is None else Response.of(head)
        if not self._opened.done():
            self._opened.set_result(None)

    def _is_closed(self, code: int, reason: str) -> None:
        super()._is_closed(code, reason)
        if not self._opened.done():
            self._opened.set_exception(self._failure())

    def _failure(self) -> Exception:
        """Return why it has not opened."""
        if self._error is None:
            return WebSocketException("the attempt to connect was given up")
        return opening_error(self._error)


class _Watch(HandshakeWatch):
    """Keeps the request."""

    connects_again = True  # in ``async for``; else the user's program may

    def __init__(self, face: ClientConnection) -> None:
        self._face = ref(face)  # it outlives the opening, and a face has its options

    def request_sent(self, head: bytes) -> None:
        """See HandshakeWatch."""
        face = self._face()
        if face is not None:
            face.request = Request.of(parse_again("request", head))


def process_exception(exc: Exception) -> Exception | None:
    """Say whether another attempt is to be made, in ``async for ws in connect(...)``.

    Args:
        exc: why an attempt has failed.

    Returns:
        None for another attempt: after a failure of the network, a time-out, an answer that is cut
        off, or one of the statuses 500, 502, 503 and 504. Otherwise the exception, which is raised.
    """
    if isinstance(exc, WebSocketBadStatusException):
        return None if exc.status_code in PASSING else exc
    if isinstance(exc, InvalidMessage):
        return None if exc.cut_off else exc
    return None if isinstance(exc, (OSError, TimeoutError)) else exc


class connect:  # noqa: N801 - it is called as a function
    """Connect to a WebSocket server.

    ``async with connect(uri) as ws`` closes the connection at the end of the block; ``ws = await
    connect(uri)`` leaves that to you; ``async for ws in connect(uri)`` connects again, with growing
    delays, whenever the body of the loop has ended or has executed ``continue``.

    Args:
        uri: ws:// or wss://.
        origin: the Origin header; None: none.
        subprotocols: names to offer, in order of preference.
        compression: "deflate" (default), a Deflate, or None.
        additional_headers: further headers: a dict, or a list of pairs.
        user_agent_header: the User-Agent header; None: none.
        proxy: True (default): as the environment says; the URL of a proxy; None: none.
        process_exception: see :func:`process_exception`; one of your own.
        open_timeout: seconds until the connection must be open; None: no limit.
        ping_interval: seconds of silence after which a ping is sent; None: no pings.
        ping_timeout: seconds that the peer has for an answer; None: any time.
        close_timeout: seconds that the peer has to answer our close frame.
        max_size: bytes that a message may have; None: any number.
        max_queue: messages that may wait to be received before reading is paused, or a pair of a
            high and a low mark; None: any number.
        write_limit: bytes in the write queue above which ``send`` waits, or such a pair.
        logger: for ``ws.logger``.
        create_connection: makes the connection, from what it is given: a subclass of
            ClientConnection. None: ClientConnection.
        reconnect_delays: for ``async for``: a function that returns an iterable of the seconds to
            wait before each further attempt; when it ends, the last failure is raised. None: up to
            5 s at first, and up to 90 s, growing by 1.6.
        ssl: for wss://: an SSLContext, or True: the default one. None: there is no TLS.
        server_hostname: the name that the certificate must have; None: that of the URI.
        sock: a connected socket to use.
        host, port: where to connect to, in place of what the URI says.
        local_addr: the ``(host, port)`` to connect from.
        unix_path: the path of a Unix socket to connect to.
        reactor: further options, a dict of those of ``Reactor.connect``: see ClientOptions.

    When it is awaited, it may raise these; all but the options' are members of the tree of
    WebSocketException as well.

    Raises:
        InvalidURI: it is no WebSocket URI.
        ValueError, TypeError: an option cannot be used.
        OSError: the TCP connection, or TLS, has failed.
        InvalidHandshake: the server has refused: InvalidStatus with another status than 101,
            InvalidMessage with something else than HTTP.
        TimeoutError: ``open_timeout`` is over.
    """

    @shows()
    def __init__(
        self,
        uri: str,
        *,
        origin: str | None = None,
        subprotocols: Sequence[str] | None = None,
        compression: Deflate | str | None = "deflate",
        additional_headers: HeaderSource = None,
        user_agent_header: str | None = USER_AGENT,
        proxy: str | bool | None = True,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_size: int | tuple[int | None, int | None] | None = 2**20,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_limit: int | tuple[int, int | None] = 2**15,
        logger: logging.Logger | None = None,
        create_connection: Callable[..., ClientConnection] | None = None,
        reconnect_delays: Callable[[], Iterable[float]] | None = None,
        ssl: ssl_module.SSLContext | bool | None = True,
        server_hostname: str | None = None,
        sock: socket.socket | None = None,
        host: str | None = None,
        port: int | None = None,
        local_addr: tuple[str, int] | None = None,
        unix_path: str | None = None,
        reactor: ClientArguments | None = None,
        **unknown: NoReturn,
    ) -> None:
        check_names(unknown, [each.name for each in named(connect)], "connect()")
        if isinstance(subprotocols, str):
            raise TypeError("subprotocols must be a list, not a str")
        self._uri = uri
        self._ssl = ssl
        self._place = host, port
        self._marks = marks(max_queue, write_limit)
        self._logger = logger
        self._process_exception = process_exception
        self._delays = reconnect_delays or _default_delays
        self._create = create_connection or ClientConnection
        self._options = common_options(
            self._marks, compression, ping_interval, ping_timeout, close_timeout, max_size
        )
        headers = list(normalize_headers(additional_headers))
        if user_agent_header and not any(name.lower() == "user-agent" for name, _ in headers):
            headers.append(("User-Agent", user_agent_header))
        self._options.update(
            header=headers,
            origin=origin,
            suppress_origin=origin is None,
            subprotocols=tuple(subprotocols or ()),
            proxy=proxy,
            connect_timeout=open_timeout,
            redirect_limit=10,
            start_tls=True,  # also on a socket that is given
            sslopt=_sslopt(ssl, server_hostname),
            sock=sock,
            source_address=local_addr,
            unix_path=unix_path,
        )
        self._options.update(reactor or {})
        self._connection: ClientConnection | None = None

    def __await__(self) -> Generator[Any, None, ClientConnection]:
        return self._open().__await__()

    async def _open(self) -> ClientConnection:
        self._check_uri()
        options = self._options
        if any(self._place):
            options = {**options, "sock": await self._dial()}
        host = get_host()
        face = self._create(host, self._marks, self._logger)
        host.connect(self._uri, face._protocol, watch=_Watch(face), **options)
        try:
            await face._opened
        except BaseException:
            face._protocol.abort()  # cancelled; else it has ended already
            del face  # it has the exception, whose traceback has this frame
            raise
        return face

    async def _dial(self) -> socket.socket:
        """Connect to a place that is not the URI's."""
        uri = parse_url(self._uri)
        host, port = self._place[0] or uri.host, self._place[1] or uri.port
        loop = asyncio.get_running_loop()
        sock: socket.socket | None = None

        async def connected() -> socket.socket:
            nonlocal sock
            error: OSError | None = None
            for family, kind, protocol, _, address in await loop.getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            ):
                sock = socket.socket(family, kind, protocol)
                sock.setblocking(False)
                try:
                    await loop.sock_connect(sock, address)
                except OSError as exc:
                    sock.close()
                    error = exc
                else:
                    return sock
            raise error or OSError(f"{host} has no address")

        try:
            return await asyncio.wait_for(connected(), self._options["connect_timeout"])
        except BaseException as exc:
            if sock is not None:
                sock.close()
            if isinstance(exc, asyncio.TimeoutError):
                raise OpenTimeout("timed out during opening handshake") from exc
            raise

    def _check_uri(self) -> None:
        try:
            secure = parse_url(self._uri).secure
        except ValueError as exc:
            raise InvalidURI(self._uri, str(exc)) from exc
        if self._ssl is None and secure:
            raise ValueError("ssl=None is incompatible with a wss:// URI")
        if not secure and self._ssl not in (None, True):
            raise ValueError("ssl argument is incompatible with a ws:// URI")

    async def __aenter__(self) -> ClientConnection:
        if self._connection is not None:
            raise RuntimeError("connect() isn't reentrant")
        self._connection = await self
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._connection is not None
        connection, self._connection = self._connection, None
        await connection.close()

    async def __aiter__(self) -> AsyncIterator[ClientConnection]:
        """Yield connections, one after the other, for ever."""
        delays: Iterator[float] | None = None
        while True:
            try:
                connection = await self
            except Exception as exc:
                error = self._process_exception(exc)
                if error is exc:
                    raise
                if error is not None:
                    raise error from exc
                delays = delays or iter(self._delays())
                delay = next(delays, None)
                if delay is None:
                    raise
                logger = self._logger or logging.getLogger("reactor.asyncio")
                logger.info("connecting failed: %s; again in %.1f seconds", exc, delay)
                await asyncio.sleep(delay)
                continue
            delays = None
            try:
                yield connection
            finally:
                await connection.close(CloseCode.NORMAL)


def _default_delays() -> Iterator[float]:
    backoff = Backoff(first=5.0, factor=1.6, cap=90.0)
    for attempt in count():
        yield backoff.delay(attempt) or 0.0


@shows(named(connect, "unix_path"))
def unix_connect(
    path: str | None = None, uri: str | None = None, **options: Unpack[ConnectArguments]
) -> connect:
    """Connect to a server that listens on a Unix socket. See :class:`connect`.

    Args:
        path: of the socket; or give ``sock``.
        uri: what the request is for; None: ws://localhost/, or wss://localhost/ with ``ssl``.
        options: those of :class:`connect`.
    """
    check_path(path, options.get("sock"))
    if uri is None:
        uri = "ws://localhost/" if options.get("ssl") is None else "wss://localhost/"
    return connect(uri, unix_path=path, **options)


def _sslopt(ssl: Any, server_hostname: str | None) -> dict[str, Any] | None:
    sslopt: dict[str, Any] = {}
    if isinstance(ssl, ssl_module.SSLContext):
        sslopt["context"] = ssl
    elif ssl not in (None, True):
        raise TypeError(f"ssl must be an ssl.SSLContext, True or None, not {ssl!r}")
    if server_hostname is not None:
        sslopt["server_hostname"] = server_hostname
    return sslopt or None
