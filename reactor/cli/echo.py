"""A WebSocket server that sends every message back."""

from __future__ import annotations

import argparse

from ..protocols.websocket import WebSocketProtocol
from ..reactor import Reactor
from .serving import add_server_arguments, serve

__all__ = ["Echo", "add_arguments", "run"]


class Echo(WebSocketProtocol):
    """Sends every message back."""

    def on_message(self, message: str | bytes) -> None:
        """See WebSocketProtocol."""
        self.send(message)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See main.py."""
    add_server_arguments(parser, port=9001)


def run(arguments: argparse.Namespace) -> int:
    """See main.py."""
    with Reactor() as loop:
        return serve(loop, arguments, Echo, on_overflow="pause")
