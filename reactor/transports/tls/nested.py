"""TLS within TLS: with a server, through a connection that has TLS with a proxy already.

What it is: a socket-like object. It has the methods of an ``ssl.SSLSocket`` that the handshake,
the exchanges, the streams and the blocking face use, with the same meaning, and those by which
users look at a connection.

What it must not know: proxies, HTTP, the event loop.

How it works. An ``ssl.SSLSocket`` can only be made over a plain socket. So the inner half of TLS
reads from and writes to memory (``ssl.MemoryBIO``), and the bytes are moved from there to the outer
socket and back, as far as that goes without waiting (or within the outer socket's time-out).

Whether there are bytes that no poller can see, in one of the two halves or between them, is what
``pending`` tells. Records that the outer socket does not take at once are kept; until they are gone
the write that has made them counts as not done, and is to be repeated with the same bytes in front.
That is OpenSSL's own rule, so whoever writes to an ``ssl.SSLSocket`` obeys it already.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeGuard, TypeVar

__all__ = ["AnySocket", "NestedTLS", "is_tls"]

T = TypeVar("T")

#: Bytes of one write: encrypted twice in one go, and kept when the kernel does not take them.
MAX_WRITE = 65536

#: Bytes of one read of the outer socket, which gives one record at most.
MAX_READ = 16384

WOULD_BLOCK = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError, InterruptedError)


class NestedTLS:
    """The client's end of a TLS connection inside of another one. See the module.

    Args:
        outer: the connection to the proxy. It belongs to this object from now on.
        context, server_hostname, session: as ``SSLContext.wrap_socket`` takes them.
        suppress_ragged_eofs: an end without close_notify reads as an end, not as an error.

    Raises ValueError and ssl.SSLError as wrap_socket does.
    """

    __slots__ = (
        "__weakref__",
        "_incoming",
        "_inner",
        "_outer",
        "_outgoing",
        "_suppress_ragged_eofs",
        "_unsent",
        "_written",
    )

    def __init__(
        self,
        outer: ssl.SSLSocket,
        context: ssl.SSLContext,
        server_hostname: str | None = None,
        session: ssl.SSLSession | None = None,
        *,
        suppress_ragged_eofs: bool = True,
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._inner = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_hostname, session=session
        )
        self._outer = outer
        self._suppress_ragged_eofs = suppress_ragged_eofs
        self._unsent = memoryview(b"")  # records that the outer socket has not taken yet
        self._written = 0  # bytes that are in them, of the write that is to be repeated

    # -- bytes ---------------------------------------------------------------------------

    def do_handshake(self) -> None:
        """As that of an SSLSocket."""
        self._do(self._inner.do_handshake)

    def recv(self, size: int = MAX_READ, flags: int = 0) -> bytes:
        """As that of an SSLSocket: at most *size* bytes, b"" at the end."""
        if flags:
            raise ValueError("non-zero flags not allowed in calls to recv() on NestedTLS")
        while True:
            try:
                data = self._inner.read(size)
            except ssl.SSLWantReadError:
                self._flush_if_possible()
                self._feed()
                continue
            except ssl.SSLEOFError:
                if self._suppress_ragged_eofs:
                    return b""
                raise
            self._flush_if_possible()  # TLS may have had something to say by itself
            return data

    def send(self, data: Any) -> int:
        """As that of an SSLSocket. Raises SSLWantWriteError: to be repeated with the same bytes."""
        self._flush()
        if self._written:
            written, self._written = self._written, 0
            return written
        written = self._do(self._inner.write, memoryview(data)[:MAX_WRITE], flush=False)
        try:
            self._flush()
        except WOULD_BLOCK:
            self._written = written
            raise
        return written

    def sendall(self, data: Any) -> None:
        """As that of an SSLSocket."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self.send(rest) :]

    def pending(self) -> int:
        """How many bytes are here already, as they are or encrypted: more than 0, or none."""
        return self._inner.pending() or self._incoming.pending or self._outer.pending()

    def unwrap(self) -> ssl.SSLSocket:
        """Say close_notify to the server, and wait for its own; return the outer socket."""
        self._do(self._inner.unwrap)
        return self._outer

    def _do(self, action: Callable[..., T], *args: Any, flush: bool = True) -> T:
        """Have the inner half do something, and move the bytes that it wants moved."""
        while True:
            try:
                result = action(*args)
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            except ssl.SSLError:
                self._flush_if_possible()  # the alert that tells the server why
                raise
            else:
                if flush:
                    self._flush()
                return result

    def _feed(self) -> None:
        """Give what the outer socket has to the inner half. Raises as its recv() does."""
        data = self._outer.recv(MAX_READ)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        """Give what the inner half has to say to the outer socket. Raises as its send() does."""
        while self._unsent or self._outgoing.pending:
            if not self._unsent:
                self._unsent = memoryview(self._outgoing.read())
            self._unsent = self._unsent[self._outer.send(self._unsent) :]

    def _flush_if_possible(self) -> None:
        """The same for who wants to read: whether it works is a matter of the next write."""
        try:
            self._flush()
        except OSError:
            pass

    # -- the end -------------------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        """End one or both directions of TCP, without a word of TLS, so that whoever waits wakes."""
        # Not that of the SSLSocket, which takes its TLS off.
        socket.socket.shutdown(self._outer, how)

    def close(self) -> None:
        """Close the connection."""
        self._outer.close()

    def __enter__(self) -> NestedTLS:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- the socket, which is that to the proxy --------------------------------------------

    def fileno(self) -> int:
        """The descriptor; -1 once it is closed."""
        return self._outer.fileno()

    @property
    def outer(self) -> ssl.SSLSocket:
        """The connection to the proxy, to look at."""
        return self._outer

    @property
    def family(self) -> int:
        """As that of a socket."""
        return self._outer.family

    @property
    def type(self) -> int:
        """As that of a socket."""
        return self._outer.type

    @property
    def proto(self) -> int:
        """As that of a socket."""
        return self._outer.proto

    def getpeername(self) -> Any:
        """The address of the proxy."""
        return self._outer.getpeername()

    def getsockname(self) -> Any:
        """As that of a socket."""
        return self._outer.getsockname()

    def getsockopt(self, *args: Any) -> Any:
        """As that of a socket."""
        return self._outer.getsockopt(*args)

    def setsockopt(self, *args: Any) -> None:
        """As that of a socket."""
        self._outer.setsockopt(*args)

    def gettimeout(self) -> float | None:
        """As that of a socket."""
        return self._outer.gettimeout()

    def settimeout(self, timeout: float | None) -> None:
        """As that of a socket."""
        self._outer.settimeout(timeout)

    def setblocking(self, flag: bool) -> None:
        """As that of a socket."""
        self._outer.setblocking(flag)

    def getblocking(self) -> bool:
        """As that of a socket."""
        return self._outer.getblocking()

    # -- TLS, which is that with the server ------------------------------------------------

    @property
    def context(self) -> ssl.SSLContext:
        """As that of an SSLSocket."""
        return self._inner.context

    @property
    def server_hostname(self) -> str | None:
        """As that of an SSLSocket."""
        return self._inner.server_hostname

    @property
    def server_side(self) -> bool:
        """As that of an SSLSocket."""
        return False

    @property
    def session(self) -> ssl.SSLSession | None:
        """As that of an SSLSocket."""
        return self._inner.session

    @property
    def session_reused(self) -> bool:
        """As that of an SSLSocket."""
        return bool(self._inner.session_reused)

    def getpeercert(self, binary_form: bool = False) -> Any:
        """As that of an SSLSocket."""
        return self._inner.getpeercert(binary_form)

    def selected_alpn_protocol(self) -> str | None:
        """As that of an SSLSocket."""
        return self._inner.selected_alpn_protocol()

    def cipher(self) -> tuple[str, str, int] | None:
        """As that of an SSLSocket."""
        return self._inner.cipher()

    def compression(self) -> str | None:
        """As that of an SSLSocket."""
        return self._inner.compression()

    def version(self) -> str | None:
        """As that of an SSLSocket."""
        return self._inner.version()

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        """As that of an SSLSocket."""
        return self._inner.get_channel_binding(cb_type)


#: What connections are made of.
AnySocket = socket.socket | NestedTLS


def is_tls(sock: object) -> TypeGuard[ssl.SSLSocket | NestedTLS]:
    """Return whether a socket speaks TLS.

    What is written to it is not what is sent then, and what waits to be read is not always in the
    kernel. (The class is looked up now: eventlet and gevent put another one in its place.)
    """
    return isinstance(sock, (ssl.SSLSocket, NestedTLS))
