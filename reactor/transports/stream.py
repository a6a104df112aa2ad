"""Streams: non-blocking byte streams over TCP or unix sockets; for TLS, see tls_stream.py.

What it is: the transport of a connection (PEP 3156). It reads when the socket is readable
and passes the bytes up; it writes at once what the kernel takes and queues the rest.

What it must not know: WebSocket; timers.

How it works. A stream owns its socket from the moment it is made, and ends it in one of two
ways: ``close`` (the queue is sent first, then the write side is shut down) and ``abort``.
However it ends, the receiver's ``connection_lost`` (receiver.py) is called exactly once, by the
loop, never from within a call that the receiver makes itself.

    OPEN --close()--> CLOSING --queue empty, EOF--> CLOSED
     | +-------------abort(), failed read, EOF--------^
     +--failed write--> UNWRITABLE --nothing left-----+

A failed write means that the peer takes nothing any more, not that it has sent nothing: its last
messages and its close frame may be in the kernel. So an UNWRITABLE stream reads on, one bounded
read per turn, until the kernel has nothing left, and only then is lost. While reading is paused,
that waits.

The socket is watched for writing only while something is queued, and for reading only while
reading is not paused. Each time it is ready, one bounded read is made, and one bounded amount is
taken off the queue, so that one busy socket cannot starve the others.
"""

from __future__ import annotations

import ssl
import sys
from enum import IntEnum
from fcntl import ioctl
from socket import SHUT_WR
from termios import TIOCOUTQ
from typing import TYPE_CHECKING, Any, Final

from ..base.marks import calls_user_code
from ..loop.poller import bad_descriptor
from . import memory
from .tls.nested import AnySocket
from .unread import Unread
from .write_queue import WriteQueue

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop
    from .receiver import Receiver

__all__ = ["Stream", "StreamState"]

#: Bytes of one read: enough for a burst of small messages or for one of 64 KiB, few enough to be
#: fair; and less than 128 KiB, from which on malloc() has the kernel map memory for each read.
READ_SIZE = 120 * 1024

#: About how many bytes leave the queue each time the socket is ready: otherwise, writing to a
#: socket that takes everything would go on until the queue is empty, however long that takes.
WRITE_SIZE = 256 * 1024


class StreamState(IntEnum):
    """The state of a stream: see the module."""

    OPEN = 0
    CLOSING = 1
    CLOSED = 2
    UNWRITABLE = 3


_OPEN: Final = StreamState.OPEN  # for every write: ten times as fast as the look-up in the enum

