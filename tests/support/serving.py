"""What tests of the server serve with."""

from __future__ import annotations

from .clients import RawClient
from .recorder import Recorder
from .websocket_frames import TEXT


class Echo(Recorder):
    """Sends every message back."""

    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self.send(message)


class Served(list[Echo]):
    """A factory that keeps the protocol objects that it made."""

    def __call__(self) -> Echo:
        self.append(Echo())
        return self[-1]


def echoes(client: RawClient) -> bool:
    """Say whether a client that is open is served."""
    client.send_frame(TEXT, b"hello?")
    return client.frame().payload == b"hello?"
