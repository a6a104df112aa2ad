"""Connections that somebody watches: for silence, frames, bytes, and handlers that take long."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest

import reactor
from reactor import WebSocketTimeoutException
from reactor.connection.connection import Connection
from reactor.loop.slow import SlowCallbacks

from ..support.recorder import Recorder
from ..support.scene import GOODBYE, Actor, Scene, text


def test_one_on_which_no_message_comes_is_dropped(scene: Scene) -> None:
    recorder = Recorder()
    peer = scene.open(recorder, idle_timeout=64.0)
    scene.turn(60.0)
    peer.text("x")
    scene.turn()
    scene.turn(60.0)
    assert recorder.closes == []
    scene.turn(6.0, count=2)
    assert recorder.closes == [(1006, "idle")]
    assert [type(error) for error in recorder.errors] == [WebSocketTimeoutException]


def test_one_that_is_being_closed_is_watched_no_longer(scene: Scene) -> None:
    recorder = Recorder()
    peer = scene.open(recorder, idle_timeout=2.0, close_timeout=100.0, ping_interval=2.0)
    assert scene.timers == 2
    recorder.close()
    assert scene.timers == 1  # for the peer's close frame
    scene.turn(50.0, count=2)
    assert recorder.closes == []
    peer.send(GOODBYE)
    scene.turn()
    assert recorder.names == ["open", "close"]


def test_the_frames_of_one_are_shown_from_the_first_on(scene: Scene) -> None:
    file = io.StringIO()
    recorder = Recorder()
    reactor.trace(recorder, file)
    scene.open(recorder, text("with the handshake"))
    assert "data=with the handshake" in file.getvalue()
    assert recorder.messages == ["with the handshake"]


class Ear:
    """Listens to connections: see connection/wiretap.py."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes, list[str]]] = []

    def handshake(self, _: Connection | None) -> None:
        """Nobody is told of it."""

    def attached(self, connection: Connection, leftover: bytes) -> None:
        """See Wiretap."""
        protocol: Any = connection.protocol
        self.heard.append((connection.url, leftover, list(protocol.names)))


@pytest.mark.parametrize("where", ["loop", "protocol"])
def test_who_listens_is_told_before_anything_is_read(scene: Scene, where: str) -> None:
    ear = Ear()
    recorder, other = Recorder(), Recorder()
    if where == "loop":
        scene.loop.loop.wiretaps = (ear,)
    else:
        recorder._reactor_wiretaps = (ear,)
    scene.open(recorder, text("x"), url="ws://scene/one")
    scene.open(other, url="ws://scene/two")
    heard = [("ws://scene/one", text("x"), []), ("ws://scene/two", b"", [])]
    assert ear.heard == heard[: 1 + (where == "loop")]
    assert recorder.names == ["open", "message"]


def test_a_handler_that_takes_long_is_named(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.loop.loop.slow = SlowCallbacks(scene.loop.loop, 0.1)
    actor = Actor(message=lambda _: scene.clock.advance(0.25))
    peer = scene.open(actor)
    peer.text("x")
    scene.turn()
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("reactor.loop", logging.WARNING)
    assert "Actor.on_message" in record.getMessage()
    assert "took 0.250 seconds" in record.getMessage()
