"""The socket of a blocking WebSocket: attached, written, read, and closed by any thread.

What it is: the part of the blocking face that is below messages: the socket in a form that two
threads may use, the session, frames that are sent whole, and the end.

What it must not know: options, messages, what a frame means.

How it works. ``sock`` is what users see; reading and writing use the same object, or for TLS a
TLSDuplex around it. If another thread ends the connection, there are two steps: the connection is
shut down, which wakes the thread that waits for it, and when that thread has released the
descriptor, it is closed; its number may belong to another connection a moment later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

from ...exceptions import (
    LOST,
    CloseCode,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketTimeoutException,
)
from ...protocols.events import OPEN
from ...protocols.frames import MAX_CONTROL_PAYLOAD, OP_CLOSE
from ...protocols.session import Close, Failure, Input, Role, State, WebSocketSession
from ...transports.tls.nested import is_tls
from ..defaults import check_timeout, sock_opt
from ..errors import CLOSED, TIMED_OUT
from ..tracing import debug, error
from .socket_io import TLSDuplex, recv, send, shut_down

__all__ = ["ClientSession", "ClientSocket", "NoLock", "close_content", "held", "log_close_status"]

#: Seconds that shutdown() waits for a thread that reads to release the descriptor.
PATIENCE = 1.0


@contextmanager
def held(lock: Any, until: float) -> Iterator[None]:
    """Hold a lock.

    Raises:
        WebSocketTimeoutException: it is not free before *until*.
    """
    remaining = -1 if until == inf else max(0.0, until - time.monotonic())
    if not lock.acquire(timeout=remaining):
        raise WebSocketTimeoutException(TIMED_OUT)
    try:
        yield
    finally:
        lock.release()


def close_content(status: int, reason: str | bytes | None) -> bytes:
    """Return the reason in bytes, cut at the end of a character to what a close frame can hold."""
    if not 0 <= status < 1 << 16:
        raise ValueError("code is invalid range")
    content = reason.encode() if isinstance(reason, str) else bytes(reason or b"")
    most = MAX_CONTROL_PAYLOAD - 2
    return content if len(content) <= most else content[:most].decode(errors="ignore").encode()


def log_close_status(status: int) -> None:
    """Log the code with which the server has answered our close frame, unless it is a usual one."""
    if 3000 <= status <= 4999:
        debug(f"close status: {status!r}")
    elif status not in (CloseCode.NORMAL, CloseCode.NO_STATUS):
        error(f"close status: {status!r}")


class NoLock:
    """Takes the place of a lock with ``enable_multithread=False``."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """There is nothing to wait for."""
        return True

    def release(self) -> None:
        """There is nothing to release."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *args: object) -> None:
        pass


class ClientSession(WebSocketSession):
    """The session of a WebSocket. Its frames are sent with the WebSocket's ``send``."""

    __slots__ = ("_put_out",)

    def __init__(self, put_out: Callable[[bytes, int], Any]) -> None:
        super().__init__(Role.CLIENT)
        self._put_out = put_out

    def _write(self, opcode: int, payload: bytes, fin: bool = True, rsv: int = 0) -> int:
        self._put_out(payload, opcode)
        return len(payload)

    def begin_close(self, status: int, reason: bytes) -> None:
        """Send a close frame with this content, unless one was sent already."""
        self._be_open()
        if self.sent_close is None:
            self._change(Input.SENT_CLOSE)
            self.sent_close = Close(status, reason.decode(errors="replace"))
            self._write(OP_CLOSE, status.to_bytes(2, "big") + reason)

    def end(self, last: Close | Failure) -> None:
        """Process the peer's last frame, and answer it."""
        self._be_open()
        self._ended = True
        self.accept(last)

    def _be_open(self) -> None:
        if self.state is State.CONNECTING:  # the user has set ``sock``
            self.opened()


