"""TLS streams: a stream over TLS, and which stream a socket needs.

What it is: :class:`TLSStream`, which differs from a Stream in the meaning of readiness: a read may
have to write, a write may have to read, and bytes that OpenSSL holds already are invisible to the
poller.

What it must not know: handshakes, certificates, WebSocket.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..base.marks import calls_user_code
from ..loop.poller import bad_descriptor
from . import memory
from .stream import READ_SIZE, WOULD_BLOCK, Stream, StreamState
from .tls.nested import AnySocket, NestedTLS, is_tls

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop
    from .receiver import Receiver

__all__ = ["TLSStream", "make_stream"]

#: About how many bytes of memory OpenSSL and Python's ssl take for a connection.
TLS_SIZE = 96 * 1024

#: Bytes of the longest TLS record (RFC 8446 section 5.1).
MAX_RECORD = 16384

#: Bytes that OpenSSL is given at a time. It reports no progress until it has written all of them,
#: and progress is a sign of life.
MAX_WRITE = 65536


#: Returns the engine that calls OpenSSL directly, or None if a socket is not one for it. It is
#: compiled/replace.py that puts it here; None: OpenSSL cannot be called directly.
direct_engine: Callable[[Any], Any] | None = None


class TLSStream(Stream):
    """A stream over an ``ssl.SSLSocket``, or a NestedTLS, whose handshake is done. See Stream."""

    __slots__ = ()

    #: Reads each time the socket is ready.
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
        self._engine = _make_engine(sock)

    # Twin: tls_read() in compiled/path.pyx.
    def _read(self) -> bool:
        chunks: list[bytes] = []
        failure: OSError | None = None
        for _ in range(self.RECORDS_PER_READ):
            try:
                data = self._engine.recv(READ_SIZE)
            except WOULD_BLOCK:
                break
            except OSError as exc:
                failure = exc.with_traceback(None)  # else it would hold this frame, which holds it
                break
            if not data:
                failure = ssl.SSLEOFError()
                break
            chunks.append(data)
            if len(data) < MAX_RECORD and not self._engine.pending():
                break
        if chunks:
            self._receiver.data_received(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        self._after_read(failure)
        return bool(chunks) or failure is not None

    def _release(self) -> None:
        super()._release()
        memory.released(TLS_SIZE)

    def _after_read(self, failure: OSError | None) -> None:
        """Handle what ended the reads, and the bytes that they have left."""
        if self.state is StreamState.CLOSED:
            return
        if isinstance(failure, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            self._on_eof()
        elif failure is not None:
            self._read_failed(failure)
        elif self._engine.pending() and self.state is not StreamState.UNWRITABLE:
            # OpenSSL holds bytes that the poller cannot see: read them in the next turn.
            self._loop.call_soon(self._read_pending)

    def _shut_down(self) -> None:
        """Send close_notify (RFC 8446 section 6.1) and wait for the peer's.

        ``shutdown()`` would not do: on an SSLSocket it removes the TLS layer as well, and later
        bytes would be read as plain text.
        """
        try:
            self._engine.unwrap()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            self.start_reading()
        except ssl.SSLError:
            self.start_reading()  # data is still unread: the peer's EOF will follow it
        except (OSError, ValueError):
            self._fail(None)  # the peer was faster
        else:
            self._fail(None)  # both sides have sent close_notify

    @calls_user_code
    def _read_pending(self) -> None:
        if self._reading and self._engine.pending():
            self._read()

    def start_reading(self) -> None:
        """See Stream. OpenSSL may already hold bytes."""
        super().start_reading()
        if self.state is not StreamState.CLOSED and self._engine.pending():
            self._loop.call_soon(self._read_pending)


def _make_engine(sock: ssl.SSLSocket | NestedTLS) -> Any:
    """Return the object that reads and writes for a stream over this socket."""
    engine = None if direct_engine is None else direct_engine(sock)
    if engine is not None:
        return engine
    plain = type(sock) is ssl.SSLSocket and hasattr(sock, "_sslobj")
    return _Engine(sock) if plain else _Pieces(sock)


class _Pieces:
    """A socket that speaks TLS, and is given as much at a time as OpenSSL is given."""

    __slots__ = ("_sock", "pending", "recv", "unwrap")

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.pending = sock.pending
        self.recv = sock.recv
        self.unwrap = sock.unwrap

    def send(self, data: Any) -> int:
        part = data if len(data) <= MAX_WRITE else memoryview(data)[:MAX_WRITE]
        sent: int = self._sock.send(part)
        return sent


class _Engine:
    """The object inside an SSLSocket, without the Python methods around it: three for each message.

    It is looked up in every call: it is gone once other code has closed the socket, and a kept one
    would go on to read and write by the number of the descriptor.
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
        part = data if len(data) <= MAX_WRITE else memoryview(data)[:MAX_WRITE]
        sent: int = engine.write(part)
        return sent

    def pending(self) -> int:
        engine = self._sock._sslobj
        return 0 if engine is None else engine.pending()

    def unwrap(self) -> None:
        self._sock.unwrap()


def make_stream(
    loop: EventLoop, sock: AnySocket, receiver: Receiver, high: int, low: int
) -> Stream:
    """Return the stream for *sock*: a TLSStream if the socket speaks TLS, else a Stream."""
    if is_tls(sock):
        return TLSStream(loop, sock, receiver, high, low)
    return Stream(loop, sock, receiver, high, low)
