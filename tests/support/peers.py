"""Scripted peers: those of the test kit, and scripts that several tests play."""

from __future__ import annotations

from collections.abc import Callable

from reactor.testing import Head, Script, ScriptedPeer, Talk, faults
from reactor.testing import http_response as http
from reactor.testing.peer import PATIENCE, accept_for

from .websocket_frames import TEXT, build_frame

__all__ = [
    "PATIENCE",
    "Head",
    "Script",
    "ScriptedPeer",
    "Serve",
    "Talk",
    "accept_for",
    "answer",
    "echo",
    "greet",
    "http",
    "silence",
]

#: What starts peers: called with what ScriptedPeer takes.
Serve = Callable[..., ScriptedPeer]

echo = faults.echo()
silence = faults.mute(upgrade=False)


def greet(talk: Talk) -> None:
    """Accept the upgrade with a message glued to it, then wait until the client has gone."""
    talk.upgrade(then=build_frame(TEXT, b"hello"))
    talk.until_closed()


def answer(*lines: str, body: bytes = b"") -> Script:
    """Return a script that answers a request with this, and ends its side."""

    def script(talk: Talk) -> None:
        talk.head()
        talk.send(http(*lines, body=body))
        talk.end()

    return script
