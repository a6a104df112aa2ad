"""What every host must do: the same conversation, in whichever loop runs the turns."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from reactor import Reactor

from .recorder import Recorder

__all__ = ["Conversation", "EchoServer"]

LARGE = "x" * 3_000_000  # more than the kernel takes at once


class EchoServer(Recorder):
    """A server that answers."""

    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self.send(message)


class _Client(Recorder):
    def __init__(self, conversation: Conversation) -> None:
        super().__init__()
        self._conversation = conversation

    def on_open(self) -> None:
        super().on_open()
        self._conversation.opened()

    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self._conversation.got(message)

    def on_close(self, code: int, reason: str) -> None:
        super().on_close(code, reason)
        self._conversation.closed(code)


class Conversation:
    """Each step is asked for by a callback of the other loop, between turns.

    Args:
        host: the reactor.
        soon: has the other loop call a function, outside of the reactor's turns.
        done: called at the end.

    Attributes:
        log: what has happened.
    """

    EXPECTED = ("open", "timer", "between", "large", "thread", 1000)

    def __init__(
        self,
        host: Reactor,
        soon: Callable[[Callable[[], object]], object],
        done: Callable[[], object],
    ) -> None:
        self.log: list[Any] = []
        self._host = host
        self._soon = soon
        self._done = done
        self._thread = threading.Thread()

    def start(self) -> None:
        """Begin, where nothing has told the other loop of the reactor yet."""
        listener = self._host.listen("127.0.0.1", 0, EchoServer)
        url = f"ws://127.0.0.1:{listener.port}"
        self._client = self._host.connect(url, lambda: _Client(self), proxy=None)

    def opened(self) -> None:
        self.log.append("open")
        self._soon(lambda: self._host.call_later(0.002, self._timer))

    def _timer(self) -> None:
        self.log.append("timer")
        self._soon(lambda: self._client.send("between"))

    def got(self, message: str | bytes) -> None:
        self.log.append("large" if message == LARGE else message)
        if message == "between":
            self._soon(lambda: self._client.send(LARGE))
        elif message == LARGE:
            self._thread = threading.Thread(target=self._client.send, args=("thread",))
            self._thread.start()
        else:
            self._thread.join()
            self._soon(self._client.close)

    def closed(self, code: int) -> None:
        self.log.append(code)
        self._soon(self._done)
