"""The classes of websocket-client's ``_dispatcher``, for programs that subclass them.

What it is: the loop in which websocket-client's ``run_forever`` waits for its socket, as an
object. Our run_forever waits on the reactor, and uses none of these.

What it must not know: the app, except for ``keep_running`` and ``sock``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ...loop.poller import wait_for
from ..blocking.socket_io import send
from ..tracing import info

__all__ = ["Dispatcher", "DispatcherBase", "SSLDispatcher", "WrappedDispatcher"]


class DispatcherBase:
    """The common base class.

    Args:
        app: the app that is served.
        ping_timeout: seconds of one wait, or None.
    """

    def __init__(self, app: Any, ping_timeout: float | None) -> None:
        self.app = app
        self.ping_timeout = ping_timeout

    def timeout(self, seconds: float | None, callback: Callable[[], Any]) -> None:
        """Wait, then call."""
        if seconds is not None:
            time.sleep(seconds)
        callback()

    def reconnect(self, seconds: float, reconnector: Callable[..., Any]) -> None:
        """Wait, then call with ``reconnecting=True``."""
        info(f"reconnect() - retrying in {seconds} seconds")
        time.sleep(seconds)
        reconnector(reconnecting=True)

    def send(self, sock: Any, data: bytes | str) -> int:
        """Send as much of *data* as possible; return the number of bytes."""
        return send(sock, data)


class Dispatcher(DispatcherBase):
    """Waits for a plain socket."""

    def read(
        self, sock: Any, read_callback: Callable[[], Any], check_callback: Callable[[], Any]
    ) -> None:
        """Call *read_callback* when there is something to read, as long as it returns True.

        *check_callback* is called after each wait. It ends when the app does.
        """
        app = self.app
        if app.sock is None or app.sock.sock is None:
            return
        sock = app.sock.sock
        while app.keep_running:
            if self._is_readable(sock) and not read_callback():
                break
            check_callback()

    def _is_readable(self, sock: Any) -> bool:
        return bool(wait_for([sock.fileno()], [], self.ping_timeout))


class SSLDispatcher(Dispatcher):
    """Waits for a TLS socket, which may hold bytes that the kernel no longer has."""

    def _is_readable(self, sock: Any) -> bool:
        return bool(sock.pending()) or super()._is_readable(sock)

    def select(self, sock: Any, sel: Any) -> Any:
        """Return something true when there is something to read, after waiting with *sel*."""
        if self.app.sock is None:
            return None
        sock = self.app.sock.sock
        if sock.pending():
            return [sock]
        ready = sel.select(self.ping_timeout)
        return ready[0][0] if ready else None


class WrappedDispatcher:
    """Passes everything on to a foreign dispatcher, ``rel`` for example.

    Args:
        app, ping_timeout: see :class:`DispatcherBase`.
        dispatcher: has ``signal``, ``abort``, ``read``, ``timeout`` and ``buffwrite``.
        handleDisconnect: called by ``buffwrite`` when the connection is lost; or None.
    """

    def __init__(
        self,
        app: Any,
        ping_timeout: float | None,
        dispatcher: Any,
        handleDisconnect: Callable[..., Any] | None,  # noqa: N803 - the name in use
    ) -> None:
        self.app = app
        self.ping_timeout = ping_timeout
        self.dispatcher = dispatcher
        self.handleDisconnect = handleDisconnect
        try:
            dispatcher.signal(2, dispatcher.abort)  # Ctrl-C
        except ValueError:
            pass  # Python handles signals on its main thread only: go on without

    def read(
        self, sock: Any, read_callback: Callable[[], Any], check_callback: Callable[[], Any]
    ) -> None:
        """Have *read_callback* called when there is something to read."""
        self.dispatcher.read(sock, read_callback)
        if self.ping_timeout:
            self.timeout(self.ping_timeout, check_callback)

    def send(self, sock: Any, data: bytes | str) -> int:
        """Have *data* sent; return its length."""
        self.dispatcher.buffwrite(sock, data, send, self.handleDisconnect)
        return len(data)

    def timeout(self, seconds: float, callback: Callable[..., Any], *args: Any) -> None:
        """Have *callback* called after so many seconds."""
        self.dispatcher.timeout(seconds, callback, *args)

    def reconnect(self, seconds: float, reconnector: Callable[..., Any]) -> None:
        """Have *reconnector* called with True after so many seconds."""
        self.timeout(seconds, reconnector, True)
