"""Blocking sockets: reading and writing with a time-out, for callers that wait.

What it is: websocket-client's functions ``recv``, ``recv_line`` and ``send``, and
:class:`TLSDuplex`, through which two threads may use one TLS connection.

What it must not know: WebSocket; the event loop.

How it works. A socket is used in the mode it is in: with a time-out, blocking without one, or
non-blocking; ``gettimeout()`` says which. Where the call itself does not wait, as with TLS, the
descriptor is waited for as long as that. What a socket raises is raised as it is, but for the few
errors of errors.of_socket.
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

#: Bytes of a write that has a point in time: a blocking socket that is writable has room for
#: them, while for more it would wait until all of them are gone.
LIMITED_WRITE = 1024

#: Bytes of a line that recv_line() takes.
MAX_LINE = 65536


def recv(sock: Any, bufsize: int, until: float | None = None) -> bytes:
    """Return at least one and at most *bufsize* bytes.

    Parameters:
        sock: a stream socket. Its own time-out says how long to wait.
        bufsize: the greatest number of bytes.
        until: point in time (of time.monotonic()) that counts in place of the time-out.

    Raises WebSocketTimeoutException when nothing came in time, at once for a time-out of 0;
    WebSocketConnectionClosedException at the end, and what the socket raises when the connection
    broke: ConnectionResetError, BrokenPipeError, ``ssl.SSLError``.
    """
    if not sock:
        raise WebSocketConnectionClosedException(CLOSED)
    try:
        if until is not None and isinstance(sock, socket.socket):
            _wait(sock, False, until)
        while True:
            try:
                data: bytes | None = sock.recv(bufsize)
                break
            except OSError as exc:
                if not _would_block(exc):
                    raise
                writing = isinstance(exc, ssl.SSLWantWriteError)
            until = _wait(sock, writing, until)
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        data = None
    except OSError as exc:
        error = of_socket(exc)
        if error is None:
            raise
        raise error from exc
    if not data:
        raise WebSocketConnectionClosedException(LOST)
    return data


def recv_line(sock: Any) -> bytes:
    """Return a line with its end, and read no byte behind it. Raises as :func:`recv` does.

    Raises WebSocketException for a line longer than 64 KiB.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        line += recv(sock, 1)
        if len(line) > MAX_LINE:
            raise WebSocketException(f"a line is longer than {MAX_LINE} bytes: {line[:40]!r}...")
    return bytes(line)


def send(sock: Any, data: bytes | bytearray | memoryview | str, until: float | None = None) -> int:
    """Send as much of *data* as goes; return how many bytes.

    Parameters:
        sock: a stream socket. Its own time-out says how long to wait.
        data: a str is sent as UTF-8.
        until: point in time (of time.monotonic()) that counts in place of the time-out.

    Raises as :func:`recv` does; at least one byte has gone out otherwise.
    """
    if not sock:
        raise WebSocketConnectionClosedException(CLOSED)
    octets = data.encode() if isinstance(data, str) else data
    try:
        if until is not None and isinstance(sock, socket.socket):
            # Not for TLS: OpenSSL wants a write that was interrupted repeated with the same bytes.
            octets = octets[:LIMITED_WRITE]
            _wait(sock, True, until)
        while True:
            try:
                return int(sock.send(octets))
            except OSError as exc:
                if not _would_block(exc):
                    raise
                writing = not isinstance(exc, ssl.SSLWantReadError)
            until = _wait(sock, writing, until)
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as exc:
        raise WebSocketConnectionClosedException(CLOSED) from exc
    except OSError as exc:
        error = of_socket(exc)
        if error is None:
            raise
        raise error from exc


def _would_block(exc: OSError) -> bool:
    """Whether a call that raised this is to be repeated when the socket is ready."""
    wants = isinstance(exc, (ssl.SSLWantReadError, ssl.SSLWantWriteError))
    return wants or exc.errno in (errno.EAGAIN, errno.EWOULDBLOCK)


def _wait(sock: Any, writing: bool, until: float | None) -> float:
    """Wait for a socket; return until when: that is the point in time for the next wait, too.

    Without *until* the time-out of the socket counts. Raises WebSocketTimeoutException when the
    socket is not ready in time.
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
    """End both directions of a connection, so that whoever waits for it wakes up; any thread.

    The descriptor stays open. A connection that has ended already is left as it is.
    """
    try:
        if isinstance(sock, ssl.SSLSocket):
            # Not its own shutdown(), which takes the TLS layer off: a thread that reads would
            # be given the peer's next bytes as they are.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        else:
            sock.shutdown(socket.SHUT_RDWR)
    except (OSError, AttributeError):  # an object that only looks like a socket may have none
        pass


class TLSDuplex:
    """An ``ssl.SSLSocket``, or a NestedTLS, that one thread may read while another one writes.

    OpenSSL must not be called for one connection by two threads at a time. So there is a lock
    around each call, and the socket is non-blocking: nobody waits while he holds it. It becomes
    so when it is used through here for the first time: a program that has attached a socket may
    still do the opening handshake on the socket itself.

    Parameters:
        sock: the socket.
        timeout: seconds, or None, that :meth:`gettimeout` answers.

    Attributes:
        recv, send: as those of the socket.
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
        if own != 0:  # as it is now
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
        """As that of the socket."""
        return self.sock.fileno()

    def gettimeout(self) -> float | None:
        """Return how long to wait, in seconds; None for no limit."""
        own = self.sock.gettimeout()
        if own != 0:  # somebody has set it at the socket itself
            self.settimeout(own)
        return self._timeout

    def settimeout(self, timeout: float | None) -> None:
        """Set how long to wait. A non-blocking socket stays so."""
        self._timeout = timeout
        self.sock.settimeout(timeout if self.recv == self._first_recv else 0)

    def say_goodbye(self) -> None:
        """Send close_notify (RFC 8446 section 6.1), if that goes at once."""
        with self._lock:
            try:
                self.sock.unwrap()
            except (OSError, ValueError):
                pass  # the peer is not through yet, or has gone
