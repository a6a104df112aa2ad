"""Connections in a forked child, which has copies of them. This process plays the child.

What the loop does is in tests/loop/test_lifetime_copy.py, and real children are in
tests/loop/test_lifetime_fork.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from reactor import State, WebSocketForkException

from ..support.recorder import Recorder
from ..support.scene import Scene


def test_nothing_is_told_and_nothing_is_sent(scene: Scene) -> None:
    recorder, closing = Recorder(), Recorder()
    peers = [scene.open(recorder), scene.open(closing)]
    closing.close()
    peers[1].told()
    scene.loop.loop.forked()
    assert (recorder.state, closing.state) == (State.CLOSED, State.CLOSED)
    assert (recorder.names, closing.names) == (["open"], ["open"])
    assert [peer.told() for peer in peers] == [[], []]
    assert not any(peer.ended for peer in peers)


def test_what_is_sent_there_is_refused(scene: Scene) -> None:
    recorder = Recorder()
    scene.open(recorder)
    scene.loop.loop.forked()
    with pytest.raises(WebSocketForkException):
        recorder.send("x")
    recorder.close()
    recorder.abort()
    assert recorder.names == ["open"]


def test_close_closes_the_childs_copies_of_the_sockets(scene: Scene) -> None:
    """Of what is open, of what was, and of what is being opened."""
    recorder, waiting, attempting = Recorder(), Recorder(), Recorder()
    scene.open(recorder)
    sock = scene.sock
    scene.open(waiting, reconnect=60.0).close()
    old = scene.sock
    scene.turn(count=3)
    scene.connect(attempting)
    scene.loop.loop.forked()
    assert sock.fileno() >= 0
    scene.loop.close()
    assert (sock.fileno(), old.fileno()) == (-1, -1)
    assert not scene.loop.connections


def test_what_is_counted_there_is_over(scene: Scene) -> None:
    recorder = Recorder()
    scene.open(recorder)
    recorder.close()
    before = scene.loop.stats()
    assert (before.closing, before.ended) == (1, 0)
    connection: Any = recorder._reactor_connection
    connection.forked()
    connection.forked()
    stats = scene.loop.stats()
    assert (stats.open, stats.closing, stats.ended) == (0, 0, 1)
    scene.loop.loop.forked()
