"""A server of our own, on a thread of its own, for clients that block the test's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from reactor import Reactor, WebSocketProtocol


class Echo(WebSocketProtocol):
    """Sends back what comes."""

    def on_message(self, message: str | bytes) -> None:
        self.send(message)


class ServerThread:
    """A Reactor that listens on a port of the system's choice.

    Parameters:
        protocol: makes the handlers of each connection.
        options: of ``Reactor.listen``.

    Attributes:
        url: where it listens.
        loop: the reactor, for ``call_soon_threadsafe``.
    """

    def __init__(
        self, protocol: Callable[[], WebSocketProtocol] = Echo, **options: Any
    ) -> None:
        self.loop = Reactor()
        self._listener = self.loop.listen("127.0.0.1", 0, protocol, **options)
        scheme = "wss" if options.get("ssl") is not None else "ws"
        self.url = f"{scheme}://127.0.0.1:{self._listener.port}"
        self._thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> ServerThread:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.loop.stop()
        self._thread.join(20)
        assert not self._thread.is_alive(), "the server hangs"
        self.loop.close()
