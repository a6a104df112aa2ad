"""Blocking sockets: reading and writing with a time-out, for callers that block.

What it is: websocket-client's functions ``recv``, ``recv_line`` and ``send``, and
:class:`TLSDuplex`, through which two threads may use one TLS connection.

What it must not know: WebSocket; the event loop.

How it works. A socket is used in the mode in which it is: with a time-out, blocking without one,
or non-blocking; ``gettimeout()`` says which. Where the call itself does not wait, as with TLS, we
wait for the descriptor for the same time. Exceptions of a socket are passed on as they are, except
for the few of errors.of_socket.
"""

from __future__ import annotations

import errno
import socket
import ssl
import threading
import time
from collections.abc import Callable
from math import inf
from typing import Any

from ...exceptions import (
    LOST,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketTimeoutException,
)
from ...loop.poller import wait_for
from ...transports.tls.nested import NestedTLS
from ..errors import CLOSED, TIMED_OUT, of_socket

__all__ = ["TLSDuplex", "recv", "recv_line", "send", "shut_down"]

#: Bytes of a write with a time limit: a writable blocking socket has room for that many. For more
#: bytes, the call would wait until all of them are sent.
LIMITED_WRITE = 1024

#: The greatest length of a line that recv_line() accepts, in bytes.
MAX_LINE = 65536


def recv(sock: Any, bufsize: int, until: float | None = None) -> bytes:
    """Return at least one and at most *bufsize* bytes.

    Args:
        sock: a stream socket. Its own time-out says how long to wait.
        bufsize: the greatest number of bytes.
        until: point in time (of time.monotonic()) that applies instead of the time-out.

    Raises:
        WebSocketTimeoutException: nothing was received in time; with a time-out of 0, at once.
        WebSocketConnectionClosedException: the connection has ended.
        OSError: the socket's exception if the connection broke: ConnectionResetError,
            BrokenPipeError, ``ssl.SSLError``.
    """
    if not sock:
        raise WebSocketConnectionClosedException(CLOSED)
    data: bytes | None
    try:
        if until is not None and isinstance(sock, socket.socket):
            _wait(sock, False, until)
        data = sock.recv(bufsize)
    except OSError as exc:
        data = _go_on(sock, sock.recv, bufsize, exc, False, until)
    if not data:
        raise WebSocketConnectionClosedException(LOST)
    return data


