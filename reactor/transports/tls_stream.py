"""TLS streams: a stream over TLS, and which stream a socket needs.

What it is: :class:`TLSStream`, which differs from a Stream in what readiness means: a read may
need to write and the other way round, and bytes that OpenSSL holds already are invisible to the
poller.

What it must not know: handshakes, certificates, WebSocket.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..base.marks import calls_user_code
from ..loop.poller import bad_descriptor
from . import memory
from .stream import READ_SIZE, WOULD_BLOCK, Receiver, Stream, StreamState
from .tls.nested import AnySocket, NestedTLS, is_tls

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop

__all__ = ["TLSStream", "make_stream"]

#: Bytes of memory, about, that OpenSSL and Python's ssl have for a connection.
TLS_SIZE = 96 * 1024

#: Bytes of the longest TLS record (RFC 8446 section 5.1).
MAX_RECORD = 16384

#: Bytes that OpenSSL is given at a time. It tells of no progress until it has written all of them,
#: and progress is a sign of life.
MAX_WRITE = 65536


class TLSStream(Stream):
    """The same over an ``ssl.SSLSocket``, or a NestedTLS, whose handshake is done."""

    __slots__ = ("_pending",)

    #: Reads of one readiness.
    RECORDS_PER_READ = 4

    sock: ssl.SSLSocket | NestedTLS

    def __init__(
        self,
        loop: EventLoop,
        sock: ssl.SSLSocket | NestedTLS,
        receiver: Receiver,
        high: int,
        low: int,
    ) -> None:
        super().__init__(loop, sock, receiver, high, low)
        plain = type(sock) is ssl.SSLSocket and hasattr(sock, "_sslobj")
        engine: Any = _Engine(sock) if plain else sock
        self._recv = engine.recv
        self._send = partial(_send_some, engine.send)
        self._pending: Callable[[], int] = engine.pending

    # Twin: tls_read() in compiled/path.pyx.
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

    def _release(self) -> None:
        super()._release()
        memory.released(TLS_SIZE)

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

    @calls_user_code
    def _read_pending(self) -> None:
        if self._reading and self._pending():
            self._read()

    def start_reading(self) -> None:
        super().start_reading()
        if self.state is not StreamState.CLOSED and self._pending():
            self._loop.call_soon(self._read_pending)


def _send_some(send: Callable[[Any], int], data: Any) -> int:
    """Send as much of *data* as OpenSSL is to be given at a time."""
    return send(data if len(data) <= MAX_WRITE else memoryview(data)[:MAX_WRITE])


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


def make_stream(
    loop: EventLoop, sock: AnySocket, receiver: Receiver, high: int, low: int
) -> Stream:
    """Return the stream for *sock*: a TLSStream for one that speaks TLS."""
    if is_tls(sock):
        return TLSStream(loop, sock, receiver, high, low)
    return Stream(loop, sock, receiver, high, low)
