"""The verbs of a dispatcher: what websocket-client calls on the object passed as ``dispatcher=``.

What it is: ``signal``, ``abort``, ``read``, ``write``, ``timeout``, ``buffwrite`` and
``dispatch``, on an event loop, with the meaning that they have in the ``rel`` package. A Reactor
passes them on to an object of this class, so it can be given to websocket-client's own
WebSocketApp, and drives it.

What it must not know: WebSocket.

How it works. The users of these verbs close their sockets without notice. So the socket of each
descriptor is kept, and a descriptor whose socket was closed is forgotten: when another socket with
the same number is about to be watched, and before every turn.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from typing import Any

from ..base.marks import calls_user_code
from ..loop.event_loop import EventLoop
from ..transports.tls.nested import is_tls

__all__ = ["VERBS", "Verbs"]

#: Bytes passed to a socket at a time.
CHUNK = 65536

#: The methods of Verbs. ``signal`` is the event loop's own.
VERBS = frozenset({"abort", "buffwrite", "dispatch", "read", "timeout", "write"})


class Verbs:
    """The verbs of a dispatcher, on an event loop.

    Args:
        loop: the event loop. All of this belongs to its thread, except ``buffwrite`` and ``abort``.
    """

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._sockets: dict[int, Any] = {}  # descriptor -> its socket when it was given to us
        self._writes: dict[int, _BufferedWrite] = {}  # descriptor -> what is still to be written

    def read(self, sock: Any, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` whenever *sock* is readable, until it returns a false value.

        Args:
            sock: a socket, or any object with ``fileno()``.
            callback: what to call, with *args*.

        Raises:
            OSError: *sock* is closed.
        """
        fd = self._take(sock)
        self._loop.add_reader(fd, self._on_readable, sock, fd, callback, args)
        if is_tls(sock) and sock.pending():
            self._loop.call_soon(self._read_pending, sock, fd)

    @calls_user_code
    def _read_pending(self, sock: Any, fd: int) -> None:
        """OpenSSL already held bytes when the socket was given to us."""
        reader = self._loop.poller.readers.get(fd)
        if reader is not None and self._sockets.get(fd) is sock and _is_open(sock, fd):
            reader()

    @calls_user_code
    def _on_readable(
        self, sock: Any, fd: int, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        again: object = True  # after an exception, too: it is logged, and affects only one message
        try:
            again = callback(*args)
            # OpenSSL may hold bytes that the poller does not see.
            while again and is_tls(sock) and _is_open(sock, fd):
                if not sock.pending():
                    break
                again = callback(*args)
        finally:
            if not again and _is_open(sock, fd):
                self._loop.remove_reader(fd)

    def write(self, sock: Any, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` whenever *sock* is writable, until it returns a false value."""
        fd = self._take(sock)
        self._loop.add_writer(fd, self._on_writable, sock, fd, callback, args)

    @calls_user_code
    def _on_writable(
        self, sock: Any, fd: int, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        if not callback(*args) and _is_open(sock, fd):
            self._loop.remove_writer(fd)

    def timeout(self, seconds: float, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` every *seconds*, until it returns a false value."""

        @calls_user_code
        def on_time() -> None:
            if callback(*args):
                self._loop.call_later(seconds, on_time)

        self._loop.call_later(seconds, on_time)

    def buffwrite(
        self,
        sock: Any,
        data: bytes,
        send: Callable[[Any, Any], int],
        on_disconnect: Callable[[Exception], object],
    ) -> None:
        """Send *data* with ``send(sock, data)``: now as much as possible, the rest later.

        It never waits, whatever the mode of the socket is. Any thread: websocket-client sends its
        pings from another one.

        Args:
            sock: the socket.
            data: what to send.
            send: returns how many bytes it has sent.
            on_disconnect: called with the exception if *send* raises one.
        """
        if threading.get_ident() != self._loop.thread_id:
            self._loop.call_soon_threadsafe(self.buffwrite, sock, data, send, on_disconnect)
            return
        fd = self._take(sock)
        pending = self._writes.get(fd)
        if pending is not None:
            pending.data += data
            return
        pending = _BufferedWrite(sock, data, send, on_disconnect)
        if not pending.go_on():
            self._writes[fd] = pending
            self.write(sock, self._write_on, fd, pending)

    def _write_on(self, fd: int, pending: _BufferedWrite) -> bool:
        if not pending.go_on():
            return True
        if self._writes.get(fd) is pending:
            del self._writes[fd]
        return False

    def dispatch(self) -> None:
        """Run until :meth:`abort`, the loop's ``stop()``, or until there is nothing to wait for."""
        self._loop.run_until_idle()

    def abort(self) -> None:
        """End :meth:`dispatch`, or run_forever. Any thread."""
        self._loop.stop()

    # -- sockets that are closed without notice --------------------------------------------

    def _take(self, sock: Any) -> int:
        """Return the descriptor of *sock*, and remember its socket."""
        fd: int = sock.fileno()
        self._forget_closed(fd)
        if not self._sockets:
            self._loop._before_turn = self._forget_all_closed
            self._loop._before_watching = self._forget_closed
        self._sockets[fd] = sock
        return fd

    def _forget_closed(self, fd: int) -> None:
        """Forget the socket of this descriptor, if it was closed."""
        owner = self._sockets.get(fd)
        if owner is not None and not _is_open(owner, fd):
            self._loop.poller.remove(fd)
            self._writes.pop(fd, None)
            del self._sockets[fd]

    def _forget_all_closed(self) -> None:
        for fd in list(self._sockets):
            self._forget_closed(fd)


def _is_open(sock: Any, fd: int) -> bool:
    try:
        return bool(0 <= fd == sock.fileno())
    except ValueError:  # raised by a closed file, or a closed epoll object
        return False


class _BufferedWrite:
    """The data that is still to be written to one socket."""

    def __init__(
        self,
        sock: Any,
        data: bytes,
        send: Callable[[Any, Any], int],
        on_disconnect: Callable[[Exception], object],
    ) -> None:
        self.data = bytearray(data)
        self._sock = sock
        self._send = send
        self._on_disconnect = on_disconnect

    @calls_user_code
    def go_on(self) -> bool:
        """Send what can be sent; return whether this is finished, or the connection has ended."""
        while self.data:
            try:
                sent = self._send_at_once(bytes(self.data[:CHUNK]))
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            except Exception as exc:  # noqa: BLE001 - handed to on_disconnect
                self.data.clear()
                self._on_disconnect(exc)
                return True
            if not sent:
                return False
            del self.data[:sent]
        return True

    @calls_user_code
    def _send_at_once(self, data: bytes) -> int:
        sock = self._sock
        timeout = sock.gettimeout()
        sock.settimeout(0)  # websocket-client's sockets block, which would stop the whole loop
        try:
            return self._send(sock, data)
        finally:
            sock.settimeout(timeout)
