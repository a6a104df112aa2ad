"""TLS within TLS: with a server, through a connection that already has TLS with a proxy.

What it is: a socket-like object. It has the methods of an ``ssl.SSLSocket`` that the handshake,
the exchanges, the streams and the blocking face use, with the same meaning, and those that users
call to inspect a connection.

What it must not know: proxies, HTTP, the event loop.

How it works. An ``ssl.SSLSocket`` can only be made over a plain socket. So the inner half of TLS
reads from and writes to memory (``ssl.MemoryBIO``), and the bytes are moved from there to the outer
socket and back, as far as that is possible without waiting (or within the outer socket's timeout).

``pending`` says whether there are bytes that no poller can see, in one of the two halves or between
them. Records that the outer socket does not take at once are kept; until they are gone, the write
that has made them counts as not done, and must be repeated with the same bytes in front. That is
OpenSSL's own rule, so code that writes to an ``ssl.SSLSocket`` obeys it already.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeGuard, TypeVar

__all__ = ["AnySocket", "NestedTLS", "is_tls"]

T = TypeVar("T")

#: Bytes of one write: encrypted twice in one go, and kept if the kernel does not take them.
MAX_WRITE = 65536

#: Bytes of one read of the outer socket, which returns at most one record.
MAX_READ = 16384

WOULD_BLOCK = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError, InterruptedError)


class NestedTLS:
    """The client's end of a TLS connection inside another one. See the module.

    Args:
        outer: the connection to the proxy. It belongs to this object from now on.
        context, server_hostname, session: as ``SSLContext.wrap_socket`` takes them.
        suppress_ragged_eofs: True (default): an end without close_notify reads as an end, not as an
            error.

    Raises:
        ValueError, ssl.SSLError: as wrap_socket() raises.
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
        self._written = 0  # bytes in them that belong to the write that must be repeated

    # -- bytes ---------------------------------------------------------------------------

    def do_handshake(self) -> None:
        """See ``ssl.SSLSocket``."""
        self._do(self._inner.do_handshake)

    def recv(self, size: int = MAX_READ, flags: int = 0) -> bytes:
        """Read at most *size* bytes; b"" at the end. See ``ssl.SSLSocket``."""
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
            self._flush_if_possible()  # TLS may have records of its own to send
            return data

    def send(self, data: Any) -> int:
        """Write; return how many bytes. After SSLWantWriteError, repeat it with the same bytes."""
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
        """See ``ssl.SSLSocket``."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self.send(rest) :]

    def pending(self) -> int:
        """Return more than 0 if bytes are here already, decrypted or encrypted; else 0."""
        return self._inner.pending() or self._incoming.pending or self._outer.pending()

    def unwrap(self) -> ssl.SSLSocket:
        """Send close_notify to the server, and wait for the server's; return the outer socket."""
        self._do(self._inner.unwrap)
        return self._outer

    def _do(self, action: Callable[..., T], *args: Any, flush: bool = True) -> T:
        """Let the inner half do something, and move the bytes that it needs or has made."""
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
        """Move bytes from the outer socket to the inner half. Raises as the outer recv() does."""
        data = self._outer.recv(MAX_READ)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        """Move the inner half's records to the outer socket. Raises as the outer send() does."""
        while self._unsent or self._outgoing.pending:
            if not self._unsent:
                self._unsent = memoryview(self._outgoing.read())
            self._unsent = self._unsent[self._outer.send(self._unsent) :]

    def _flush_if_possible(self) -> None:
        """Flush, but ignore an error, for a reader: the next write reports it."""
        try:
            self._flush()
        except OSError:
            pass

    # -- the end -------------------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        """Shut down one or both directions of TCP, without TLS's close_notify; waiters wake up."""
        # Not the method of the SSLSocket, which removes its TLS.
        socket.socket.shutdown(self._outer, how)

    def close(self) -> None:
        """Close the connection."""
        self._outer.close()

    def __enter__(self) -> NestedTLS:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- the socket to the proxy -----------------------------------------------------------

    def fileno(self) -> int:
        """Return the descriptor; -1 once it is closed."""
        return self._outer.fileno()

    @property
    def outer(self) -> ssl.SSLSocket:
        """The connection to the proxy, for inspection."""
        return self._outer

    @property
    def family(self) -> int:
        """See ``socket.socket``."""
        return self._outer.family

    @property
    def type(self) -> int:
        """See ``socket.socket``."""
        return self._outer.type

    @property
    def proto(self) -> int:
        """See ``socket.socket``."""
        return self._outer.proto

    def getpeername(self) -> Any:
        """Return the address of the proxy."""
        return self._outer.getpeername()

    def getsockname(self) -> Any:
        """See ``socket.socket``."""
        return self._outer.getsockname()

    def getsockopt(self, *args: Any) -> Any:
        """See ``socket.socket``."""
        return self._outer.getsockopt(*args)

    def setsockopt(self, *args: Any) -> None:
        """See ``socket.socket``."""
        self._outer.setsockopt(*args)

    def gettimeout(self) -> float | None:
        """See ``socket.socket``."""
        return self._outer.gettimeout()

    def settimeout(self, timeout: float | None) -> None:
        """See ``socket.socket``."""
        self._outer.settimeout(timeout)

    def setblocking(self, flag: bool) -> None:
        """See ``socket.socket``."""
        self._outer.setblocking(flag)

    def getblocking(self) -> bool:
        """See ``socket.socket``."""
        return self._outer.getblocking()

    # -- TLS with the server ---------------------------------------------------------------

    @property
    def context(self) -> ssl.SSLContext:
        """See ``ssl.SSLSocket``."""
        return self._inner.context

    @property
    def server_hostname(self) -> str | None:
        """See ``ssl.SSLSocket``."""
        return self._inner.server_hostname

    @property
    def server_side(self) -> bool:
        """See ``ssl.SSLSocket``."""
        return False

    @property
    def session(self) -> ssl.SSLSession | None:
        """See ``ssl.SSLSocket``."""
        return self._inner.session

    @property
    def session_reused(self) -> bool:
        """See ``ssl.SSLSocket``."""
        return bool(self._inner.session_reused)

    def getpeercert(self, binary_form: bool = False) -> Any:
        """See ``ssl.SSLSocket``."""
        return self._inner.getpeercert(binary_form)

    def selected_alpn_protocol(self) -> str | None:
        """See ``ssl.SSLSocket``."""
        return self._inner.selected_alpn_protocol()

    def cipher(self) -> tuple[str, str, int] | None:
        """See ``ssl.SSLSocket``."""
        return self._inner.cipher()

    def compression(self) -> str | None:
        """See ``ssl.SSLSocket``."""
        return self._inner.compression()

    def version(self) -> str | None:
        """See ``ssl.SSLSocket``."""
        return self._inner.version()

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        """See ``ssl.SSLSocket``."""
        return self._inner.get_channel_binding(cb_type)


#: The sockets that connections can have.
AnySocket = socket.socket | NestedTLS


def is_tls(sock: object) -> TypeGuard[ssl.SSLSocket | NestedTLS]:
    """Return whether a socket speaks TLS.

    If so, the bytes that are sent are not the bytes that were written, and bytes that wait to be
    read are not always in the kernel. (The class is looked up at each call: eventlet and gevent
    replace it.)
    """
    return isinstance(sock, (ssl.SSLSocket, NestedTLS))
