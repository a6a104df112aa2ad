"""Handlers that leave the loop by KeyboardInterrupt or SystemExit; continues test_connection.py."""

from __future__ import annotations

import pytest

from ..support.scene import Actor, Scene
from ..support.websocket_frames import CLOSE, TEXT, build_frame, close_payload


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_the_rest_of_the_read_is_delivered_when_the_loop_runs_again(
    scene: Scene, kind: type[BaseException]
) -> None:
    def leave(actor: Actor) -> None:
        if len(actor.messages) == 1:
            raise kind

    actor = Actor(message=leave, close=lambda _: scene.loop.stop())
    peer = scene.open(actor)
    goodbye = close_payload(1000, b"bye")
    peer.send(
        *(build_frame(TEXT, text) for text in (b"1", b"2", b"3")), build_frame(CLOSE, goodbye)
    )
    with pytest.raises(kind):
        scene.loop.run_forever()
    assert actor.events == [("open",), ("message", "1")]
    scene.loop.run_forever()
    assert actor.events[2:] == [("message", "2"), ("message", "3"), ("close", 1000, "bye")]
    assert peer.told() == [(CLOSE, goodbye)]


def test_the_rest_comes_before_what_came_later(scene: Scene) -> None:
    def leave(actor: Actor) -> None:
        if len(actor.messages) < 3:
            raise KeyboardInterrupt

    actor = Actor(message=leave)
    peer = scene.open(actor)
    peer.text("1", "2", "3")
    with pytest.raises(KeyboardInterrupt):
        scene.turn()
    peer.text("4")
    with pytest.raises(KeyboardInterrupt):  # out of the rest, which is left once more
        scene.turn()
    scene.turn()
    assert actor.messages == ["1", "2", "3", "4"]
    actor.abort()
