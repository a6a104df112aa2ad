"""The verbs of a dispatcher: what websocket-client asks of the object given as ``dispatcher=``.

What it is: ``signal``, ``abort``, ``read``, ``write``, ``timeout``, ``buffwrite`` and
``dispatch``, on the event loop, with the meaning that the ``rel`` package gave them. So a
Reactor can be passed to websocket-client's own WebSocketApp, and drives it.

What it must not know: WebSocket.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from .loop import EventLoop

__all__ = ["DispatchingLoop"]


class DispatchingLoop(EventLoop):
    """An event loop that answers to the verbs of a dispatcher. See EventLoop."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._writes: dict[Any, _BufferedWrite] = {}

    def read(self, sock: Any, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` whenever *sock* is readable, until it returns a false value.

        *sock* is a socket, or anything with ``fileno()``.
        """
        fd = sock.fileno()
        self.add_reader(fd, self._on_readable, sock, fd, callback, args)

    def _on_readable(
        self, sock: Any, fd: int, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        again = callback(*args)
        # OpenSSL may hold bytes that the poller does not see.
        while again and isinstance(sock, ssl.SSLSocket) and sock.fileno() == fd and sock.pending():
            again = callback(*args)
        if not again or sock.fileno() != fd:
            self.poller.remove_reader(fd)

    def write(self, sock: Any, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` whenever *sock* is writable, until it returns a false value."""
        fd = sock.fileno()

        def on_writable() -> None:
            if not callback(*args):
                self.remove_writer(fd)

        self.add_writer(fd, on_writable)

    def timeout(self, seconds: float, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` after *seconds*, and again as long as it returns a true value."""

        def on_time() -> None:
            if callback(*args):
                self.call_later(seconds, on_time)

        self.call_later(seconds, on_time)

    def buffwrite(
        self,
        sock: Any,
        data: bytes,
        send: Callable[[Any, Any], int],
        on_disconnect: Callable[[Exception], object],
    ) -> None:
        """Send *data* with ``send(sock, data)``: now what goes out now, the rest when it can.

        Parameters:
            sock: the socket.
            data: what to send.
            send: returns how many bytes it has sent.
            on_disconnect: called with the exception when *send* raises one.
        """
        pending = self._writes.get(sock)
        if pending is not None:
            pending.data += data
            return
        pending = _BufferedWrite(bytearray(data), send, on_disconnect)
        if pending.go_on(sock):
            return
        self._writes[sock] = pending
        self.write(sock, self._write_on, sock)

    def _write_on(self, sock: Any) -> bool:
        if self._writes[sock].go_on(sock):
            del self._writes[sock]
            return False
        return True

    def dispatch(self) -> None:
        """Run until :meth:`abort` or :meth:`stop`, or until nothing is left to wait for."""
        self.run_until_idle()

    def abort(self) -> None:
        """End :meth:`dispatch`, or run_forever. Any thread."""
        self.stop()


class _BufferedWrite:
    """What is left to be written to one socket."""

    def __init__(
        self,
        data: bytearray,
        send: Callable[[Any, Any], int],
        on_disconnect: Callable[[Exception], object],
    ) -> None:
        self.data = data
        self._send = send
        self._on_disconnect = on_disconnect

    def go_on(self, sock: Any) -> bool:
        """Send what goes out; return whether that was all, or the end of the connection."""
        while self.data:
            try:
                sent = self._send(sock, bytes(self.data))
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            except Exception as exc:  # noqa: BLE001 - handed to whoever is concerned
                self._on_disconnect(exc)
                return True
            if not sent:
                return False
            del self.data[:sent]
        return True
