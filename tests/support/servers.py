"""WebSocket servers on a thread of their own, for clients that block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from reactor import Reactor, WebSocketProtocol


class Echo(WebSocketProtocol):
    """Sends back what comes."""

    def on_message(self, message: str | bytes) -> None:
        self.send(message)


@contextmanager
def serve_with_reactor(
    protocol: Callable[[], WebSocketProtocol] = Echo, **options: Any
) -> Iterator[str]:
    """Run ``Reactor.listen`` on a thread; gives the URL."""
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, protocol, **options)
        scheme = "wss" if options.get("ssl") else "ws"
        thread = threading.Thread(target=loop.run_forever, name="server")
        thread.start()
        try:
            yield f"{scheme}://127.0.0.1:{listener.port}"
        finally:
            loop.call_soon_threadsafe(listener.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10.0)
            assert not thread.is_alive(), "the server hangs"


@contextmanager
def serve_with_websockets(**options: Any) -> Iterator[str]:
    """Run an echo server of the `websockets` package on a thread; gives the URL."""
    from websockets.sync.server import ServerConnection, serve

    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever, name="server")
        thread.start()
        try:
            port = server.socket.getsockname()[1]
            yield f"{'wss' if options.get('ssl') else 'ws'}://127.0.0.1:{port}"
        finally:
            server.shutdown()
            thread.join(10.0)
            assert not thread.is_alive(), "the server hangs"
