"""connection/over.py. That nothing is left of any connection: see tests/test_cycles.py."""

from __future__ import annotations

import weakref

import pytest

from tests.support.scene import GOODBYE, Actor, Scene


def test_a_protocol_object_goes_with_its_last_reference(scene: Scene) -> None:
    actor = Actor()
    peer = scene.open(actor)
    peer.send(GOODBYE)
    gone = weakref.ref(actor)
    scene.turn()
    assert actor.events[-1] == ("close", 1000, "bye")
    del actor
    assert gone() is None


def test_handlers_know_the_connection_until_they_have_returned(scene: Scene) -> None:
    told: list[object] = []

    def close(actor: Actor) -> None:
        told.append(actor._reactor_connection.protocol)  # type: ignore[attr-defined]

    actor = Actor(close=close, error=close)
    peer = scene.open(actor)
    peer.close()
    scene.turn(count=2)
    assert told == [actor, actor]


def test_one_that_is_opened_again_within_on_close_lets_go_of_nothing(scene: Scene) -> None:
    actor = Actor(close=lambda actor: actor.reconnect(0.0))
    scene.open(actor).close()
    scene.turn(count=3)
    peer = scene.succeed()
    peer.text("again")
    scene.turn()
    assert actor.messages == ["again"]


def test_one_that_is_opened_again_later_is_as_before(scene: Scene) -> None:
    actor = Actor()
    scene.open(actor).close()
    scene.turn(count=3)
    actor.reconnect(0.0)
    scene.turn(count=3)
    peer = scene.succeed()
    peer.text("again")
    scene.turn()
    assert actor.messages == ["again"]
    actor.send("answer")
    scene.turn()
    assert [payload for _, payload in peer.told()] == [b"answer"]


def test_an_interrupted_on_close(scene: Scene) -> None:
    def interrupt(actor: Actor) -> None:
        raise KeyboardInterrupt

    actor = Actor(close=interrupt)
    peer = scene.open(actor)
    peer.send(GOODBYE)
    with pytest.raises(KeyboardInterrupt):
        scene.turn()
    scene.turn()
    assert actor.state == 3
    gone = weakref.ref(actor)
    del actor
    scene.turn()
    assert gone() is None


def test_callbacks_that_are_still_due_have_a_name(scene: Scene) -> None:
    actor = Actor()
    scene.open(actor).close()
    scene.turn(count=3)
    connection = actor._reactor_connection
    assert connection.reader.whose() == "a connection that is over"  # type: ignore[attr-defined]