def recv_line(sock: Any) -> bytes:
    """Return a line with its end, and read no byte after it.

    Raises:
        WebSocketException: the line is longer than 64 KiB; and as for :func:`recv`.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        line += recv(sock, 1)
        if len(line) > MAX_LINE:
            raise WebSocketException(f"a line is longer than {MAX_LINE} bytes: {line[:40]!r}...")
    return bytes(line)


def send(sock: Any, data: bytes | bytearray | memoryview | str, until: float | None = None) -> int:
    """Send as much of *data* as possible, at least one byte; return the number of bytes.

    Args:
        sock: a stream socket. Its own time-out says how long to wait.
        data: a str is sent as UTF-8.
        until: point in time (of time.monotonic()) that applies instead of the time-out.

    Raises:
        WebSocketException: as for :func:`recv`.
    """
    if not sock:
        raise WebSocketConnectionClosedException(CLOSED)
    octets = data.encode() if isinstance(data, str) else data
    try:
        if until is not None and isinstance(sock, socket.socket):
            # Not for TLS: OpenSSL requires that an interrupted write is repeated unchanged.
            octets = octets[:LIMITED_WRITE]
            _wait(sock, True, until)
        sent = sock.send(octets)
    except OSError as exc:
        sent = _go_on(sock, sock.send, octets, exc, True, until)
    if sent is None:
        raise WebSocketConnectionClosedException(CLOSED)
    return int(sent)


def _go_on(
    sock: Any,
    call: Callable[[Any], Any],
    argument: Any,
    exc: OSError,
    writing: bool,
    until: float | None,
) -> Any:
    """Wait for a socket and repeat a call that could not be done at once.

    The first call is not in here: it would make every ``recv`` and ``send`` 0.1 us slower.

    Args:
        sock: the socket.
        call: its method ``recv`` or ``send``.
        argument: the argument.
        exc: what the first call raised.
        writing: whether the method writes.
        until: as for :func:`recv`.

    Returns:
        What the method returns; None if TLS has ended.

    Raises:
        WebSocketException: as for :func:`recv`.
    """
    # TLS may have to write in order to read, and the other way round.
    crosswise = ssl.SSLWantReadError if writing else ssl.SSLWantWriteError
    try:
        while True:
            if not _would_block(exc):
                raise exc
            until = _wait(sock, writing is not isinstance(exc, crosswise), until)
            try:
                return call(argument)
            except OSError as another:
                exc = another
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return None
    except OSError as last:
        error = of_socket(last)
        if error is None:
            raise
        raise error from last
    finally:
        del exc  # its traceback refers to this frame


def _would_block(exc: OSError) -> bool:
    """Return whether a call that raised this can be repeated when the socket is ready."""
    wants = isinstance(exc, (ssl.SSLWantReadError, ssl.SSLWantWriteError))
    return wants or exc.errno in (errno.EAGAIN, errno.EWOULDBLOCK)


def _wait(sock: Any, writing: bool, until: float | None) -> float:
    """Wait for a socket; return the point in time that limits the next wait, too.

    Without *until*, the time-out of the socket applies.

    Raises:
        WebSocketTimeoutException: the socket is not ready in time.
    """
    if until is None:
        timeout = sock.gettimeout()
        until = inf if timeout is None else time.monotonic() + timeout
    timeout = max(0.0, until - time.monotonic())
    fd = sock.fileno()
    if not (wait_for([], [fd], timeout) if writing else wait_for([fd], [], timeout)):
        raise WebSocketTimeoutException(TIMED_OUT)
    return until


def shut_down(sock: Any) -> None:
    """End both directions of a connection, which wakes any thread that waits for it; any thread.

    The descriptor stays open. A connection that has already ended is left as it is.
    """
    try:
        if isinstance(sock, ssl.SSLSocket):
            # Not the SSLSocket's own shutdown(), which removes the TLS layer: a thread that reads
            # would get the peer's next bytes still encrypted.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        else:
            sock.shutdown(socket.SHUT_RDWR)
    except (OSError, AttributeError):  # an object that only looks like a socket may have none
        pass


class TLSDuplex:
    """An ``ssl.SSLSocket``, or a NestedTLS, that one thread may read while another one writes.

    OpenSSL must not be called for one connection by two threads at a time. So there is a lock
    around each call, and the socket is non-blocking: no thread waits while it holds the lock. The
    socket becomes non-blocking at its first use here: a program that has attached a socket may
    still do the opening handshake on the socket itself.

    Args:
        sock: the socket.
        timeout: seconds, or None; the value of :meth:`gettimeout`.

    Attributes:
        recv, send: like those of the socket.
    """

    __slots__ = ("_lock", "_timeout", "recv", "send", "sock")

    def __init__(self, sock: ssl.SSLSocket | NestedTLS, timeout: float | None) -> None:
        self.sock = sock
        self._lock = threading.Lock()
        self._timeout = timeout
        self.recv: Callable[[int], bytes] = self._first_recv
        self.send: Callable[[Any], int] = self._first_send
        if sock.gettimeout() == 0:
            self._begin()
        else:
            sock.settimeout(timeout)

    def _begin(self) -> None:
        own = self.sock.gettimeout()
        if own != 0:  # its current time-out
            self._timeout = own
            self.sock.setblocking(False)
        self.recv, self.send = self._recv, self._send

    def _first_recv(self, bufsize: int) -> bytes:
        self._begin()
        return self._recv(bufsize)

    def _first_send(self, data: Any) -> int:
        self._begin()
        return self._send(data)

    def _recv(self, bufsize: int) -> bytes:
        with self._lock:
            return self.sock.recv(bufsize)

    def _send(self, data: Any) -> int:
        with self._lock:
            return self.sock.send(data)

    def fileno(self) -> int:
        """The same as for the socket."""
        return self.sock.fileno()

    def gettimeout(self) -> float | None:
        """Return how long to wait, in seconds; None for no limit."""
        own = self.sock.gettimeout()
        if own != 0:  # it was set on the socket itself
            self.settimeout(own)
        return self._timeout

    def settimeout(self, timeout: float | None) -> None:
        """Set how long to wait. A non-blocking socket stays non-blocking."""
        self._timeout = timeout
        self.sock.settimeout(timeout if self.recv == self._first_recv else 0)

    def say_goodbye(self) -> None:
        """Send close_notify (RFC 8446 section 6.1), if that is possible at once. It never waits."""
        with self._lock:
            try:
                self.sock.setblocking(False)  # it may not have been used here, or been set since
                self.sock.unwrap()
            except (OSError, ValueError):
                pass  # the peer has not finished yet, or has gone