class ClientSocket:
    """The part of WebSocket that deals with its socket. See there for the public attributes.

    Args:
        settings: socket options and time-out.
        dispatcher: an object whose ``send(sock, data)`` does the writing; or None.
        threads: whether several threads use the connection.
    """

    def __init__(self, settings: sock_opt, dispatcher: Any, *, threads: bool) -> None:
        self.sock_opt = settings
        self.dispatcher = dispatcher
        # Reentrant: a signal handler may close a connection that its own thread uses.
        self.lock: Any = threading.RLock() if threads else NoLock()
        self.readlock: Any = threading.RLock() if threads else NoLock()
        self._ending = threading.RLock()  # held while the socket is removed
        # The point in time that limits the closing handshake instead of the time-out; only set by
        # a thread that holds ``lock``, or ``readlock``.
        self._write_until: float | None = None
        self._read_until: float | None = None
        self.sock = None

    def send(self, payload: Any, opcode: int) -> int:
        """Send a frame. The frames of the session are sent here, too."""
        raise NotImplementedError

    def _forget_input(self) -> None:
        """Forget bytes that were read and not used: they belong to an earlier connection."""
        raise NotImplementedError

    # -- the socket, and the state of the connection -----------------------------------------

    @property
    def sock(self) -> Any:
        """The socket, or None. Setting it attaches a socket of your own."""
        return self._sock

    @sock.setter
    def sock(self, sock: Any) -> None:
        self._sock = sock
        # The object for reading and writing: the socket itself, or TLS made safe for threads.
        self._stream: Any = sock
        # A class that a test substitutes for SSLSocket has fewer attributes than a socket.
        if is_tls(sock) and hasattr(sock, "gettimeout"):
            timeout = self.sock_opt.timeout
            self._stream = TLSDuplex(sock, sock.gettimeout() if timeout is None else timeout)
        self._session = self._new_session()
        self._unsent = memoryview(b"")  # the rest of a frame that was interrupted
        self._forget_input()

    def _new_session(self) -> ClientSession:
        # Looked up at each call: ``send`` may be replaced on the object.
        return ClientSession(lambda payload, opcode: self.send(payload, opcode))

    @property
    def connected(self) -> bool:
        """Whether messages can be sent."""
        return self._session.state is State.OPEN

    @connected.setter
    def connected(self, value: bool) -> None:
        if value != self.connected:
            self._session = self._new_session()
            if value:
                self._session.opened()

    def fileno(self) -> int:
        """Return the socket's descriptor.

        Raises:
            WebSocketException: there is none.
        """
        if self.sock is None:
            raise WebSocketException("Connection not established")
        return int(self.sock.fileno())

    def is_ssl(self) -> bool:
        """Whether the connection is over TLS."""
        return is_tls(self.sock)

    def gettimeout(self) -> float | None:
        """Return the time-out in seconds, or None."""
        return self.sock_opt.timeout

    def settimeout(self, timeout: float | None) -> None:
        """Set the time-out.

        Args:
            timeout: seconds that a call may wait without one byte being sent or received; None: no
                limit. 0: never wait. A call that runs out of time raises
                WebSocketTimeoutException, never BlockingIOError, and can be repeated: the
                received part of a frame is kept.
        """
        check_timeout(timeout)
        self.sock_opt.timeout = timeout
        if self._stream is not None:
            self._stream.settimeout(timeout)

    timeout = property(gettimeout, settimeout)

    # -- writing and reading -------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        """Write a frame, after the rest of the previous one, if there is any."""
        with self.lock:
            if self._unsent:
                self._flush()
            self._unsent = memoryview(data)
            try:
                self._flush()
            except WebSocketTimeoutException:
                # TLS has encrypted it already, and cannot take it back.
                if len(self._unsent) == len(data) and not self.is_ssl():
                    self._unsent = memoryview(b"")
                    raise
                raise WebSocketTimeoutException(
                    f"{TIMED_OUT} within a frame: the rest goes out before the next one"
                ) from None

    def _flush(self) -> None:
        while self._unsent:
            self._unsent = self._unsent[self._send(self._unsent) :]

    def _send(self, data: Any) -> int:
        stream = self._stream
        if stream is None:
            raise WebSocketConnectionClosedException(CLOSED)
        if self.dispatcher:
            return int(self.dispatcher.send(self.sock, bytes(data)))
        return send(stream, data, self._write_until)

    def _recv(self, bufsize: int) -> bytes:
        stream, session = self._stream, self._session
        if stream is None:
            raise WebSocketConnectionClosedException("Connection is closed")
        if session.state is not OPEN and session.ended:
            self.shutdown()
            last = session.received_close or session.sent_close or Close(CloseCode.ABNORMAL, "")
            raise WebSocketConnectionClosedException(
                LOST, status_code=last.code, reason=last.reason
            )
        try:
            return recv(stream, bufsize, self._read_until)
        except (WebSocketConnectionClosedException, OSError) as exc:
            if self._stream is None:  # another thread has closed it
                raise WebSocketConnectionClosedException("Connection is closed") from exc
            if not isinstance(exc, OSError):
                self.shutdown()
            raise  # after a reset the socket stays: sending raises the system's exception

    # -- the end -------------------------------------------------------------------------

    def abort(self) -> None:
        """End the connection at once, without a close frame. Any thread.

        A thread that waits in :meth:`recv` wakes up with WebSocketConnectionClosedException.
        """
        if self.sock is not None:
            shut_down(self.sock)

    def shutdown(self) -> None:
        """Close the socket at once. Any thread; a thread that waits in :meth:`recv` wakes up."""
        with self._ending:
            sock, stream = self._sock, self._stream
            self._sock = self._stream = None
            if sock is None:
                return
            if self._session.state is not State.CLOSED:
                self._session.lost()
        if isinstance(stream, TLSDuplex):
            stream.say_goodbye()
        shut_down(sock)
        # A thread may still wait for the descriptor: its number must not go to another socket yet.
        free = self.readlock.acquire(timeout=PATIENCE)
        try:
            if getattr(sock, "_closed", False) is not True:  # it may have been closed elsewhere
                sock.close()
        except OSError as exc:
            debug(f"the socket could not be closed: {exc}")
        finally:
            if free:
                self.readlock.release()
