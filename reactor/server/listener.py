"""The server: listening sockets, and the connections that they accept.

What it is: the server's side of RFC 6455 section 4.2, on the same loop, session and
connection as the client's.

What it must not know: what protocol objects do.

How it works. A :class:`Listener` accepts in bounded batches and starts a task for each socket,
which does TLS and the upgrade under one deadline (pipeline.py); a Connection with a
:class:`ServerLifecycle` takes over from there. When the process has no descriptors left, or
``max_connections`` is reached, accepting pauses until a socket is closed (or, for the descriptors,
for a moment): the backlog waits in the kernel, and no client is refused because of it. A client is
counted until its socket is closed, which may be later than the end of its connection, or than a
refusal. Clients that connect and send nothing, or wait for an async ``process_request``, cannot
hold up others: when there are more of them than ``max_handshakes``, the oldest is dropped.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any, Generic, cast

from ..base.addresses import written
from ..base.marks import calls_user_code
from ..base.tracebacks import without_traceback
from ..connection.connection import Connection
from ..connection.handlers import check_protocol
from ..connection.wiretap import handshake_taps
from ..exceptions import CloseCode, WebSocketException
from ..loop.tasks import Task
from ..protocols.frames import OP_CLOSE, serialize
from ..protocols.session import State, check_close
from ..protocols.websocket import WebSocketProtocol
from .decisions import HTTPResponse
from .lifecycle import ServerLifecycle
from .options import ServerOptions
from .pipeline import ServerUpgrade, accept_upgrade

if TYPE_CHECKING:
    from ..connection.connections import Connections
    from ..loop.event_loop import EventLoop
    from ..timers import Timer

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # type checkers know it: it need not be installed

    P = TypeVar("P", bound=WebSocketProtocol, default=WebSocketProtocol)
else:
    from typing import TypeVar

    P = TypeVar("P", bound=WebSocketProtocol)

__all__ = ["Listener"]

logger = logging.getLogger("reactor.server")

#: Connections accepted in one turn: enough for a storm, few enough not to hold up the others.
ACCEPTS_PER_TURN = 64

#: Seconds to wait if the process has no descriptors left.
EXHAUSTED_PAUSE = 0.5

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


TOO_MANY = HTTPResponse(429, body="too many connections from your address\n")


class _NoPortError(ValueError, AttributeError):
    """A unix socket has no port. An AttributeError, too, for ``hasattr`` and ``inspect``."""


class _Handshake:
    """A client whose opening handshake is in progress.

    Args:
        sock: its socket.
        address: what its connections are counted under, if they are.
        peer: the address of its socket.

    Attributes:
        task: runs the handshake; gone when that has ended.
        connection: what it has become, or None.
    """

    __slots__ = ("address", "connection", "peer", "sock", "task")

    task: Task[ServerUpgrade | None]

    def __init__(self, sock: socket.socket, address: str | None, peer: Any) -> None:
        self.sock = sock
        self.address = address
        self.peer = peer
        self.connection: Connection | None = None

    @property
    def client(self) -> str:
        """Its address, as the log shows it."""
        return written(self.peer) or "a client"

    def whose(self) -> str:
        """For whom the task works: see loop/names.py."""
        if self.connection is not None:
            return self.connection.whose()
        return f"the opening handshake of {self.client}"


class Listener(Generic[P]):
    """One listening socket. Created and started by ``Reactor.listen``.

    Generic in the class of its protocol objects: ``Listener[Chat]``.

    Args:
        loop: the event loop; everything here belongs to its thread.
        registry: where connections are listed, see Connection.
        listeners: where this object is listed while it accepts.
        sock: bound and listening, non-blocking.
        factory: returns a protocol object for each open connection.
        options: see ServerOptions.
        unlink: called when the socket is closed; removes the path of a unix socket.

    Attributes:
        connections: the open ones.
    """

    def __init__(
        self,
        loop: EventLoop,
        registry: Connections,
        listeners: set[Listener[Any]],
        sock: socket.socket,
        factory: Callable[[], P],
        options: ServerOptions,
        unlink: Callable[[], object] | None = None,
    ) -> None:
        self._unlink = unlink
        self.sock = sock
        self._address = sock.getsockname()  # now, while it is open: ``address`` may be read later
        #: What its connections are counted under: ``"127.0.0.1:9001"``, or a path.
        self.place = written(self._address)
        self.registry = registry
        self.options = options
        self.connections: set[Connection] = set()
        self._loop = loop
        self._factory = factory
        # In the order of their arrival.
        self._handshakes: dict[_Handshake, None] = {}
        # Clients whose sockets are not closed: all, and by IP address if that is limited.
        self._held = 0
        self._addresses: dict[str, int] = {}
        self._pause: Timer | None = None
        self._closed = False
        self._listeners = listeners
        # For the test kit, which may replace them.
        self._address_of: Callable[[socket.socket, Any], str | None] = _counted_as
        self._made: Callable[[WebSocketProtocol], object] = _nobody_asks

    def start(self) -> None:
        """Accept clients from now on, and enter this object in the list of listeners."""
        self._loop.add_reader(self.sock.fileno(), self._accept)
        self._listeners.add(self)

    @property
    def address(self) -> Any:
        """The address of the socket: ``(host, port, ...)``, or a path."""
        return self._address

    @property
    def port(self) -> int:
        """The port of the socket.

        Raises:
            ValueError: it is a unix socket.
        """
        if isinstance(self.address, tuple):
            return int(self.address[1])
        raise _NoPortError(f"the unix socket {self.address!r} has no port")

    @property
    def protocols(self) -> list[P]:
        """The protocol objects of the open connections; for ``broadcast``.

        If ``process_request`` has chosen other protocol objects (Accept), the list contains those.
        """
        # list() copies in one step: any thread may call this.
        return [cast("P", connection.protocol) for connection in list(self.connections)]

    # -- accepting -----------------------------------------------------------------------

    @property
    def _full(self) -> bool:
        limit = self.options.max_connections
        return limit is not None and self._held >= limit

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            if self._full:
                self._loop.remove_reader(self.sock.fileno())
                return
            try:
                sock, address = self.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                if exc.errno not in EXHAUSTED:
                    raise
                # The kernel would report the backlog again and again: stop watching for a while.
                logger.error("cannot accept a connection: %s", exc)
                self._loop.remove_reader(self.sock.fileno())
                self._pause = self._loop.call_later(EXHAUSTED_PAUSE, self._resume)
                return
            self._start(sock, address)

    def _resume(self) -> None:
        self._pause = None
        if not self._closed and not self._full:
            self._loop.add_reader(self.sock.fileno(), self._accept)

    def _start(self, sock: socket.socket, peer: Any) -> None:
        sock.setblocking(False)
        if not _is_unix(sock):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        address = self._address_of(sock, peer)
        limit = self.options.max_connections_per_address
        refusal = None
        if limit is None:
            address = None
        elif address is not None and (there := self._addresses.get(address, 0)) >= limit:
            if there >= 2 * limit:
                logger.debug("%s: closed: too many connections from there", written(peer))
                sock.close()  # it has had answers; a further one would only help it
                return
            refusal = TOO_MANY
        self._enter(address)
        handshake = _Handshake(sock, address, peer)
        self._handshakes[handshake] = None
        handshake.task = Task(
            self._loop,
            self._upgrade(handshake, refusal),
            lambda upgraded, error: self._upgraded(upgraded, error, handshake),
            whose=handshake.whose,
        )
        if self._too_many_handshakes:
            # Not now: the task has not begun, and the request may have arrived already.
            self._loop.call_soon(self._drop_oldest)

    @property
    def _too_many_handshakes(self) -> bool:
        limit = self.options.max_handshakes
        return limit is not None and len(self._handshakes) > limit

    def _drop_oldest(self) -> None:
        while self._too_many_handshakes:
            oldest = next(iter(self._handshakes))
            logger.info(
                "%s: opening handshake failed: there are more than max_handshakes", oldest.client
            )
            self._drop(oldest)

    async def _upgrade(
        self, handshake: _Handshake, refusal: HTTPResponse | None
    ) -> ServerUpgrade | None:
        dropped = False
        try:
            tap = handshake_taps(self._loop, None)
            upgraded = await accept_upgrade(
                handshake.sock, self.options, refusal, tap, self._loop.host_tasks
            )
        except GeneratorExit:
            dropped = True  # by _drop(), or with a loop that nobody has closed
            raise
        finally:
            if not dropped:
                self._forget(handshake)
        if upgraded is not None and self._closed:  # by process_request
            upgraded.sock.close()
            return None
        return upgraded

    def _forget(self, handshake: _Handshake) -> None:
        """An opening handshake has ended, in whatever way. Idempotent."""
        if handshake in self._handshakes:
            del self._handshakes[handshake]
            del handshake.task  # which knows the handshake
            self.leave(handshake.address)

    def _drop(self, handshake: _Handshake) -> None:
        """End an opening handshake."""
        try:
            handshake.task.cancel()
        finally:  # KeyboardInterrupt and SystemExit of process_request's clean-up pass through
            # If the task had not begun; with TLS, the SSLSocket owns it by now.
            handshake.sock.close()
            self._forget(handshake)

    def _drop_all(self) -> None:
        with ExitStack() as all_of_them:  # whatever one of them raises
            for handshake in reversed(self._handshakes):
                all_of_them.callback(self._drop, handshake)

    @calls_user_code
    def _upgraded(
        self, upgraded: ServerUpgrade | None, error: Exception | None, handshake: _Handshake
    ) -> None:
        self._forget(handshake)  # if process_request has raised GeneratorExit of its own
        if isinstance(error, WebSocketException):
            logger.info(
                "%s: opening handshake failed: %s", handshake.client, without_traceback(error)
            )
        elif error is not None:
            logger.error("%s: exception in the opening handshake", handshake.client, exc_info=error)
        if upgraded is None:
            return
        factory = self._factory if upgraded.protocol is None else upgraded.protocol
        try:
            protocol = factory if isinstance(factory, WebSocketProtocol) else factory()
            check_protocol(protocol)
            self._made(protocol)
        except Exception as exc:
            logger.error("exception in %r", factory, exc_info=exc)
            _apologize(upgraded.sock)
            return
        except BaseException:  # KeyboardInterrupt and SystemExit pass through
            upgraded.sock.close()
            raise
        lifecycle = ServerLifecycle(self, upgraded.head, handshake.address)
        connection = Connection(self._loop, self.registry, upgraded.options, lifecycle, protocol)
        handshake.connection = connection
        self._enter(handshake.address)
        self.connections.add(connection)
        connection.start()
        lifecycle.open(upgraded)

    def connection_over(self, connection: Connection) -> None:
        """One of the connections has ended; its socket may linger on."""
        self.connections.discard(connection)

    # -- counting ------------------------------------------------------------------------

    def _enter(self, address: str | None) -> None:
        self._held += 1
        if address is not None:
            self._addresses[address] = self._addresses.get(address, 0) + 1

    def leave(self, address: str | None) -> None:
        """The socket of a client is closed: there is room for another one."""
        self._held -= 1
        if address is not None:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
        if not self._closed and self._pause is None and self.options.max_connections is not None:
            self._loop.add_reader(self.sock.fileno(), self._accept)

    # -- ending --------------------------------------------------------------------------

    def stop_accepting(self) -> None:
        """Close the listening socket, and drop clients whose handshake is in progress."""
        if self._closed:
            return
        self._closed = True
        self._listeners.discard(self)
        if self._pause is not None:
            self._pause.cancel()
        self._loop.poller.remove(self.sock.fileno())
        self.sock.close()
        if self._unlink is not None:
            self._unlink()
        self._drop_all()

    def let_go(self) -> None:
        """In a forked child: close its copies of the sockets. The path belongs to the parent."""
        self._closed = True
        self.sock.close()
        self._drop_all()

    def close(self, code: int = CloseCode.GOING_AWAY, reason: str = "") -> None:
        """Stop accepting, and close all connections, by default with 1001 (going away)."""
        self.stop_accepting()
        for connection in list(self.connections):
            if connection.state is State.OPEN:
                connection.close(code, reason)


def _apologize(sock: socket.socket) -> None:
    """Close an upgraded connection that cannot be served, with 1011 (internal error)."""
    try:
        sock.send(serialize(OP_CLOSE, check_close(CloseCode.INTERNAL_ERROR), None))
    except OSError:
        pass  # the client has gone
    sock.close()


def _is_unix(sock: socket.socket) -> bool:
    return sock.family == getattr(socket, "AF_UNIX", None)


def _counted_as(sock: socket.socket, peer: Any) -> str | None:
    """Return what the connections of a client are counted under; None: it has no IP address."""
    return None if _is_unix(sock) else _network(peer[0])


def _nobody_asks(protocol: WebSocketProtocol) -> None:
    """Do nothing with a protocol object that was made."""


def _network(address: str) -> str:
    """Return the key for counting connections: one IPv6 client has a whole /64 (RFC 6177)."""
    if ":" not in address:
        return address
    ip = IPv6Address(address.partition("%")[0])
    return str(ip.ipv4_mapped or IPv6Network((ip, 64), strict=False))
