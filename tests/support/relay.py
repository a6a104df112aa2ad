"""A proxy that does what it is asked for: CONNECT, and bytes both ways."""

from __future__ import annotations

import select
import socket
import ssl
from typing import Any

from .peers import Talk, http

ESTABLISHED = http("HTTP/1.1 200 Connection established")

WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def relay(talk: Talk) -> None:
    """Connect to what the client asks for, and carry bytes until one of both ends."""
    host, _, port = talk.head().request_line.split()[1].rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port))) as far:
        talk.send(ESTABLISHED)
        pump(talk.sock, far)


def pump(near: Any, far: Any) -> None:
    """Carry bytes between two sockets, either of which may speak TLS."""
    waiting = {near: b"", far: b""}  # what is to be sent to whom
    for sock in waiting:
        sock.setblocking(False)
    ended = False
    while not ended:
        moved = False
        for source, target in ((near, far), (far, near)):
            try:
                data = source.recv(65536)
                waiting[target] += data
                moved, ended = True, ended or not data
            except WOULD_BLOCK:
                pass
            try:
                if waiting[target]:
                    waiting[target] = waiting[target][target.send(waiting[target]) :]
                    moved = True
            except WOULD_BLOCK:
                pass
        if not moved:
            select.select(waiting, [sock for sock in waiting if waiting[sock]], [], 20.0)
