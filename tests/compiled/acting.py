"""Protocol objects and peers that do what a test says, over plain sockets.

On these, the compiled functions act directly.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import reactor
from reactor import Reactor, WebSocketProtocol
from reactor.protocols.deflate import Agreement, Deflate
from reactor.protocols.session import Role

from ..support.recorder import Recorder
from ..support.sockets import Sockets
from ..support.websocket_frames import (
    TEXT,
    build_frame,
    read_frames,
)
from .twins import attach

#: Where there is no twin, there is nothing to be compared.
BUILT = pytest.mark.skipif(
    not reactor.compiled, reason="the compiled twin was not built, or is switched off"
)


AGREEMENT = Agreement(Deflate(threshold=5), 12, 15, False, False)
TAKEOVER = Agreement(Deflate(threshold=5), 12, 15, True, True)


class Act(Recorder):
    """Calls a function with every message, after it has been written down."""

    def __init__(self, action: Callable[[str | bytes], object] = lambda message: None) -> None:
        super().__init__()
        self.action = action

    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self.action(message)


def echo() -> Act:
    protocol = Act()
    protocol.action = protocol.send
    return protocol


def as_client(
    loop: Reactor, protocol: WebSocketProtocol, sockets: Sockets, **options: Any
) -> socket.socket:
    """Have *protocol* be a client on one end of a pair; returns the other."""
    near, far = sockets.pair()
    attach(loop, Role.CLIENT, near, protocol, **options)
    return far


def tcp_pair(sockets: Sockets) -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    for sock in (near, far):
        sockets.enter_context(sock)
        sock.setblocking(False)
    return near, far


def texts_of(*messages: str) -> bytes:
    return b"".join(build_frame(TEXT, message.encode()) for message in messages)


def payloads(data: bytes) -> list[bytes]:
    return [frame.payload for frame in read_frames(data)]


def run_program(program: str, way: str) -> subprocess.CompletedProcess[str]:
    """Run *program* in a process of its own, this way."""
    env = {
        "PYTHONPATH": ":".join(filter(None, sys.path)),
        "PYTHONMALLOC": "debug",
        "REACTOR_PURE_PYTHON": "1" if way == "python" else "",
    }
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
