"""The server: listening sockets, and the connections that come in.

What it is: the server's side of RFC 6455 section 4.2, on the same loop, session and
connection as the client's.

What it must not know: what protocol objects do.

How it works. A :class:`Listener` accepts in bounded batches and starts a task for each socket,
which does TLS and the upgrade under one deadline; a :class:`ServerConnection` takes over from
there. When the process has no descriptors left, or ``max_connections`` is reached, accepting
pauses until a connection is over (or, for the descriptors, for a moment): the backlog waits in
the kernel, and nobody is refused for it.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .connection import Connection, check_protocol
from .exceptions import CloseCode, WebSocketException
from .options import ServerOptions
from .protocols.frames import OP_CLOSE, serialize
from .protocols.handshake import (
    RejectedUpgrade,
    UpgradeRequest,
    build_rejection,
    build_response,
    check_request,
)
from .protocols.http11 import HeadError, HeadParser, Request
from .protocols.session import Role, State, check_close
from .tasks import Task, now, wait
from .transports.exchange import read_some, write_all
from .transports.tls import accept_tls

if TYPE_CHECKING:
    from .loop import EventLoop
    from .protocols.websocket import WebSocketProtocol
    from .timers import Timer

__all__ = ["Listener", "ServerConnection"]

logger = logging.getLogger("reactor")

#: Connections accepted in one turn: enough for a storm, few enough for everybody else.
ACCEPTS_PER_TURN = 64

#: Seconds to wait when the process has no descriptors left.
EXHAUSTED_PAUSE = 0.5

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class ServerConnection(Connection):
    """A connection that a client has opened."""

    __slots__ = ("_listener", "_request")

    def __init__(
        self,
        loop: EventLoop,
        listener: Listener,
        protocol: WebSocketProtocol,
        request: Request,
        options: ServerOptions,
    ) -> None:
        super().__init__(loop, listener.registry, options, Role.SERVER)
        self._listener = listener
        self._request = request
        self.protocol = protocol
        protocol._connection = self

    @property
    def url(self) -> str:
        """The target of the client's request."""
        return self._request.target

    @property
    def request(self) -> Request:
        """The client's request."""
        return self._request

    def open(self, sock: socket.socket, leftover: bytes, subprotocol: str | None) -> None:
        """The upgrade is done."""
        self.subprotocol = subprotocol
        self._attach(sock, leftover, self.protocol.on_open)

    def _over(self, code: int, reason: str, error: Exception | None) -> None:
        try:
            super()._over(code, reason, error)
        finally:  # KeyboardInterrupt and SystemExit pass through
            self._listener.connection_over(self)


