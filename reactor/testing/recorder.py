"""A protocol object that writes down what happens to it.

What it is: a subclass of WebSocketProtocol. What it must not know: which test uses it.
"""

from __future__ import annotations

from typing import Any

from ..protocols.websocket import WebSocketProtocol

__all__ = ["Recorder"]


class Recorder(WebSocketProtocol):
    """Records every call of a handler.

    Attributes:
        events: a tuple for each call: the name of the handler without ``on_``, and its arguments.
    """

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    @property
    def names(self) -> list[str]:
        """The names of the handlers that were called, in order."""
        return [event[0] for event in self.events]

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of every call of one handler."""
        return [event[1:] for event in self.events if event[0] == name]

    @property
    def messages(self) -> list[str | bytes]:
        """The messages that came."""
        return [args[0] for args in self.of("message")]

    @property
    def errors(self) -> list[Exception]:
        """The errors that were reported."""
        return [args[0] for args in self.of("error")]

    @property
    def closes(self) -> list[tuple[int, str]]:
        """The codes and reasons of on_close."""
        return [(args[0], args[1]) for args in self.of("close")]

    # -- handlers ------------------------------------------------------------------------------

    def on_open(self) -> None:
        """Record that the connection is open."""
        self.events.append(("open",))

    def on_reconnect(self) -> None:
        """Record that it is open again."""
        self.events.append(("reconnect",))

    def on_message(self, message: str | bytes) -> None:
        """Record a message."""
        self.events.append(("message", message))

    def on_ping(self, payload: bytes) -> None:
        """Record a ping."""
        self.events.append(("ping", payload))

    def on_pong(self, payload: bytes) -> None:
        """Record a pong."""
        self.events.append(("pong", payload))

    def on_writable(self) -> None:
        """Record that the write queue is short again."""
        self.events.append(("writable",))

    def on_error(self, error: Exception) -> None:
        """Record an error."""
        self.events.append(("error", error))

    def on_close(self, code: int, reason: str) -> None:
        """Record the end of a connection or an attempt."""
        self.events.append(("close", code, reason))
