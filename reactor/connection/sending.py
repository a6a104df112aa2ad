"""Sending: what a connection does with what its user gives it to send.

What it is: the half of a connection that goes from the verbs to the stream: the checks, the
order, what other threads hand over, and the collection of what one callback sends.

What it must not know: time, what comes in, how a connection begins and ends.

How it works. What handlers send collects in the session's output, and leaves in one write when
the running callback is over (``flush``, called by the loop), or earlier when it has grown to
the cork limit. A message in fragments makes an outbox (see there), behind which other messages
wait.

Threads: the verbs check whether they are on the loop's thread; if not they check what can be
checked, raise at once if the connection is closed, and hand over to the loop in the order of
the calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from ..base.locks import ProcessLock
from ..exceptions import (
    CloseCode,
    WebSocketConnectionClosedException,
    WebSocketQueueFullException,
    WebSocketStateException,
)
from ..protocols.events import OPEN
from ..protocols.frames import OP_BINARY, OP_CLOSE, OP_PING, OP_PONG, OP_TEXT
from ..protocols.rules import check_frame
from ..protocols.session import Role, State, WebSocketSession
from ..protocols.shared import SharedMessage
from .dispatcher import report
from .outbox import Fragments, Message, Outbox

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop
    from ..protocols.websocket import WebSocketProtocol
    from ..transports.stream import Stream
    from .options import ConnectionOptions

__all__ = ["Phase", "Sending", "encode"]

#: Output is written during a callback, not after it, when it has grown to this many bytes, or
#: to the high mark: then what is above the mark is in the stream's queue, which sees to
#: ``on_writable``.
CORK_LIMIT = 65536

#: Bytes that something from another thread counts beside its payload, on its way to the loop:
#: what the call takes.
CALL_SIZE = 320

_thread_lock = ProcessLock()


class Phase(IntEnum):
    """See connection.py."""

    CONNECTING = 0
    ATTACHED = 1
    WAITING = 2
    OVER = 3


_ATTACHED: Final = Phase.ATTACHED  # see protocols/events.py on OPEN


class Sending:
    """See the module. Parameters: see Connection."""

    __slots__ = (
        "_cork_limit",
        "_corked",
        "_ending",
        "_from_threads",
        "_loop",
        "_outbox",
        "_phase",
        "_role",
        "_write_limit",
        "options",
        "protocol",
        "session",
        "stream",
    )

    protocol: WebSocketProtocol
    session: WebSocketSession
    stream: Stream

    def __init__(self, loop: EventLoop, options: ConnectionOptions, role: Role) -> None:
        self._loop = loop
        self.options = options
        self._role = role
        self._phase = Phase.CONNECTING
        self._write_limit = options.write_limit
        self._cork_limit = min(CORK_LIMIT, options.water_marks[0])
        self._corked = 0  # bytes in the session's output
        self._from_threads = 0  # bytes on their way from other threads to the loop
        self._outbox: Outbox | None = None  # while there is a message in fragments
        self._ending = False  # another thread has asked for the end: its later sends are too late

    @property
    def state(self) -> State:
        """The state as RFC 6455 has it."""
        if self._phase is Phase.ATTACHED:
            return self.session.state
        return State.CLOSED if self._phase is Phase.OVER else State.CONNECTING

    @property
    def buffered_amount(self) -> int:
        """Bytes that were sent and have not left the process."""
        if self._phase is not _ATTACHED:
            return 0
        outbox = self._outbox
        waiting = 0 if outbox is None else outbox.size
        return self._corked + self.stream.queued + self._from_threads + waiting

    @property
    def handed_over(self) -> bool:
        """Whether another thread has sent or closed, and the loop has not come to it."""
        return self._from_threads > 0 or (self._ending and self._phase is not Phase.OVER)

    @property
    def unsent(self) -> bool:
        """Whether something has still to leave, or a close that was asked for is not through."""
        closing = self._phase is _ATTACHED and self.session.state is State.CLOSING
        return closing or self.handed_over or self.buffered_amount > 0 or self._outbox is not None

    # -- the verbs -----------------------------------------------------------------------

    # Twin: sending_send() in compiled/path.pyx.
    def send(
        self, message: str | bytes | bytearray | memoryview, compress: bool | None = None
    ) -> int:
        """See WebSocketProtocol."""
        loop = self._loop
        if threading.get_ident() != loop.thread_id or self._outbox is not None:
            return self.send_payload(*encode(message), compress)
        # From here to the end: what _sendable() and sent() do, without the calls.
        if self._phase is not _ATTACHED:
            self._refuse()
        if self.stream.queued >= self._write_limit:
            self._overflowed(self.stream.queued)
            return 0
        session = self.session
        size = session.send(message, compress)
        self._corked += size
        if self._corked >= self._cork_limit or not loop.running:
            self.flush()
        elif len(session.output) == 1:
            loop.dirty.append(self)
        return size

    def send_payload(self, opcode: int, payload: bytes, compress: bool | None = None) -> int:
        """As :meth:`send`, with the opcode (OP_TEXT, OP_BINARY) and the payload in bytes."""
        if threading.get_ident() != self._loop.thread_id:
            self._check_from_thread(self.buffered_amount)
            self._hand_over(len(payload), self._send_message, opcode, payload, compress)
        else:
            session = self._sendable()
            if session.state is not OPEN:
                raise _closed()
            self._send_message(opcode, payload, compress)
        return self._size_on_wire(len(payload))

    def _send_message(self, opcode: int, payload: bytes, compress: bool | None) -> None:
        if self._outbox is not None:
            self._outbox.add(Message(opcode, payload, compress))
        else:
            self.sent(self.session.send_payload(opcode, payload, compress))

    def send_shared(self, message: SharedMessage) -> None:
        """Send a message that other connections get, too. The loop's thread only.

        Raises as :meth:`send` does.
        """
        session = self._sendable()
        if self._outbox is not None:
            self._outbox.add(Message(message.opcode, message.payload, message.compress))
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
        if threading.get_ident() != self._loop.thread_id:
            self._check_from_thread(self.buffered_amount)
            self._hand_over(0, self._send_fragments, message)
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
        if threading.get_ident() != self._loop.thread_id:
            _opcode, payload = encode(data)
            self._check_from_thread(self.buffered_amount)
            # A copy of what the caller may go on to change.
            unchanged = data if isinstance(data, str) else payload
            self._hand_over(len(payload), self._send_fragment_later, unchanged, fin, compress)
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
            report(self.protocol, exc)  # whoever sent it has gone on

    def send_frame(self, opcode: int, payload: bytes, fin: bool = True) -> int:
        """See WebSocketProtocol."""
        if not isinstance(payload, (bytes, bytearray, memoryview)):
            raise TypeError(f"a payload is bytes, not {type(payload).__name__}")
        payload = bytes(payload)
        if threading.get_ident() != self._loop.thread_id:
            self._check_from_thread(self.buffered_amount)
            check_frame(opcode, payload, fin)
            self._hand_over(len(payload), self._send_frame, opcode, payload, fin)
            return self._size_on_wire(len(payload))
        session = self._sendable()
        if opcode < OP_CLOSE and self._outbox is not None:
            raise _not_ended()
        size = session.send_frame(opcode, payload, fin)
        self.sent(size)
        return size

    def _send_frame(self, opcode: int, payload: bytes, fin: bool) -> None:
        if opcode < OP_CLOSE and self._outbox is not None:
            report(self.protocol, _not_ended())  # whoever sent it has gone on
            return
        self.sent(self.session.send_frame(opcode, payload, fin))

    def ping(self, payload: bytes = b"") -> int:
        """See WebSocketProtocol."""
        return self.send_frame(OP_PING, payload)

    def pong(self, payload: bytes = b"") -> int:
        """See WebSocketProtocol."""
        return self.send_frame(OP_PONG, payload)

    # -- what forbids it -----------------------------------------------------------------

    def _sendable(self) -> WebSocketSession:
        """Return the session, if there is one and its write queue is not full."""
        if self._phase is not _ATTACHED:
            self._refuse()
        queued = self.stream.queued
        if self._outbox is not None:
            queued += self._outbox.size
        if queued >= self._write_limit:
            self._overflowed(queued)
        return self.session

    def _check_open(self) -> None:
        if self._sendable().state is not OPEN:
            raise _closed()

    def _refuse(self) -> None:
        if self._phase is Phase.CONNECTING:
            raise WebSocketStateException("the connection is not open yet")
        self._loop.check_process()
        raise _closed()

    def _overflowed(self, queued: int) -> None:
        """The write queue has reached its limit: an error, or the end of the connection."""
        if self.options.on_overflow != "close":
            # Without a name for it, which would tie it to its own traceback, and so to all
            # messages of its frames, until somebody collects garbage.
            raise self._queue_full(queued)
        if self.session.state is not OPEN:
            raise _closed()
        self.cut_off(self._queue_full(queued))

    def cut_off(self, error: WebSocketQueueFullException) -> None:
        """End the connection, but not from within the verb that was called."""
        raise AssertionError("the connection does")

    def _queue_full(self, queued: int) -> WebSocketQueueFullException:
        return WebSocketQueueFullException(
            f"the write queue of {self._place} holds {queued} bytes, "
            f"write_limit is {self._write_limit}"
        )

    @property
    def _place(self) -> str:
        """How error messages call this connection."""
        raise AssertionError("the role's subclass says so")

    # -- from the session to the stream --------------------------------------------------

    def sent(self, size: int) -> None:
        """*size* bytes were added to the session's output."""
        self._corked += size
        if self._corked >= self._cork_limit or not self._loop.running:
            self.flush()
        elif len(self.session.output) == 1:  # it was empty, so nobody else has seen to it
            self._loop.dirty.append(self)

    def cork(self) -> None:
        """The session itself has put out frames: answers to what came."""
        self._corked = sum(map(len, self.session.output))
        self._loop.flush_soon(self)

    # Twin: sending_flush() in compiled/path.pyx.
    def flush(self) -> None:
        """Write what has collected. Called by the loop after the callback that sent.

        The connection may have ended meanwhile: its stream takes nothing more then.
        """
        output = self.session.output
        if output:
            data = output[0] if len(output) == 1 else b"".join(output)
            output.clear()
            self._corked = 0
            self.stream.write(data)

    # -- messages in fragments -----------------------------------------------------------

    def _fragmenting(self) -> Outbox:
        if self._outbox is None:
            self._outbox = Outbox(self, self._loop, max(self.options.high_water, 1))
        return self._outbox

    def has_room(self) -> bool:
        """Whether the write queue is below its high mark; for the outbox."""
        if self._corked + self.stream.queued > self.options.high_water:
            self.flush()  # so that the stream says when it has drained
        return self.stream.queued <= self.options.high_water

    def outbox_empty(self) -> None:
        """Nothing waits any longer."""
        self._outbox = None

    def fragments_failed(self, error: Exception) -> None:
        """A message cannot be ended, because of what its iterator raised."""
        try:
            report(self.protocol, error)
        finally:  # KeyboardInterrupt and SystemExit pass through, but the message stays cut
            self.close(CloseCode.INTERNAL_ERROR)

    def close(self, code: int) -> None:
        """See WebSocketProtocol."""
        raise AssertionError("the connection does")

    def _drop_outbox(self) -> None:
        if self._outbox is not None:
            self._outbox.drop()
            self._outbox = None

    # -- from other threads --------------------------------------------------------------

    def _check_from_thread(self, buffered: int) -> None:
        if self._ending or self.state is not OPEN:
            self._refuse()
        if buffered >= self._write_limit:
            if self.options.on_overflow != "close":
                raise self._queue_full(buffered)
            self._hand_over(0, self._overflowed, buffered)
            raise _closed()

    def _hand_over(self, size: int, method: Callable[..., None], *args: Any) -> None:
        """Have the loop call *method*, unless the connection has ended by then."""
        self._count(size + CALL_SIZE)
        self._loop.call_soon_threadsafe(self._handed_over, self.session, size, method, args)

    def _handed_over(
        self, session: WebSocketSession, size: int, method: Callable[..., None], args: Any
    ) -> None:
        self._count(-size - CALL_SIZE)
        # The connection may have ended, and even begun anew, since the call: with a new session.
        if session.state is State.OPEN:
            method(*args)

    def _count(self, size: int) -> None:
        with _thread_lock:
            self._from_threads += size

    def reserve(self, size: int) -> WebSocketSession:
        """Take note of bytes that another thread will hand over with others'. Any thread.

        Returns the session that they are for. Raises as :meth:`send` does. ``send_reserved``
        follows on the loop's thread.
        """
        self._check_from_thread(self.buffered_amount)
        self._count(size + CALL_SIZE)
        return self.session

    def send_reserved(self, session: WebSocketSession, message: SharedMessage) -> None:
        """Send what :meth:`reserve` was for, unless that connection has ended since."""
        self._handed_over(session, len(message.payload), self.send_shared, (message,))

    def _size_on_wire(self, length: int) -> int:
        mask = 4 if self._role is Role.CLIENT else 0
        return 2 + (0 if length < 126 else 2 if length < 65536 else 8) + mask + length


def _closed() -> WebSocketConnectionClosedException:
    return WebSocketConnectionClosedException("Connection is already closed.")


def _not_ended() -> WebSocketStateException:
    return WebSocketStateException("a message in fragments has not ended yet")


def encode(message: str | bytes | bytearray | memoryview) -> tuple[int, bytes]:
    """Return opcode and payload of a message; TypeError for what is none."""
    if isinstance(message, str):
        return OP_TEXT, message.encode()
    if isinstance(message, (bytes, bytearray, memoryview)):
        return OP_BINARY, bytes(message)
    raise TypeError(f"a message is str or bytes, not {type(message).__name__}")