#: Errors that mean "not now". A TLS write may have to read first (TLS 1.2, renegotiation), or a
#: read to write; that is done when the socket is ready again.
WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Stream:
    """A stream over a connected, non-blocking socket.

    Args:
        loop: the event loop. All methods belong to its thread.
        sock: the socket; the stream owns it from now on.
        receiver: the object whose methods are called.
        high, low: the water marks of the write queue, in bytes.

    Attributes:
        sock: the socket.
        state: see the module.
        queued: bytes in the write queue. An unwritable stream counts the bytes it is given, as if
            the peer took nothing, and keeps none of them.
        most_queued: the most bytes that have been in the write queue.
        above_high: whether a call of ``queue_drained`` is due.
        progress_at: when the kernel last took something from the queue, in seconds of the loop's
            ``now``; 0.0: never.
    """

    __slots__ = (
        "_ahead",
        "_draining",
        "_engine",
        "_error",
        "_fd",
        "_high",
        "_loop",
        "_low",
        "_queue",
        "_reading",
        "_receiver",
        "_unread",
        "above_high",
        "most_queued",
        "progress_at",
        "queued",
        "sock",
        "state",
    )

    def __init__(
        self, loop: EventLoop, sock: AnySocket, receiver: Receiver, high: int, low: int
    ) -> None:
        self.sock = sock
        self.state = StreamState.OPEN
        self.queued = 0
        self.most_queued = 0
        self.above_high = False
        self.progress_at = 0.0
        self._loop = loop
        self._fd = sock.fileno()
        self._receiver = receiver
        self._high = high
        self._low = low
        self._queue: WriteQueue | None = None  # only while the kernel does not take everything
        self._ahead: bytes | None = None  # is sent before what is queued
        self._error: OSError | None = None  # the error of the write that failed
        self._draining = False  # _drain is in the loop's list of calls
        self._reading = False
        self._engine: Any = sock  # whose recv() and send() are called
        self._unread: Unread | None = None  # what was taken back, and is read next

    # -- reading -------------------------------------------------------------------------

    def start_reading(self) -> None:
        """Begin to read, or resume reading."""
        if self._reading or self.state is StreamState.CLOSED:
            return
        if self.state is StreamState.UNWRITABLE:
            self._reading = True
            self._drain_soon()
        elif self.sock.fileno() != self._fd:
            # Closed by other code: its number may be another socket's by now.
            self._fail(bad_descriptor())
        else:
            self._reading = True
            self._loop.poller.add_reader(self._fd, self._read)
            if self._unread is not None:
                self._loop.call_soon(self._read_unread)

    def pause_reading(self) -> None:
        """Leave incoming bytes in the kernel's buffer."""
        if self._reading:
            self._reading = False
            if self.state is not StreamState.UNWRITABLE:
                self._loop.poller.remove_reader(self._fd)

    @calls_user_code
    def read_now(self) -> bool:
        """Make one read at once.

        Returns:
            Whether there was anything to read, including EOF.
        """
        if self.state is StreamState.CLOSED:
            return False
        return self._read()

    @property
    def reading(self) -> bool:
        """Whether the socket is watched for reading."""
        return self._reading and self.state is not StreamState.UNWRITABLE

    def whose(self) -> str:
        """For whom it works: see loop/names.py."""
        whose = getattr(self._receiver, "whose", None)
        return type(self._receiver).__qualname__ if whose is None else str(whose())

    def set_receiver(self, receiver: Receiver) -> None:
        """Call another receiver from now on."""
        self._receiver = receiver

    def unread(self, found: bytes | OSError) -> None:
        """Take back what was received before its time, or the error: it is what is read next.

        For compiled/batch.pyx, which receives for many streams at once: meanwhile, the handler of
        one may have paused another, or closed it.
        """
        if self.state is StreamState.CLOSED:
            return
        self._source = self._unread = Unread(self._source, found)
        if self._reading:
            self._loop.call_soon(self._read_unread)

    def _read_unread(self) -> None:
        """Read what was taken back, if nothing else has read it."""
        unread = self._unread
        if unread is None or not self._reading:
            return
        if unread.found is not None:
            self._read()
        if unread.found is None:
            self._source = unread.real
            self._unread = None

    @property
    def _source(self) -> Any:
        """The engine; that of a tapped stream is below the taps."""
        return self._engine

    @_source.setter
    def _source(self, engine: Any) -> None:
        self._engine = engine

    # Twin: read() in compiled/path.pyx.
    @calls_user_code
    def _read(self) -> bool:
        try:
            data = self._engine.recv(READ_SIZE)
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
        """For an unwritable stream: read in the next turn, whether the poller says so or not."""
        if not self._draining:
            self._draining = True
            self._loop.call_soon(self._drain)

    @calls_user_code
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
        """Write *data*, and queue what the kernel does not take.

        An error leads to ``connection_lost``; it is not raised here. After :meth:`close`, further
        data is dropped.
        """
        if self.state is not _OPEN:
            if self.state is StreamState.UNWRITABLE:
                self.queued += len(data)
            return
        if not self.queued:
            try:
                sent = self._engine.send(data)
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
        """Write *data*, a control frame, before what is queued, as soon as a queued frame ends.

        It replaces an earlier one that has not been sent: a stream keeps at most one such frame,
        and does not count it.
        """
        if self.queued and self.state is _OPEN:
            self._ahead = data
        else:
            self.write(data)

    def backlog(self) -> int:
        """Return how many bytes the kernel holds that the peer's kernel has not acknowledged.

        It is 0 if the system does not say: Linux does, for TCP.
        """
        try:
            answer = ioctl(self._fd, TIOCOUTQ, b"\0\0\0\0")
        except OSError:
            return 0
        return int.from_bytes(answer, sys.byteorder)

    @property
    def unsent(self) -> int:
        """How many bytes will leave before a frame begins that is written now."""
        return self.queued + len(self._ahead or b"")

    def _queue_rest(self, data: bytes, sent: int) -> None:
        """Queue *data* without its first *sent* bytes, which the kernel has taken."""
        self._queue = WriteQueue()
        self._queue.append(data, sent)
        self._count()
        self._loop.poller.add_writer(self._fd, self._on_writable)

    def _count(self) -> None:
        assert self._queue is not None
        self.queued = size = self._queue.size
        if size > self.most_queued:
            self.most_queued = size
        if self.queued > self._high and not self.above_high:
            self.above_high = True
            self._receiver.queue_filled()

    def _on_writable(self) -> None:
        queue = self._queue
        assert queue is not None
        least = queue.size - WRITE_SIZE  # where this turn ends
        failure: OSError | None = None
        try:
            while queue and queue.size > least:
                sent = self._engine.send(queue.first)
                self.progress_at = self._loop.now
                if queue.take(sent) and self._ahead is not None:
                    queue.insert(self._ahead)
                    self._ahead = None
        except WOULD_BLOCK:
            pass
        except OSError as exc:
            failure = exc.with_traceback(None)
        if failure is not None:
            del queue  # it must be freed before the receiver is told
            self._write_failed(failure)
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
        """Drop what is queued, except the first piece: part of it may have been sent."""
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
        """Stop writing: the peer takes nothing any more. What it has sent before is still read."""
        if self.state is not _OPEN:
            self._fail(error)  # the receiver no longer needs what was received
            return
        self.state = StreamState.UNWRITABLE
        self._error = error.with_traceback(None)  # its frames hold what could not be written
        self._free_queue()
        self._loop.poller.remove(self._fd)
        if self._reading:
            self._drain_soon()
        self._loop.call_soon(self._tell_unwritable)

    def _tell_unwritable(self) -> None:
        if self.state is StreamState.UNWRITABLE:
            self._receiver.write_failed()

    # -- ending --------------------------------------------------------------------------

    def close(self) -> None:
        """Write what is queued, shut down the write side, and wait for the peer's EOF.

        What the peer sends meanwhile is still passed up. The caller has a timer for peers that
        never end, and calls :meth:`abort` then.
        """
        if self.state is StreamState.OPEN:
            self.state = StreamState.CLOSING
            if not self.queued:
                self._shut_down()
        elif self.state is StreamState.UNWRITABLE:
            self._fail(self._error)

    def _shut_down(self) -> None:
        """Half-close: the peer sees EOF after our last byte, and we wait for its EOF.

        Closing at once instead, with unread bytes in the kernel's buffer, would make the kernel
        send a reset, which may overtake our last frame.
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
        """Close the socket, in a call from the loop itself: tell the receiver at once."""
        self._release()
        self._receiver.connection_lost(error)

    def _release(self) -> None:
        if self.state is not StreamState.UNWRITABLE:  # else the poller has removed it already
            self._loop.poller.remove(self._fd)  # before the close: see poller.py
        self.state = StreamState.CLOSED
        self._reading = False
        self._free_queue()
        self.queued = 0
        self.sock.close()
