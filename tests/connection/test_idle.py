"""``idle_timeout``: a connection on which no message comes is dropped. What follows depends on the
role."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from reactor import Backoff, Reactor, State, WebSocketTimeoutException
from reactor.loop.names import describe
from reactor.timers import ManualClock

from ..support.driving import run_until
from ..support.recorder import Recorder
from ..support.scene import Actor, Scene, text
from ..support.websocket_frames import PING, PONG, build_frame


class TestIdleTimeout:
    def test_silence_ends_the_connection_and_it_is_opened_anew(self, scene: Scene) -> None:
        recorder = Actor()
        peer = scene.open(recorder, idle_timeout=64.0, reconnect=Backoff.fixed(5.0))
        scene.turn(63.9)
        assert recorder.closes == []
        scene.turn(1.2, count=2)
        (error,) = recorder.errors
        assert isinstance(error, WebSocketTimeoutException)
        assert "64 seconds" in str(error)
        assert recorder.ending is not None
        assert (recorder.ending.initiator, recorder.ending.delay) == ("us", 5.0)
        assert peer.told() == [(8, b"\x03\xe9idle")]

    def test_a_message_counts_and_touches_no_timer(self, scene: Scene) -> None:
        recorder = Actor()
        peer = scene.open(recorder, idle_timeout=64.0)
        for _ in range(5):
            timers = scene.timers
            scene.turn(50.0)
            peer.text("x")
            scene.turn()
            assert scene.timers == timers
        scene.turn(63.0, count=2)
        assert recorder.closes == []
        scene.turn(3.0, count=2)
        assert recorder.closes == [(1006, "idle")]

    @pytest.mark.parametrize("opcode", [PING, PONG])
    def test_pings_and_pongs_do_not_count(self, scene: Scene, opcode: int) -> None:
        recorder = Actor()
        peer = scene.open(recorder, idle_timeout=64.0)
        for _ in range(4):
            scene.turn(15.0)
            peer.send(build_frame(opcode, b"?"))
            scene.turn()
        assert recorder.last_activity == scene.loop.loop.now
        scene.turn(5.1, count=2)
        assert recorder.closes == [(1006, "idle")]

    @pytest.mark.parametrize("order", ["before", "behind", "between"])
    def test_a_message_among_pongs_counts(self, scene: Scene, order: str) -> None:
        pong, message = build_frame(PONG, b""), text("x")
        recorder = Actor()
        peer = scene.open(recorder, idle_timeout=64.0)
        scene.turn(60.0)
        if order == "before":
            peer.send(message, pong)
        elif order == "behind":
            peer.send(pong, message)
        else:
            peer.send(pong)
            scene.turn()
            peer.send(message)
            scene.turn()
            peer.send(pong)
        scene.turn()
        scene.turn(60.0, count=2)
        assert recorder.closes == []
        scene.turn(6.0, count=2)
        assert recorder.closes == [(1006, "idle")]

    def test_a_slow_handler_fakes_no_silence(self, scene: Scene) -> None:
        def be_slow(_: Actor) -> None:
            scene.clock.advance(100.0)
            peer.text("here I am")

        recorder = Actor(pong=be_slow)
        peer = scene.open(recorder, idle_timeout=64.0)
        peer.send(build_frame(PONG, b""))
        scene.turn(count=4)
        assert recorder.messages == ["here I am"]
        assert recorder.closes == []

    def test_who_has_paused_reading_is_not_told(self, scene: Scene) -> None:
        recorder = Actor()
        scene.open(recorder, idle_timeout=64.0)
        recorder.pause_reading()
        for _ in range(10):
            scene.turn(30.0, count=2)
        recorder.resume_reading()
        scene.turn(50.0, count=2)
        assert recorder.closes == []
        scene.turn(16.0, count=2)
        assert recorder.closes == [(1006, "idle")]

    def test_the_end_of_the_connection_ends_the_watch(self, scene: Scene) -> None:
        recorder = Actor()
        peer = scene.open(recorder, idle_timeout=64.0)
        peer.say_goodbye()
        scene.turn(count=2)
        peer.end()
        scene.turn(count=2)
        assert scene.nothing_goes_on()

    @pytest.mark.parametrize("value", [0, -1, "60", True, float("inf")])
    def test_nonsense_is_an_error(self, scene: Scene, value: Any) -> None:
        with pytest.raises((ValueError, TypeError), match="idle_timeout"):
            scene.loop.connect("ws://scene/", Recorder(), idle_timeout=value)


@pytest.mark.parametrize("what", ["pings", "messages"])
def test_over_a_socket_pings_do_not_count_and_messages_do(what: str) -> None:
    clock = ManualClock(1000.0)
    with Reactor(clock=clock) as loop:
        served: list[Recorder] = []

        def serve() -> Recorder:
            served.append(Recorder())
            return served[-1]

        listener = loop.listen("127.0.0.1", 0, serve, ping_interval=None)
        client = Recorder()
        url = f"ws://127.0.0.1:{listener.port}/"
        loop.connect(url, client, ping_interval=None, idle_timeout=64.0)
        run_until(loop, lambda: served and client.state is State.OPEN)
        heard = len(client.events)
        for _ in range(6):
            clock.advance(20.0)
            if client.state is not State.OPEN:
                break
            if what == "pings":
                served[0].ping(b"?")
            else:
                served[0].send("x")
            heard += 1
            # Or it has ended, which is heard of, too.
            run_until(loop, partial(lambda least: len(client.events) >= least, heard))
        run_until(loop, lambda: what == "messages" or client.closes)
        assert client.closes == ([] if what == "messages" else [(1006, "idle")])


@pytest.mark.parametrize("ends", [False, True])
def test_what_has_come_in_the_last_moment_is_read_before_a_connection_counts_as_idle(
    scene: Scene, ends: bool
) -> None:
    """It comes behind the poll of the turn in which the time is over."""
    late = Recorder()
    peer = scene.open(late, idle_timeout=10.0)

    def send_to_the_other(_: Actor) -> None:
        if ends:
            peer.say_goodbye()
        else:
            peer.text("just in time")

    busy = Actor(message=send_to_the_other)
    other = scene.open(busy)
    scene.turn(9.9)
    other.text("go")
    scene.turn(0.3, count=2)
    if ends:
        assert late.closes == [(1000, "")]
    else:
        assert (late.messages, late.closes) == (["just in time"], [])
    scene.turn(9.0)
    late.abort()
    busy.abort()


def test_a_look_that_takes_long_is_blamed_by_whom_it_works_for(scene: Scene) -> None:
    recorder = Recorder()
    scene.open(recorder, idle_timeout=10.0)
    connection: Any = recorder._reactor_connection
    assert describe(connection.idle._look) == "IdleWatch._look for Recorder on ws://scene/"
    recorder.abort()