class Listener:
    """One listening socket. Made by ``Reactor.listen``.

    Parameters:
        loop: the event loop; everything here belongs to its thread.
        registry: where connections are listed, see Connection.
        listeners: where this object is listed while it accepts.
        sock: bound and listening, non-blocking.
        factory: returns a protocol object for each connection that is open.
        options: see ServerOptions.
        unlink: path of the unix socket, to be removed when the listener is closed; or None.

    Attributes:
        connections: those that are open.
    """

    def __init__(
        self,
        loop: EventLoop,
        registry: set[Connection],
        listeners: set[Listener],
        sock: socket.socket,
        factory: Callable[[], WebSocketProtocol],
        options: ServerOptions,
        unlink: str | None = None,
    ) -> None:
        self._unlink = unlink
        self.sock = sock
        self.registry = registry
        self.options = options
        self.connections: set[ServerConnection] = set()
        self._loop = loop
        self._factory = factory
        self._handshakes: dict[Task[Any], socket.socket] = {}
        self._pause: Timer | None = None
        self._closed = False
        self._listeners = listeners
        listeners.add(self)
        loop.add_reader(sock.fileno(), self._accept)

    @property
    def address(self) -> Any:
        """What the socket is bound to: ``(host, port, ...)``, or a path."""
        return self.sock.getsockname()

    @property
    def port(self) -> int:
        """The port that the socket is bound to."""
        return int(self.address[1])

    # -- accepting -----------------------------------------------------------------------

    @property
    def _full(self) -> bool:
        limit = self.options.max_connections
        return limit is not None and len(self.connections) + len(self._handshakes) >= limit

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            if self._full:
                self._loop.remove_reader(self.sock.fileno())
                return
            try:
                sock, _ = self.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                if exc.errno not in EXHAUSTED:
                    raise
                # The kernel would report the backlog again and again: look away for a while.
                logger.error("cannot accept a connection: %s", exc)
                self._loop.remove_reader(self.sock.fileno())
                self._pause = self._loop.call_later(EXHAUSTED_PAUSE, self._resume)
                return
            self._start(sock)

    def _resume(self) -> None:
        self._pause = None
        if not self._closed and not self._full:
            self._loop.add_reader(self.sock.fileno(), self._accept)

    def _start(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if sock.family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handshake = _accept_upgrade(sock, self.options)
        task: Task[Any] = Task(
            self._loop, handshake, lambda result, error: self._upgraded(task, result, error)
        )
        self._handshakes[task] = sock

    def _upgraded(self, task: Task[Any], result: Any, error: Exception | None) -> None:
        del self._handshakes[task]
        if error is not None:
            if not isinstance(error, WebSocketException):
                logger.error("exception in an opening handshake", exc_info=error)
            else:
                logger.info("opening handshake failed: %s", error)
            self._room_again()
            return
        sock, request, leftover, subprotocol = result
        try:
            protocol = self._factory()
            check_protocol(protocol)
        except Exception as exc:
            logger.error("exception in %r", self._factory, exc_info=exc)
            _apologize(sock)
            self._room_again()
            return
        connection = ServerConnection(self._loop, self, protocol, request, self.options)
        self.connections.add(connection)
        connection.open(sock, leftover, subprotocol)

    def connection_over(self, connection: ServerConnection) -> None:
        """One of the connections has ended."""
        self.connections.discard(connection)
        self._room_again()

    def _room_again(self) -> None:
        if not self._closed and self._pause is None and self.options.max_connections is not None:
            self._loop.add_reader(self.sock.fileno(), self._accept)

    # -- ending --------------------------------------------------------------------------

    def stop_accepting(self) -> None:
        """Close the listening socket, and drop clients whose handshake is not done."""
        if self._closed:
            return
        self._closed = True
        self._listeners.discard(self)
        if self._pause is not None:
            self._pause.cancel()
        self._loop.poller.remove(self.sock.fileno())
        self.sock.close()
        if self._unlink is not None:
            try:
                os.unlink(self._unlink)
            except FileNotFoundError:
                pass
        for task, sock in self._handshakes.items():
            task.cancel()
            sock.close()
        self._handshakes.clear()

    def close(self, code: int = CloseCode.GOING_AWAY, reason: str = "") -> None:
        """Stop accepting, and close all connections, by default with 1001 (going away)."""
        self.stop_accepting()
        for connection in list(self.connections):
            if connection.state is State.OPEN:
                connection.close(code, reason)


async def _accept_upgrade(
    sock: socket.socket, options: ServerOptions
) -> tuple[socket.socket, Request, bytes, str | None]:
    """Do TLS and the upgrade on an accepted socket.

    Returns the socket (an ``ssl.SSLSocket`` with TLS), the request, the bytes that came behind
    it, and the subprotocol that was chosen.
    """
    until = await now() + options.handshake_timeout
    name = "the client"
    try:
        if options.ssl is not None:
            sock = await accept_tls(sock, options.ssl, until)
        parser = HeadParser("request", options.head_limits)
        request = None
        try:
            while request is None:
                data = await read_some(sock, until, name)
                if not data:
                    parser.feed_eof()
                request = parser.feed(data)
            upgrade = check_request(request)
        except RejectedUpgrade as exc:
            await _reject(sock, build_rejection(exc.status, None, exc.headers, exc.body), until)
            raise
        except HeadError as exc:
            await _reject(sock, build_rejection(exc.status, body=f"{exc}\n"), until)
            raise
        subprotocol = _choose(options, upgrade)
        await write_all(sock, build_response(upgrade.key, subprotocol), until, name)
        return sock, request, parser.leftover, subprotocol
    except BaseException:
        sock.close()
        raise


async def _reject(sock: socket.socket, answer: bytes, until: float) -> None:
    """Send an answer that ends the connection, and let the client read it.

    Closing a socket with unread bytes in it resets the connection, which can destroy the
    answer on its way: so shut the write side and read until the client has closed.
    """
    until = min(until, await now() + 1.0)
    try:
        await write_all(sock, answer, until, "the client")
        if not isinstance(sock, ssl.SSLSocket):
            sock.shutdown(socket.SHUT_WR)
        # One read a turn, as for everybody else: this client may never stop.
        while await wait(reads=[sock.fileno()], until=until):
            if not await read_some(sock, until, "the client"):
                break
    except (WebSocketException, OSError):
        pass  # the client has gone; why it was rejected is reported


def _apologize(sock: socket.socket) -> None:
    """Close an upgraded connection that nobody will serve, with 1011 (internal error)."""
    try:
        sock.send(serialize(OP_CLOSE, check_close(CloseCode.INTERNAL_ERROR), None))
    except OSError:
        pass  # the client has gone
    sock.close()


def _choose(options: ServerOptions, upgrade: UpgradeRequest) -> str | None:
    for name in options.subprotocols:
        if name in upgrade.subprotocols:
            return name
    return None
