"""Streams: non-blocking byte streams over TCP, unix sockets or TLS.

What it is: the transport of a connection (PEP 3156). It reads when the socket is readable
and hands the bytes up; it writes at once what the kernel takes and queues the rest.

What it must not know: WebSocket; timers.

How it works. A stream owns its socket from the moment it is made, and ends it in one of two
ways: ``close`` (what is queued goes out first, then the write side is shut) and ``abort``.
However it ends, the receiver hears ``connection_lost`` exactly once, from the loop, never
from within a call that it makes itself.

    OPEN --close()--> CLOSING --queue empty, EOF--> CLOSED
     | +-------------abort(), failed read, EOF--------^
     +--failed write--> UNWRITABLE --nothing left-----+

A failed write says that the peer takes nothing any more, not that it has said nothing: its last
messages and its close frame may be in the kernel. So an UNWRITABLE stream reads on, one bounded
read a turn, until the kernel has nothing left, and only then is lost. Where reading is paused,
that waits until it is resumed.

The socket is watched for writing only while something is queued, and for reading only while
reading is not paused. One bounded read is made per readiness, and one bounded amount is taken off
the queue, so that one busy socket cannot starve the others.

:class:`TLSStream` differs in what readiness means: a read may need to write and the other way
round, and bytes that OpenSSL holds already are invisible to the poller.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from enum import IntEnum
from fcntl import ioctl
from socket import SHUT_WR, socket
from termios import TIOCOUTQ
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..exceptions import LOST, WebSocketConnectionClosedException, WebSocketConnectionLostException
from ..poller import bad_descriptor
from . import memory
from .write_queue import WriteQueue

if TYPE_CHECKING:
    from ..loop import EventLoop

__all__ = [
    "Linger",
    "Receiver",
    "Stream",
    "StreamState",
    "TLSStream",
    "describe_loss",
    "make_stream",
]

#: Bytes of one read. Large enough for a burst of small messages and for one of 64 KiB, small
#: enough to be fair; and below 128 KiB, from where on malloc() has the kernel map memory for each.
READ_SIZE = 120 * 1024

#: Bytes that leave the queue in one readiness, or a few more: a write to a socket that takes
#: everything would go on until the queue is empty, however long that is.
WRITE_SIZE = 256 * 1024

#: Bytes of the longest TLS record (RFC 8446 section 5.1).
MAX_RECORD = 16384


class Receiver(Protocol):
    """What a stream tells the one that it works for."""

    def data_received(self, data: bytes) -> None:
        """Bytes came; never empty."""

    def eof_received(self) -> None:
        """The peer will send nothing more. The stream can still write."""

    def queue_drained(self) -> None:
        """The write queue, having been above the high mark, is below the low mark."""

    def connection_lost(self, error: Exception | None) -> None:
        """The stream is closed; *error* is what ended it, None for an orderly end."""


class StreamState(IntEnum):
    """See the module."""

    OPEN = 0
    CLOSING = 1
    CLOSED = 2
    UNWRITABLE = 3


_OPEN: Final = StreamState.OPEN  # looked up with every write: ten times as fast

#: What says "not now". A TLS write may have to read first (TLS 1.2, renegotiation), or a read to
#: write; the next readiness finds that done.
WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Stream:
    """A stream over a connected, non-blocking socket.

    Parameters:
        loop: the event loop. All methods belong to its thread.
        sock: the socket; the stream owns it from now on.
        receiver: who is told.
        high, low: the water marks of the write queue, in bytes.

    Attributes:
        sock: the socket.
        state: see the module.
        queued: bytes in the write queue. An unwritable stream counts what it is given, as if a
            peer took nothing, and keeps none of it.
        above_high: whether ``queue_drained`` is owed.
        progress_at: when the kernel last took something from the queue, by the clock of the
            loop's turns; 0.0: never.
    """

    __slots__ = (
        "_ahead",
        "_draining",
        "_error",
        "_fd",
        "_high",
        "_loop",
        "_low",
        "_queue",
        "_reading",
        "_receiver",
        "_recv",
        "_send",
        "above_high",
        "progress_at",
        "queued",
        "sock",
        "state",
    )

    def __init__(
        self, loop: EventLoop, sock: socket, receiver: Receiver, high: int, low: int
    ) -> None:
        self.sock = sock
        self.state = StreamState.OPEN
        self.queued = 0
        self.above_high = False
        self.progress_at = 0.0
        self._loop = loop
        self._fd = sock.fileno()
        self._receiver = receiver
        self._high = high
        self._low = low
        self._queue: WriteQueue | None = None  # while the kernel does not take everything
        self._ahead: bytes | None = None  # goes out before what is queued
        self._error: OSError | None = None  # of the write that failed
        self._draining = False  # _drain is in the loop's list of calls
        self._reading = False
        self._recv = sock.recv
        self._send: Callable[[Any], int] = sock.send

    # -- reading -------------------------------------------------------------------------

    def start_reading(self) -> None:
        """Begin, or begin again, to read."""
        if self._reading or self.state is StreamState.CLOSED:
            return
        self._reading = True
        if self.state is StreamState.UNWRITABLE:
            self._drain_soon()
        else:
            self._loop.poller.add_reader(self._fd, self._read)

    def pause_reading(self) -> None:
        """Leave what comes in the kernel's buffer."""
        if self._reading:
            self._reading = False
            if self.state is not StreamState.UNWRITABLE:
                self._loop.poller.remove_reader(self._fd)

    def read_now(self) -> bool:
        """Make one read at once; returns whether there was anything, EOF included."""
        if self.state is StreamState.CLOSED:
            return False
        return self._read()

    @property
    def reading(self) -> bool:
        """Whether the socket is watched for reading."""
        return self._reading and self.state is not StreamState.UNWRITABLE

    def set_receiver(self, receiver: Receiver) -> None:
        """Tell somebody else from now on."""
        self._receiver = receiver

    def _read(self) -> bool:
        try:
            data = self._recv(READ_SIZE)
        except WOULD_BLOCK:
            return False
        except OSError as exc:
            self._read_failed(exc)
            return True
        if data:
            self._receiver.data_received(data)
        else:
            self._on_eof()
        return True

    def _read_failed(self, error: OSError) -> None:
        self._fail(self._error or error)

    def _on_eof(self) -> None:
        self.pause_reading()
        if self.state is StreamState.UNWRITABLE or (
            self.state is StreamState.CLOSING and not self.queued
        ):
            self._finish(self._error)
        else:
            self._receiver.eof_received()

    def _drain_soon(self) -> None:
        """Unwritable: read in the next turn, whatever the poller says of such a socket."""
        if not self._draining:
            self._draining = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._draining = False
        if self.state is not StreamState.UNWRITABLE or not self._reading:
            return
        if not self._read():
            self._finish(self._error)
        elif self._reading:
            self._drain_soon()

    # -- writing -------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write *data*, or queue what the kernel does not take.

        An error shows up as ``connection_lost``, not here. After :meth:`close` nothing more
        is taken.
        """
        if self.state is not _OPEN:
            if self.state is StreamState.UNWRITABLE:
                self.queued += len(data)
            return
        if not self.queued:
            try:
                sent = self._send(data)
            except WOULD_BLOCK:
                sent = 0
            except OSError as exc:
                self._write_failed(exc)
                return
            if sent < len(data):
                self._queue_rest(data, sent)
        else:
            assert self._queue is not None
            self._queue.append(data)
            self._count()

    def write_ahead(self, data: bytes) -> None:
        """Write *data*, a control frame, before what is queued, as soon as a frame ends there.

        It takes the place of what was given here before and has not left: a stream keeps at
        most one such frame, and does not count it.
        """
        if self.queued and self.state is _OPEN:
            self._ahead = data
        else:
            self.write(data)

    def backlog(self) -> int:
        """Return how many bytes the kernel holds that the peer's has not acknowledged.

        0 where the system does not tell: it does on Linux, for TCP.
        """
        try:
            answer = ioctl(self._fd, TIOCOUTQ, b"\0\0\0\0")
        except OSError:
            return 0
        return int.from_bytes(answer, sys.byteorder)

    def _queue_rest(self, data: bytes, sent: int) -> None:
        """The kernel has taken *sent* bytes of *data*, and will take more later."""
        self._queue = WriteQueue()
        self._queue.append(data, sent)
        self._count()
        self._loop.poller.add_writer(self._fd, self._on_writable)

    def _count(self) -> None:
        assert self._queue is not None
        self.queued = self._queue.size
        if self.queued > self._high:
            self.above_high = True

    def _on_writable(self) -> None:
        queue = self._queue
        assert queue is not None
        least = queue.size - WRITE_SIZE  # where this turn ends
        try:
            while queue and queue.size > least:
                sent = self._send(queue.first)
                self.progress_at = self._loop.now
                if queue.take(sent) and self._ahead is not None:
                    queue.insert(self._ahead)
                    self._ahead = None
        except WOULD_BLOCK:
            pass
        except OSError as exc:
            self._write_failed(exc)
            return
        self.queued = queue.size
        if not queue:
            self._free_queue()
            self._loop.poller.remove_writer(self._fd)
            if self.state is StreamState.CLOSING:
                self._shut_down()
                return
        if self.above_high and self.queued <= self._low:
            self.above_high = False
            self._receiver.queue_drained()

    def drop_queue(self) -> None:
        """Forget what is queued, but for the piece that comes first: it may have begun."""
        if self._queue is not None:
            self._queue.keep_first()
            self.queued = self._queue.size

    def _free_queue(self) -> None:
        self._ahead = None
        if self._queue is not None:
            most = self._queue.most
            self._queue = None
            memory.released(most)

    def _write_failed(self, error: OSError) -> None:
        """The peer takes nothing any more. What it has said before is still read."""
        if self.state is not _OPEN:
            self._fail(error)  # nobody listens any longer
            return
        self.state = StreamState.UNWRITABLE
        self._error = error
        self._free_queue()
        self._loop.poller.remove(self._fd)
        if self._reading:
            self._drain_soon()

    # -- ending --------------------------------------------------------------------------

    def close(self) -> None:
        """Write what is queued, shut the write side, and wait for the peer's EOF.

        What the peer sends meanwhile is still handed up. Whoever calls has a timer for peers
        that never come to an end, and calls :meth:`abort` then.
        """
        if self.state is StreamState.OPEN:
            self.state = StreamState.CLOSING
            if not self.queued:
                self._shut_down()
        elif self.state is StreamState.UNWRITABLE:
            self._fail(self._error)

    def _shut_down(self) -> None:
        """Half-close: the peer sees EOF after our last byte, and we can wait for its own.

        Closing at once instead, with unread bytes in the kernel's buffer, would make it send
        a reset, which may overtake our last frame.
        """
        try:
            self.sock.shutdown(SHUT_WR)
        except OSError:
            self._fail(None)  # the peer was faster
            return
        self.start_reading()

    def abort(self) -> None:
        """Close the socket now. ``connection_lost(None)`` follows."""
        self._fail(None)

    def _fail(self, error: Exception | None) -> None:
        """Close the socket; tell the receiver in the loop's next batch of calls."""
        if self.state is StreamState.CLOSED:
            return
        self._release()
        self._loop.call_soon(self._tell_lost, error)

    def _tell_lost(self, error: Exception | None) -> None:
        self._receiver.connection_lost(error)

    def _finish(self, error: Exception | None) -> None:
        """The same, called by the loop itself: the receiver is told at once."""
        self._release()
        self._receiver.connection_lost(error)

    def _release(self) -> None:
        if self.state is not StreamState.UNWRITABLE:  # else the poller has let go of it
            self._loop.poller.remove(self._fd)  # before the close: see poller.py
        self.state = StreamState.CLOSED
        self._reading = False
        self._free_queue()
        self.queued = 0
        self.sock.close()


