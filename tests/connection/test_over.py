"""connection/over.py. That nothing is left of any connection: see tests/test_cycles.py."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from reactor import Reactor, State
from reactor.testing import connect_pair, run_until
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


def test_whoever_kept_the_connection_finds_its_protocol_object(scene: Scene) -> None:
    actor = Actor()
    scene.open(actor).close()
    scene.turn(count=3)
    connection = actor._reactor_connection
    assert connection.protocol is actor  # type: ignore[attr-defined]
    assert "Actor" in connection.whose()  # type: ignore[attr-defined]


def test_a_protocol_object_that_is_gone_can_be_closed(scene: Scene) -> None:
    actor = Actor()
    scene.open(actor).close()
    scene.turn(count=3)
    connection: Any = actor._reactor_connection
    del actor
    connection.protocol.close()
    connection.protocol.abort()


@pytest.mark.parametrize(
    "send",
    [
        lambda actor: actor.send("x"),
        lambda actor: actor.send_fragments(["x"]),
        lambda actor: actor.send_fragment("x"),
        lambda actor: actor.ping(b"x"),
    ],
    ids=["send", "send_fragments", "send_fragment", "ping"],
)
def test_a_connection_may_end_while_a_thread_sends(
    send: Callable[[Actor], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Reactor() as loop:
        client, server = connect_pair(loop, Actor, Actor)
        hand_over = loop.loop.call_soon_threadsafe
        over, stopped, failed = threading.Event(), threading.Event(), list[BaseException]()

        def hand_over_and_wait(*args: Any) -> None:
            hand_over(*args)
            stopped.set()
            over.wait(20)

        def work() -> None:
            try:
                send(client)
            except BaseException as exc:
                failed.append(exc)

        monkeypatch.setattr(loop.loop, "call_soon_threadsafe", hand_over_and_wait)
        thread = threading.Thread(target=work)
        thread.start()
        assert stopped.wait(20)
        monkeypatch.undo()
        server.abort()
        run_until(loop, lambda: client.state is State.CLOSED)
        for _ in range(3):
            loop.run_once(0)
        over.set()
        thread.join(20)
        assert failed == []


def test_one_that_ends_twice_within_a_callback(scene: Scene) -> None:
    def again(actor: Actor) -> None:
        if len(actor.events) < 4:
            actor.reconnect(0.0)
            actor.close()

    actor = Actor(close=again)
    scene.open(actor).close()
    scene.turn(count=4)
    assert actor.state is State.CLOSED
    connection: Any = actor._reactor_connection
    assert connection.protocol is actor
