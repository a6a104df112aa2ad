"""The server: ``async with serve(handler, host, port) as server``.

What it is: :class:`serve`, the :class:`Server` that it leads to, and the :class:`ServerConnection`
that handlers are given.

What it must not know: sessions, how requests are answered (hooks.py).

How it works. For every request a face is made, which ``process_request`` may look at and add
attributes to, and which becomes the connection when the client is accepted. A handler is a task
that begins when its connection is open; at its end the connection is closed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Collection, Generator, Sequence
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from ..base.arguments import named, shows
from ..base.mistakes import check_names
from ..exceptions import CloseCode
from ..protocols.deflate import Deflate
from ..protocols.http import http11
from ..protocols.session import State
from ..server.listener import Listener
from .connection import Connection
from .exceptions import ConnectionClosed
from .handlers import Handlers
from .heads import Headers, Request, Response
from .hooks import Handler, Hooks, ProcessRequest, ProcessResponse, SelectSubprotocol
from .hosts import get_host
from .options import Marks, check_path, common_options, marks
from .transport import Transport

if TYPE_CHECKING:
    import re
    from ssl import SSLContext

    from typing_extensions import Unpack  # type checkers know it: it need not be installed

    from ..server.options import ServerArguments
    from .arguments import ServeArguments

__all__ = ["Server", "ServerConnection", "serve", "unix_serve"]

SERVER = "Python reactor"


class ServerConnection(Connection):
    """A connection that a client has opened.

    Attributes:
        server: the server that has accepted it.
    """

    def __init__(self, server: Server, request: Request, sock: socket.socket) -> None:
        super().__init__(server._host, server._marks, server.logger)
        self.server = server
        self.request = request
        self._accepted = sock
        try:
            self._addresses = sock.getsockname(), sock.getpeername()
        except OSError:
            pass  # the client has already disconnected

    def respond(self, status: int, text: str) -> Response:
        """Return an answer that refuses the client; for ``process_request``.

        Args:
            status: of HTTP, such as 403.
            text: the body.
        """
        status = HTTPStatus(status)
        body = text.encode()
        headers = Headers(
            [
                ("Connection", "close"),
                ("Content-Length", str(len(body))),
                ("Content-Type", "text/plain; charset=utf-8"),
            ]
        )
        return Response(status.value, status.phrase, headers, body)

    @property
    def transport(self) -> Transport:
        """See Connection. It is there before the connection is open, too."""
        return Transport(self._protocol, self._socket, self._drop)

    def _socket(self) -> Any:
        return self._accepted

    def _drop(self) -> None:
        if self.state is State.OPEN:
            self._protocol.abort()
        try:
            self._accepted.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has gone already

    def _is_open(self) -> None:
        self.server._opened(self)


class Server:
    """What accepts connections. Made by :class:`serve`.

    Args:
        hooks: what is the user's.
        marks, logger: see Connection.

    Attributes:
        logger: of its connections (Logger).
    """

    def __init__(self, hooks: Hooks, marks: Marks, logger: logging.Logger | None) -> None:
        self._hooks = hooks
        self._marks = marks
        self.logger = logger or logging.getLogger("reactor.asyncio")
        self._host = get_host()
        self._loop = self._host.asyncio_loop
        self._listeners: list[Listener[Handlers]] = []
        self._handlers: dict[ServerConnection, asyncio.Task[None]] = {}
        self._closing: asyncio.Task[None] | None = None
        self._over: asyncio.Future[None] = self._loop.create_future()

    # -- what there is to know -----------------------------------------------------------------

    @property
    def connections(self) -> set[ServerConnection]:
        """The connections that are open."""
        return {each for each in self._handlers if each.state is State.OPEN}

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets; none when it is closed."""
        return tuple(listener.sock for listener in self._listeners if self.is_serving())

    def is_serving(self) -> bool:
        """Whether connections are accepted."""
        return self._closing is None and bool(self._listeners)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the asyncio loop."""
        return self._loop

    # -- clients -------------------------------------------------------------------------------

    def _asked(self, head: http11.Request, sock: socket.socket) -> Any:
        """A request has come: see ServerOptions, process_request."""
        request = Request.of(head)
        face = self._hooks.create_connection(self, request, sock)
        return self._hooks.decide(face, request)

    def _opened(self, connection: ServerConnection) -> None:
        task = self._loop.create_task(self._serve(connection))
        self._handlers[connection] = task
        task.add_done_callback(partial(self._ended, connection))

    async def _serve(self, connection: ServerConnection) -> None:
        try:
            await self._hooks.handler(connection)
        except ConnectionClosed as exc:
            connection.logger.debug("the handler of %r has heard of the end: %s", connection, exc)
            await connection.close()
        except Exception as exc:
            connection.logger.error("exception in the handler of %r", connection, exc_info=exc)
            await connection.close(CloseCode.INTERNAL_ERROR)
        else:
            await connection.close()

    def _ended(self, connection: ServerConnection, task: asyncio.Task[None]) -> None:
        del self._handlers[connection]
        if task.cancelled():
            connection._protocol.close(CloseCode.GOING_AWAY)

    # -- the end -------------------------------------------------------------------------------

    def close(
        self,
        close_connections: bool = True,
        code: int = CloseCode.GOING_AWAY,
        reason: str = "",
    ) -> None:
        """Accept no more connections, and close those that are there. Returns at once; idempotent.

        Args:
            close_connections: False: handlers go on to their own end.
            code, reason: of the close frames.
        """
        if self._closing is None:
            for listener in self._listeners:
                listener.stop_accepting()
            for connection in list(self._handlers) if close_connections else ():
                connection._close(code, reason)
            self._closing = self._loop.create_task(self._until_over())

    async def _until_over(self) -> None:
        try:
            while self._handlers:
                await asyncio.wait(self._handlers.values())
                await asyncio.sleep(0)  # their callbacks take them out
        finally:
            if not self._over.done():
                self._over.set_result(None)

    async def wait_closed(self) -> None:
        """Wait until it is closed, and all handlers have ended."""
        await asyncio.shield(self._over)

    async def start_serving(self) -> None:
        """Do nothing: it accepts from the beginning."""

    async def serve_forever(self) -> None:
        """Wait until it is closed; being cancelled closes it."""
        try:
            await asyncio.shield(self._over)
        finally:
            self.close()
            await self.wait_closed()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()


class serve:  # noqa: N801 - it is called as a function
    """Accept WebSocket connections: ``async with serve(...) as server``, or ``await serve(...)``.

    Args:
        handler: a coroutine function that is called with each ServerConnection. At its end the
            connection is closed: with 1000, or with 1011 where it has raised.
        host: an address or a name, or a list of them; None: all interfaces.
        port: 0 or None lets the system choose: see ``server.sockets``.
        origins: the origins whose scripts may connect; see ServerOptions.
        subprotocols: names that the server speaks, in order of preference.
        compression: "deflate" (default), a Deflate, or None.
        process_request: a function, or coroutine function, ``(connection, request)`` that is called
            before the upgrade. It returns None, or a Response, which refuses the client: see
            ``connection.respond()``. What it sets on the connection, the handler finds there.
        process_response: a function, or coroutine function, ``(connection, request, response)``
            that is called when the client is about to be accepted. It may change
            ``response.headers``, or return another Response.
        select_subprotocol: a function ``(connection, offered)`` that returns one of the names that
            the client offers, or None; if it raises NegotiationError, the client gets status 400.
            None: the first of ``subprotocols`` that the client offers.
        create_connection: makes the connection, from what it is given: a subclass of
            ServerConnection. None: ServerConnection.
        server_header: the Server header; None: none.
        open_timeout: seconds that a client has from TCP connection to upgrade; None: a day.
        ping_interval, ping_timeout, close_timeout, max_size, max_queue, write_limit, logger: see
            connect.
        ssl: an SSLContext; None: no TLS.
        sock: a bound socket to listen on.
        unix_path: the path of a Unix socket to listen on.
        backlog: the number of connections that the kernel may queue.
        reuse_port: let other processes listen on the same port.
        reactor: further options, a dict of those of ``Reactor.listen``: see ServerOptions.

    Raises:
        OSError: When awaited: the address cannot be used.
        ValueError: When awaited: an option cannot be used.
        TypeError: When awaited: an option is of the wrong type, or unknown.
    """

    @shows()
    def __init__(
        self,
        handler: Handler,
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        *,
        origins: Collection[str | re.Pattern[str] | None] | None = None,
        subprotocols: Sequence[str] | None = None,
        compression: Deflate | str | None = "deflate",
        process_request: ProcessRequest | None = None,
        process_response: ProcessResponse | None = None,
        select_subprotocol: SelectSubprotocol | None = None,
        create_connection: Callable[..., ServerConnection] | None = None,
        server_header: str | None = SERVER,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_size: int | tuple[int | None, int | None] | None = 2**20,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_limit: int | tuple[int, int | None] = 2**15,
        logger: logging.Logger | None = None,
        ssl: SSLContext | None = None,
        sock: socket.socket | None = None,
        unix_path: str | os.PathLike[str] | None = None,
        backlog: int = 4096,
        reuse_port: bool = False,
        reactor: ServerArguments | None = None,
        **unknown: NoReturn,
    ) -> None:
        check_names(unknown, [each.name for each in named(serve)], "serve()")
        if isinstance(subprotocols, str):
            raise TypeError("subprotocols must be a list, not a str")
        if sock is not None and not (host is None and port is None):
            raise ValueError("host/port and sock can not be specified at the same time")
        self._hooks = Hooks(
            handler,
            process_request,
            process_response,
            select_subprotocol,
            create_connection or ServerConnection,
        )
        single = host is None or isinstance(host, str)
        self._hosts: list[str | None] = [host] if single else list(host)  # type: ignore[list-item,arg-type]
        self._port = port or 0
        self._marks = marks(max_queue, write_limit)
        self._logger = logger
        self._sock = sock
        self._unix_path = unix_path
        self._options = common_options(
            self._marks, compression, ping_interval, ping_timeout, close_timeout, max_size
        )
        self._options.update(
            origins=origins,
            subprotocols=tuple(subprotocols or ()),
            handshake_timeout=86400.0 if open_timeout is None else open_timeout,
            response_headers=[("Server", server_header)] if server_header else None,
            ssl=ssl,
            backlog=backlog,
            reuse_port=reuse_port,
        )
        self._options.update(reactor or {})
        self._server: Server | None = None

    def __await__(self) -> Generator[Any, None, Server]:
        return self._start().__await__()

    async def _start(self) -> Server:
        reactor = get_host()
        server = Server(self._hooks, self._marks, self._logger)
        options = {**self._options, "process_request": server._asked}
        try:
            for host in self._hosts:
                listener = reactor.listen(
                    host,
                    self._port,
                    _no_protocol,
                    sock=self._sock,
                    unix_path=self._unix_path,
                    **options,
                )
                server._listeners.append(listener)
        except BaseException:
            for listener in server._listeners:
                listener.stop_accepting()
            raise
        return server

    async def __aenter__(self) -> Server:
        self._server = await self
        return self._server

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()


@shows(named(serve, "unix_path"))
def unix_serve(
    handler: Handler, path: str | os.PathLike[str] | None = None, **options: Unpack[ServeArguments]
) -> serve:
    """Accept connections on a Unix socket. See :class:`serve`.

    Args:
        handler: See :class:`serve`.
        path: of the socket; or give ``sock``.
        options: those of :class:`serve`.
    """
    check_path(path, options.get("sock"))
    return serve(handler, unix_path=path, **options)


def _no_protocol() -> Handlers:
    raise AssertionError("process_request gives every client a protocol object")
