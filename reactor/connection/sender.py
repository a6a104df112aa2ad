"""Sending: the way from the methods that send to the stream.

What it is: :class:`Sender`, which every connection has. It checks what is sent, keeps it in order,
takes it over from other threads, and writes together what one callback sends.

What it must not know: time, input, how a connection begins and ends.

How it works. Output collects in the session while a callback runs. It leaves in one write when the
callback has returned (the loop calls ``flush``), or earlier when it has grown to the cork limit. A
message in fragments makes an outbox (see outbox.py), behind which other messages wait.

Threads: the methods that send check which thread they are on. On another thread than the loop's,
they check what they can, and hand the message over to the loop (see handover.py).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from ..exceptions import (
    CloseCode,
    WebSocketConnectionClosedException,
    WebSocketStateException,
)
from ..protocols.events import OPEN
from ..protocols.frames import OP_BINARY, OP_CLOSE, OP_PING, OP_PONG, OP_TEXT
from ..protocols.rules import check_frame
from ..protocols.session import Role, State, WebSocketSession
from ..protocols.shared import SharedMessage
from .closing import cut_off
from .dispatcher import report
from .handover import check, hand_over, queue_full
from .outbox import Fragments, Message, Outbox
from .phase import ATTACHED, Phase

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Sender", "encode"]

#: Output of this many bytes, or of as many as the high mark, is written during the callback and not
#: after it. So all output above the mark is in the stream's queue, which sees to ``on_writable``.
CORK_LIMIT = 65536


class Sender:
    """The writing half of one connection. See the module.

    Args:
        connection: the connection; its options are set already.

    Attributes:
        outbox: the queue behind a message that is sent in fragments; None without one.
        closing_soon: another thread has asked to close, so it cannot send any more.
        from_threads: bytes on their way from other threads to the loop, see handover.py.
    """

    __slots__ = (
        "_connection",
        "_cork_limit",
        "_corked",
        "_write_limit",
        "closing_soon",
        "from_threads",
        "outbox",
    )

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        options = connection.options
        self._write_limit = options.write_limit
        self._cork_limit = min(CORK_LIMIT, options.water_marks[0])
        self._corked = 0  # bytes in the session's output
        self.from_threads = 0
        self.outbox: Outbox | None = None
        self.closing_soon = False

    def whose(self) -> str:
        """For whom it works: see loop/names.py."""
        return self._connection.whose()

    @property
    def session(self) -> WebSocketSession:
        """The session of the connection. The outbox uses it."""
        return self._connection.session

    @property
    def buffered_amount(self) -> int:
        """How many bytes the user has sent that have not left the process."""
        connection = self._connection
        if connection.phase is not ATTACHED:
            return 0
        outbox = self.outbox
        waiting = 0 if outbox is None else outbox.size
        return self._corked + connection.stream.queued + self.from_threads + waiting

    @property
    def handed_over(self) -> bool:
        """Whether another thread has sent or closed and the loop has not processed it yet."""
        over = self._connection.phase is Phase.OVER
        return self.from_threads > 0 or (self.closing_soon and not over)

    @property
    def unsent(self) -> bool:
        """Whether output is still waiting, or the closing handshake has not ended."""
        connection = self._connection
        closing = connection.phase is ATTACHED and connection.session.state is State.CLOSING
        return closing or self.handed_over or self.buffered_amount > 0 or self.outbox is not None

    # -- methods that may be called from any thread ----------------------------------------

    # Twin: sender_send() in compiled/path.pyx.
    def send(
        self, message: str | bytes | bytearray | memoryview, compress: bool | None = None
    ) -> int:
        """See WebSocketProtocol."""
        connection = self._connection
        loop = connection.loop
        if threading.get_ident() != loop.thread_id or self.outbox is not None:
            return self.send_payload(*encode(message), compress)
        # The rest is what _sendable() and sent() do, without the calls.
        if connection.phase is not ATTACHED:
            self.refuse()
        queued = connection.stream.queued
        if queued >= self._write_limit:
            self.overflowed(queued)
            return 0
        session = connection.session
        size = session.send(message, compress)
        self._corked += size
        if self._corked >= self._cork_limit or not loop.running:
            self.flush()
        elif len(session.output) == 1:
            loop.dirty.append(self)
        return size

    def send_payload(self, opcode: int, payload: bytes, compress: bool | None = None) -> int:
        """Send a message that is encoded already; otherwise as :meth:`send`. Any thread.

        Args:
            opcode: OP_TEXT or OP_BINARY.
            payload: the message; UTF-8 for a text.
            compress: see ``WebSocketProtocol.send``.
        """
        connection = self._connection
        if threading.get_ident() != connection.loop.thread_id:
            check(connection, self)
            hand_over(connection, len(payload), self._send_message, opcode, payload, compress)
        else:
            session = self._sendable()
            if session.state is not OPEN:
                raise _closed()
            self._send_message(opcode, payload, compress)
        return _size_on_wire(connection, len(payload))

    def _send_message(self, opcode: int, payload: bytes, compress: bool | None) -> None:
        if self.outbox is not None:
            self.outbox.add(Message(opcode, payload, compress))
        else:
            self.sent(self._connection.session.send_payload(opcode, payload, compress))

    def send_shared(self, message: SharedMessage) -> None:
        """Send a message that other connections get, too. The loop's thread only.

        Args:
            message: the message; its frame is kept for the other connections.

        Raises:
            WebSocketException: As :meth:`send` does.
        """
        session = self._sendable()
        if self.outbox is not None:
            self.outbox.add(Message(message.opcode, message.payload, message.compress))
        else:
            self.sent(session.send_shared(message))

    def send_fragments(
        self, fragments: Iterable[str] | Iterable[bytes], compress: bool | None = None
    ) -> None:
        """See WebSocketProtocol."""
        if isinstance(fragments, (str, bytes, bytearray, memoryview)):
            kind = type(fragments).__name__
            raise TypeError(f"fragments must be an iterable of str or of bytes, not {kind}")
        message = Fragments(iter(fragments), compress)
        connection = self._connection
        if threading.get_ident() != connection.loop.thread_id:
            check(connection, self)
            hand_over(connection, 0, self._send_fragments, message)
        else:
            self._check_open()
            self._send_fragments(message)

    def _send_fragments(self, message: Fragments) -> None:
        self._fragmenting().add(message)

    def send_fragment(
        self,
        data: str | bytes | bytearray | memoryview,
        fin: bool = False,
        compress: bool | None = None,
    ) -> None:
        """See WebSocketProtocol."""
        connection = self._connection
        if threading.get_ident() != connection.loop.thread_id:
            _opcode, payload = encode(data)
            check(connection, self)
            # The payload is a copy: the caller may change a bytearray after the call.
            unchanged = data if isinstance(data, str) else payload
            hand_over(connection, len(payload), self._send_fragment_later, unchanged, fin, compress)
        else:
            self._check_open()
            self._send_fragment(data, fin, compress)

    def _send_fragment(
        self, data: str | bytes | bytearray | memoryview, fin: bool, compress: bool | None
    ) -> None:
        self._fragmenting().send_fragment(data, fin, compress)

    def _send_fragment_later(
        self, data: str | bytes | bytearray | memoryview, fin: bool, compress: bool | None
    ) -> None:
        try:
            self._send_fragment(data, fin, compress)
        except (TypeError, WebSocketStateException) as exc:
            report(self._connection.protocol, exc)  # the thread that sent it has gone on

    def send_frame(self, opcode: int, payload: bytes, fin: bool = True) -> int:
        """See WebSocketProtocol."""
        if not isinstance(payload, (bytes, bytearray, memoryview)):
            raise TypeError(f"a payload is bytes, not {type(payload).__name__}")
        payload = bytes(payload)
        connection = self._connection
        if threading.get_ident() != connection.loop.thread_id:
            check(connection, self)
            check_frame(opcode, payload, fin)
            hand_over(connection, len(payload), self._send_frame, opcode, payload, fin)
            return _size_on_wire(connection, len(payload))
        session = self._sendable()
        if opcode < OP_CLOSE and self.outbox is not None:
            raise _not_ended()
        size = session.send_frame(opcode, payload, fin)
        self.sent(size)
        return size

    def _send_frame(self, opcode: int, payload: bytes, fin: bool) -> None:
        if opcode < OP_CLOSE and self.outbox is not None:
            report(self._connection.protocol, _not_ended())  # the thread that sent it has gone on
            return
        self.sent(self._connection.session.send_frame(opcode, payload, fin))

    def ping(self, payload: bytes = b"") -> int:
        """See WebSocketProtocol."""
        return self.send_frame(OP_PING, payload)

    def pong(self, payload: bytes = b"") -> int:
        """See WebSocketProtocol."""
        return self.send_frame(OP_PONG, payload)

    # -- checks --------------------------------------------------------------------------

    def _sendable(self) -> WebSocketSession:
        """Return the session if there is one and the write queue is not full; else raise."""
        connection = self._connection
        if connection.phase is not ATTACHED:
            self.refuse()
        queued = connection.stream.queued
        if self.outbox is not None:
            queued += self.outbox.size
        if queued >= self._write_limit:
            self.overflowed(queued)
        return connection.session

    def _check_open(self) -> None:
        if self._sendable().state is not OPEN:
            raise _closed()

    def refuse(self) -> NoReturn:
        """Raise what says why there is nothing to send on."""
        if self._connection.phase is Phase.CONNECTING:
            raise WebSocketStateException("the connection is not open yet")
        self._connection.loop.check_process()
        raise _closed()

    def overflowed(self, queued: int) -> None:
        """Raise, or end the connection: the write queue has reached its limit.

        Args:
            queued: its size in bytes.
        """
        connection = self._connection
        if connection.options.on_overflow != "close":
            # No local variable may hold this exception: it would form a cycle with its traceback,
            # and keep the messages in those frames alive until garbage is collected.
            raise queue_full(connection, queued)
        if connection.session.state is not OPEN:
            raise _closed()
        cut_off(connection, queue_full(connection, queued))

    # -- from the session to the stream --------------------------------------------------

    def sent(self, size: int) -> None:
        """See to the session's output, to which a message was added. The loop's thread only.

        Args:
            size: how many bytes were added.
        """
        self._corked += size
        loop = self._connection.loop
        if self._corked >= self._cork_limit or not loop.running:
            self.flush()
        elif len(self._connection.session.output) == 1:  # it was empty, so no flush is due yet
            loop.dirty.append(self)

    def cork(self) -> None:
        """See to the session's output, to which the session has added frames itself."""
        connection = self._connection
        self._corked = sum(map(len, connection.session.output))
        connection.loop.flush_soon(self)

    def answer(self) -> None:
        """See to the session's output, to which the session has added pongs."""
        connection = self._connection
        stream = connection.stream
        if not stream.queued or self._corked:
            self.cork()
            return
        # The pong overtakes the queue, so that a peer that reads slowly need not wait for it. And
        # a peer that does not read gets only one: RFC 6455 section 5.5.3 allows an endpoint to
        # "send a Pong frame for only the most recently processed Ping frame".
        output = connection.session.output
        stream.write_ahead(output[-1])
        output.clear()

    # Twin: sender_flush() in compiled/path.pyx.
    def flush(self) -> None:
        """Write the session's output. The loop calls this after the callback that sent.

        The connection may have ended since; its stream ignores what is written then.
        """
        connection = self._connection
        output = connection.session.output
        if output:
            data = output[0] if len(output) == 1 else b"".join(output)
            output.clear()
            self._corked = 0
            connection.stream.write(data)

    # -- messages in fragments -----------------------------------------------------------

    def _fragmenting(self) -> Outbox:
        if self.outbox is None:
            connection = self._connection
            self.outbox = Outbox(self, connection.loop, max(connection.options.high_water, 1))
        return self.outbox

    def has_room(self) -> bool:
        """Return whether the write queue is not above its high mark. The outbox asks."""
        high, stream = self._connection.options.high_water, self._connection.stream
        if self._corked + stream.queued > high:
            self.flush()  # only what is in the stream's queue leads to queue_drained()
        return stream.queued <= high

    def outbox_empty(self) -> None:
        """Drop the outbox, which has sent everything."""
        self.outbox = None
        self._connection.reader.catch_up_soon()

    def fragments_failed(self, error: BaseException) -> None:
        """Close the connection: the iterator of a message raised, so the message stays incomplete.

        Args:
            error: what it raised. KeyboardInterrupt and SystemExit are not reported here, since
                the outbox raises them again.
        """
        connection = self._connection
        try:
            if isinstance(error, Exception):
                report(connection.protocol, error)
        finally:  # KeyboardInterrupt and SystemExit of on_error pass through
            connection.close(CloseCode.INTERNAL_ERROR)

    def drop_outbox(self) -> None:
        """Drop all waiting messages: the connection has ended, or is being closed."""
        if self.outbox is not None:
            self.outbox.drop()
            self.outbox = None


def _size_on_wire(connection: Connection, length: int) -> int:
    mask = 4 if connection.session.role is Role.CLIENT else 0
    return 2 + (0 if length < 126 else 2 if length < 65536 else 8) + mask + length


def _closed() -> WebSocketConnectionClosedException:
    return WebSocketConnectionClosedException("Connection is already closed.")


def _not_ended() -> WebSocketStateException:
    return WebSocketStateException("a message in fragments has not ended yet")


def encode(message: str | bytes | bytearray | memoryview) -> tuple[int, bytes]:
    """Return the opcode and the payload of a message.

    Raises:
        TypeError: The message is neither str nor bytes-like.
    """
    if isinstance(message, str):
        return OP_TEXT, message.encode()
    if isinstance(message, (bytes, bytearray, memoryview)):
        return OP_BINARY, bytes(message)
    raise TypeError(f"a message is str or bytes, not {type(message).__name__}")
