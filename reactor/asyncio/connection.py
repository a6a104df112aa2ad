"""A connection, as a task sees it: ``await ws.send(...)``, ``async for message in ws``.

What it is: :class:`Connection`, the base of the client's and the server's class. Each object has a
protocol object, whose handlers pass on what happens to the tasks that wait for it.

What it must not know: how connections are opened.

How it works. What the reactor can do at once is a plain call. Where a task has to wait, it awaits a
future, which a handler resolves: for a message (received.py), for room in the write queue, for a
pong, for the end. These futures are only signals and carry no data, so a task can be cancelled at
any ``await`` and nothing is lost. Handlers run in turns of the reactor, between the steps of tasks.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..exceptions import (
    CloseCode,
    WebSocketConnectionClosedException,
    WebSocketPeerException,
    WebSocketQueueFullException,
    WebSocketStateException,
)
from ..hosting.asyncio import AsyncioHost
from ..protocols.session import State
from .exceptions import Close, CloseFrames, ConnectionClosed, ConnectionClosedOK
from .handlers import Handlers
from .heads import Request, Response
from .options import Marks
from .pieces import SINGLE, as_pieces, convert
from .pings import Pings
from .received import Received
from .transport import Transport

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Connection"]

Data = str | bytes | bytearray | memoryview


class Connection:
    """What clients' and servers' connections have in common. Made by ``connect`` and ``serve``.

    All methods are for the thread of the asyncio loop.

    Args:
        host: the reactor on which it lives, in the asyncio loop.
        marks: where reading and sending wait.
        logger: the logger that :attr:`logger` is; None: "reactor.asyncio".

    Attributes:
        loop: the asyncio loop.
        logger: a logger for the program's own use (Logger).
        request: the head of the client's request.
        response: the head of the server's response; None on the server's side.
    """

    request: Request | None = None
    response: Response | None = None

    def __init__(self, host: AsyncioHost, marks: Marks, logger: logging.Logger | None) -> None:
        self.loop = host.asyncio_loop
        self.logger = logger or logging.getLogger("reactor.asyncio")
        self._high = marks.write_high
        self._received = Received(host, marks)
        self._protocol = self._received.protocol = Handlers(self)
        self._room: asyncio.Future[None] | None = None  # tasks that wait to send await it
        # Resolved when a message that is sent in fragments is complete; None: there is none.
        self._fragmented: asyncio.Future[None] | None = None
        self._pings = Pings(self.loop)
        self._over: asyncio.Future[None] = self.loop.create_future()
        self._error: Exception | None = None  # that the handlers have heard of
        self._left_out: WebSocketQueueFullException | None = None  # of the latest broadcast
        self._sent: Close | None = None  # what close() was given
        self._ending = CloseFrames()
        self._addresses: tuple[Any, Any] = None, None
        self._id: uuid.UUID | None = None

    @property
    def _reactor_subject(self) -> Handlers:
        """See connection/subject.py."""
        return self._protocol

    # -- receiving -----------------------------------------------------------------------------

    async def recv(self, decode: bool | None = None) -> str | bytes:
        """Return the next message: str for text, bytes for binary. Cancelling loses no message.

        Args:
            decode: True: str in any case, decoded as UTF-8. False: bytes in any case. None
                (default): as it came.

        Raises:
            ConnectionClosed: The connection is closed, and all its messages have been returned.
            ConcurrencyError: Another task is waiting for a message.
        """
        message = await self._received.next()
        return message if decode is None else convert(message, decode)

    async def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[str | bytes]:
        """Yield the fragments of the next message; a message in one frame is yielded as it is.

        The iterator must be used up: until then, nothing else can be received.

        Args:
            decode: See :meth:`recv`; a fragment may not be divided within a character then.

        Raises:
            ConnectionClosed: As for :meth:`recv`.
            ConcurrencyError: As for :meth:`recv`.
        """
        received = self._received
        received.begin_pieces()
        within = False
        try:
            fin = False
            while not fin:
                data, fin = await received.next_piece()
                within = not fin
                yield data if decode is None else convert(data, decode)
        finally:
            if not within:
                received.end_pieces()

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield messages until the connection is closed normally.

        Raises:
            ConnectionClosedError: It ended in another way.
        """
        inbox = self._received.inbox
        try:
            while True:
                message = inbox.take()
                if message is None:
                    await inbox
                else:
                    yield message
        except ConnectionClosedOK:
            return

    # -- sending -------------------------------------------------------------------------------

    async def send(
        self,
        message: Data | Iterable[Data] | AsyncIterable[Data],
        text: bool | None = None,
    ) -> None:
        """Send a message; wait while the write queue is above its high mark.

        If sending a message in fragments is cancelled, or its iterable raises, the message cannot
        be completed, and the connection is closed with 1011.

        Args:
            message: str for text; bytes, bytearray or memoryview for binary; or an iterable or
                asynchronous iterable of these, whose items become the fragments.
            text: True: send as text in any case; bytes must be UTF-8. False: send as binary in any
                case.

        Raises:
            ConnectionClosed: The connection is closed, or was closed during the wait.
            TypeError: The message is of another type.
        """
        if text is not None and isinstance(message, SINGLE):
            message = convert(message, text)
        if self._fragmented is not None or self._room is not None:
            await self._wait_for_others()
        protocol = self._protocol
        try:
            protocol.send(message)  # type: ignore[arg-type]
        except TypeError:
            if isinstance(message, SINGLE):
                raise
            await self._send_pieces(message, text)
        except (WebSocketConnectionClosedException, WebSocketStateException):
            await self._refuse()
        if protocol._reactor_connection.stream.above_high:
            await self._wait_for_room()

    async def _send_pieces(self, message: Any, text: bool | None) -> None:
        if isinstance(message, Mapping):
            raise TypeError("a message is no mapping: send its keys, or its text")
        pieces = as_pieces(message, text)
        await self._wait_for_others()
        through = self._fragmented = self.loop.create_future()
        begun = False
        end: Data = ""
        try:
            # Each at once, as who yields them expects; so the end is a fragment of its own.
            async for piece in pieces:
                begun = True
                end = "" if isinstance(piece, str) else b""
                await self._send_piece(piece, False)
            if begun:
                await self._send_piece(end, True)
        except ConnectionClosed:
            raise
        except BaseException:
            if begun:
                self._close(CloseCode.INTERNAL_ERROR, "error in fragmented message")
            raise
        finally:
            self._fragmented = None
            through.set_result(None)

    async def _send_piece(self, piece: Data, fin: bool) -> None:
        if self._room is not None:
            await self._wait_for_room()
        try:
            self._protocol.send_fragment(piece, fin)
        except (WebSocketConnectionClosedException, WebSocketStateException):
            await self._refuse()
        if self._protocol.buffered_amount > self._high:
            await self._wait_for_room()

    async def _wait_for_others(self) -> None:
        """Wait until no message in fragments is being sent, and until there is room."""
        while self._fragmented is not None:
            await asyncio.shield(self._fragmented)
        if self._room is not None:
            await self._wait_for_room()

    async def _wait_for_room(self) -> None:
        while self._protocol.buffered_amount > self._high:
            if self._room is None:
                self._room = self.loop.create_future()
            await asyncio.shield(self._room)
        if self._protocol.state is State.CLOSED:
            raise self._ending.error()

    def _has_room(self) -> None:
        if self._room is not None:
            self._room.set_result(None)
            self._room = None

    async def _refuse(self) -> None:
        """Raise ConnectionClosed when the connection, which is closing, is closed."""
        await asyncio.shield(self._over)
        raise self._ending.error()

    # -- pings ---------------------------------------------------------------------------------

    async def ping(self, data: str | bytes | None = None) -> Awaitable[float]:
        """Send a ping.

        Args:
            data: at most 125 bytes; None: four random ones.

        Returns:
            A future for the latency in seconds: ``latency = await (await ws.ping())``. The pong
            to a later ping answers earlier pings, too. The future raises ConnectionClosed if the
            connection ends first.

        Raises:
            ConnectionClosed: The connection is closed.
            ConcurrencyError: A ping with this payload is waiting for its pong.
        """
        payload = self._pings.check(data.encode() if isinstance(data, str) else data)
        try:
            self._protocol.ping(payload)
        except (WebSocketConnectionClosedException, WebSocketStateException):
            await self._refuse()
        return self._pings.sent(payload)

    async def pong(self, data: str | bytes = b"") -> None:
        """Send an unsolicited pong. Pings are answered automatically.

        Raises:
            ConnectionClosed: The connection is closed.
        """
        try:
            self._protocol.pong(data.encode() if isinstance(data, str) else data)
        except (WebSocketConnectionClosedException, WebSocketStateException):
            await self._refuse()

    # -- the end -------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close it: with 1000, or with 1011 if the block has raised."""
        await self.close(CloseCode.NORMAL if kind is None else CloseCode.INTERNAL_ERROR)

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection, and wait until it is closed. Idempotent.

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999 (RFC 6455 section 7.4).
            reason: at most 123 bytes of UTF-8.

        Raises:
            ValueError: The code is not one of these, or the reason is too long.
        """
        self._close(code, reason)
        await asyncio.shield(self._over)

    def _close(self, code: int, reason: str) -> None:
        open_ = self._protocol.state is State.OPEN
        self._protocol.close(code, reason)
        if open_:
            self._sent = Close(code, reason)

    async def wait_closed(self) -> None:
        """Wait until the connection is closed."""
        await asyncio.shield(self._over)

    def _is_open(self) -> None:
        sock = self._protocol.sock
        try:
            self._addresses = sock.getsockname(), sock.getpeername()
        except OSError:
            pass  # the peer has already disconnected

    def _is_closed(self, code: int, reason: str) -> None:
        """Wake all tasks that wait: the connection is closed."""
        self._ending = self._how_it_ended(code, reason)
        self._received.inbox.end(self._ending.error)
        self._has_room()
        self._pings.end(self._ending.error)
        if not self._over.done():
            self._over.set_result(None)

    def _how_it_ended(self, code: int, reason: str) -> CloseFrames:
        ending = self._protocol.ending
        initiator = "us" if ending is None else ending.initiator
        error = self._error
        if isinstance(error, WebSocketPeerException):
            return CloseFrames(None, Close(error.close_code, str(error)), None, error)
        received = None if code == CloseCode.ABNORMAL else Close(code, reason)
        sent = self._sent
        if sent is None and received is not None:
            # We have answered with the peer's code, or the reactor has closed all connections.
            sent = received if initiator == "peer" else Close(CloseCode.GOING_AWAY)
        both = received is not None and sent is not None
        return CloseFrames(received, sent, initiator == "peer" if both else None, error)

    # -- state ---------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """CONNECTING, OPEN, CLOSING or CLOSED."""
        return self._protocol.state

    @property
    def id(self) -> uuid.UUID:
        """A unique number of this connection, for logs."""
        if self._id is None:
            self._id = uuid.uuid4()
        return self._id

    @property
    def local_address(self) -> Any:
        """The address of our end: ``(host, port)``, ``(host, port, ...)`` or a path."""
        return self._addresses[0]

    @property
    def remote_address(self) -> Any:
        """The address of the peer's end."""
        return self._addresses[1]

    @property
    def transport(self) -> Transport:
        """What asyncio knows of a transport: ``get_extra_info("ssl_object")``, ``abort()``."""
        return Transport(self._protocol, self._socket, self._protocol.abort)

    def _socket(self) -> Any:
        return self._protocol.sock

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was chosen, or None."""
        return self._protocol.subprotocol

    @property
    def latency(self) -> float:
        """Seconds between the latest ping and its pong; 0.0 before the first pong.

        Pings follow silence only: see ``ping_interval``.
        """
        if self._pings.latency is not None:
            return self._pings.latency
        return self._protocol.latency or 0.0

    @property
    def close_code(self) -> int | None:
        """The peer's close code; 1006: no close frame came; None: the connection is not closed."""
        if not self._over.done():
            return None
        received = self._ending.rcvd
        return CloseCode.ABNORMAL if received is None else received.code

    @property
    def close_reason(self) -> str | None:
        """The reason in the peer's close frame; None: the connection is not closed."""
        if not self._over.done():
            return None
        received = self._ending.rcvd
        return "" if received is None else received.reason

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state} {self.remote_address}>"