class TLSStream(Stream):
    """The same over an ``ssl.SSLSocket`` whose handshake is done."""

    __slots__ = ("_pending",)

    #: Reads of one readiness.
    RECORDS_PER_READ = 4

    sock: ssl.SSLSocket

    def __init__(
        self, loop: EventLoop, sock: ssl.SSLSocket, receiver: Receiver, high: int, low: int
    ) -> None:
        super().__init__(loop, sock, receiver, high, low)
        plain = type(sock) is ssl.SSLSocket and hasattr(sock, "_sslobj")
        engine: Any = _Engine(sock) if plain else sock
        self._recv = engine.recv
        self._send = engine.send
        self._pending: Callable[[], int] = engine.pending

    def _read(self) -> bool:
        chunks: list[bytes] = []
        failure: OSError | None = None
        for _ in range(self.RECORDS_PER_READ):
            try:
                data = self._recv(READ_SIZE)
            except WOULD_BLOCK:
                break
            except OSError as exc:
                failure = exc
                break
            if not data:
                failure = ssl.SSLEOFError()
                break
            chunks.append(data)
            if len(data) < MAX_RECORD and not self._pending():
                break
        if chunks:
            self._receiver.data_received(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        self._after_read(failure)
        return bool(chunks) or failure is not None

    def _after_read(self, failure: OSError | None) -> None:
        """See to what ended the reads, and to what they have left."""
        if self.state is StreamState.CLOSED:
            return
        if isinstance(failure, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            self._on_eof()
        elif failure is not None:
            self._read_failed(failure)
        elif self._pending() and self.state is not StreamState.UNWRITABLE:
            # OpenSSL holds bytes that the poller cannot see: come back in the next turn.
            self._loop.call_soon(self._read_pending)

    def _shut_down(self) -> None:
        """Send close_notify (RFC 8446 section 6.1) and wait for the peer's.

        Not ``shutdown()``: on an SSLSocket it takes the TLS layer off as well, and what
        comes after would be read as plain text.
        """
        try:
            self.sock.unwrap()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            self.start_reading()
        except ssl.SSLError:
            self.start_reading()  # data is still unread: the peer's EOF will come behind it
        except (OSError, ValueError):
            self._fail(None)  # the peer was faster
        else:
            self._fail(None)  # both sides have said goodbye

    def _read_pending(self) -> None:
        if self._reading and self._pending():
            self._read()

    def start_reading(self) -> None:
        super().start_reading()
        if self.state is not StreamState.CLOSED and self._pending():
            self._loop.call_soon(self._read_pending)


class _Engine:
    """What is inside of an SSLSocket, without the Python methods around it: three for a message.

    It is asked for with every call, since it is gone when somebody else has closed the socket, and
    would go on to read and write by the number of its descriptor.
    """

    __slots__ = ("_sock",)

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def recv(self, size: int) -> bytes:
        engine = self._sock._sslobj
        if engine is None:
            raise bad_descriptor()
        data: bytes = engine.read(size)
        return data

    def send(self, data: Any) -> int:
        engine = self._sock._sslobj
        if engine is None:
            raise bad_descriptor()
        sent: int = engine.write(data)
        return sent

    def pending(self) -> int:
        engine = self._sock._sslobj
        return 0 if engine is None else engine.pending()


def make_stream(loop: EventLoop, sock: socket, receiver: Receiver, high: int, low: int) -> Stream:
    """Return the stream for *sock*: a TLSStream for an ``ssl.SSLSocket``."""
    if isinstance(sock, ssl.SSLSocket):
        return TLSStream(loop, sock, receiver, high, low)
    return Stream(loop, sock, receiver, high, low)


def describe_loss(error: Exception | None) -> WebSocketConnectionClosedException:
    """Return the public exception for a connection that ended without a close frame."""
    if error is None:
        return WebSocketConnectionClosedException(LOST)
    text = f"{LOST} ({error})"
    if isinstance(error, ConnectionError):
        # Is a ConnectionResetError as well, for which programs look in on_error.
        lost: WebSocketConnectionClosedException = WebSocketConnectionLostException(
            text, error.errno
        )
    else:
        lost = WebSocketConnectionClosedException(text)
    lost.__cause__ = error
    return lost


class Linger:
    """Sees a stream to its end when nobody is interested in it any more.

    The close frame may still be queued, and the peer may still be sending: the socket is
    closed when both are through, after *timeout* seconds, or with the loop.

    Parameters:
        loop: the event loop.
        stream: the stream.
        timeout: seconds.
        when_closed: called once when the socket is closed; at once if it is already.
    """

    __slots__ = ("_loop", "_stream", "_timer", "_when_closed")

    def __init__(
        self,
        loop: EventLoop,
        stream: Stream,
        timeout: float,
        when_closed: Callable[[], object] | None = None,
    ) -> None:
        self._loop = loop
        self._stream = stream
        self._when_closed = when_closed
        self._timer = loop.call_later(timeout, stream.abort)
        loop.lingering.add(self)
        stream.set_receiver(self)
        stream.close()
        if stream.state is StreamState.CLOSED:
            self._forget()

    def abort(self) -> None:
        """End it now."""
        self._stream.abort()
        self._forget()

    @property
    def unsent(self) -> bool:
        """Whether something has still to leave."""
        return self._stream.queued > 0

    def let_go(self) -> None:
        """In a forked child: close its copy of the socket. The parent's goes on."""
        self._stream.sock.close()

    def _forget(self) -> None:
        self._timer.cancel()
        self._loop.lingering.discard(self)
        when_closed, self._when_closed = self._when_closed, None
        if when_closed is not None:
            when_closed()

    def data_received(self, data: bytes) -> None:
        """Nobody listens."""

    def eof_received(self) -> None:
        """The stream ends by itself."""

    def queue_drained(self) -> None:
        """Nobody listens."""

    def connection_lost(self, error: Exception | None) -> None:
        """That was it."""
        self._forget()
