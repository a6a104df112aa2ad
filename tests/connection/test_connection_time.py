"""What time does to connections: pings, timeouts, and what paused reading means for them."""

from __future__ import annotations

from typing import Any

import pytest

from reactor import (
    WebSocketTimeoutException,
)
from reactor.timers import Timer, TimerWheel

from ..support.recorder import Recorder
from ..support.scene import (
    GOODBYE,
    Actor,
    Scene,
    closes,
    echo,
    in_thread,
    text,
)
from ..support.websocket_frames import (
    PING,
    PONG,
    TEXT,
    build_frame,
)


class TestPausedReading:
    def test_what_comes_stays_in_the_kernel(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.pause_reading()
        peer.text("one")
        scene.turn(count=2)
        assert scene.sock.receives == []
        recorder.resume_reading()
        scene.turn()
        assert recorder.messages == ["one"]

    def test_what_was_read_is_still_delivered(self, scene: Scene) -> None:
        actor = Actor(message=lambda actor: actor.pause_reading())
        peer = scene.open(actor)
        peer.text("one", "two")
        scene.turn()
        peer.text("three")
        scene.turn()
        assert actor.messages == ["one", "two"]

    def test_from_the_first_moment(self, scene: Scene) -> None:
        actor = Actor(open=lambda actor: actor.pause_reading())
        peer = scene.open(actor, text("came with the handshake"))
        peer.text("later")
        scene.turn()
        assert actor.messages == ["came with the handshake"]

    def test_it_means_nothing_without_a_connection(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder)
        recorder.pause_reading()
        recorder.resume_reading()
        peer = scene.succeed(text("hello"))
        assert recorder.messages == ["hello"]
        peer.say_goodbye()
        scene.turn()
        recorder.pause_reading()
        recorder.resume_reading()
        peer.end()
        scene.turn()
        assert scene.nothing_goes_on()

    def test_it_is_for_the_loop_s_thread(self, scene: Scene) -> None:
        """Which debug mode checks."""
        recorder = Recorder()
        scene.open(recorder)
        scene.loop.loop.debug = True
        caught: list[RuntimeError] = []

        def elsewhere() -> None:
            for verb in (recorder.pause_reading, recorder.resume_reading):
                try:
                    verb()
                except RuntimeError as exc:
                    caught.append(exc)

        scene.loop.call_soon(in_thread, elsewhere)
        scene.turn()
        assert len(caught) == 2

    def test_writing_goes_on(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.pause_reading()
        scene.sock.room = 0
        recorder.send("x")
        scene.sock.room = None
        scene.turn()
        assert peer.told() == [(TEXT, b"x")]


class TestKeepAlive:
    """When the peer is pinged, and when it is given up. The timer's exact times: test_keepalive."""

    def test_who_is_silent_is_pinged(self, scene: Scene) -> None:
        peer = scene.open(Recorder(), ping_interval=10, ping_payload="are you there?")
        scene.turn(9.999)
        assert peer.told() == []
        scene.turn(0.001)
        assert peer.told() == [(PING, b"are you there?")]

    def test_the_first_ping_comes_at_a_random_time_within_the_interval(self, scene: Scene) -> None:
        """So that connections which were opened together do not ping together."""
        scene.loop.loop.random = lambda: 0.5
        peer = scene.open(Recorder(), ping_interval=10)
        scene.turn(7.499)
        assert peer.told() == []
        scene.turn(0.001)
        assert peer.told() == [(PING, b"")]

    def test_any_traffic_postpones_the_ping_and_counts_as_an_answer(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=5)
        for _ in range(10):
            scene.turn(6)
            peer.text("I am here")
            scene.turn()
        assert [opcode for opcode, _ in peer.told()] == []
        scene.turn(10)
        assert peer.told() == [(PING, b"")]
        scene.turn(4)
        peer.text("no pong, but a sign of life")
        scene.turn()
        scene.turn(5)
        assert recorder.closes == []

    def test_a_trickle_counts_too(self, scene: Scene) -> None:
        """A large message that comes slowly is no silence."""
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=5)
        for octet in text("0123456789"):
            peer.send(bytes([octet]))
            scene.turn(8)
        assert recorder.messages == ["0123456789"]
        assert peer.told() == []

    def test_periodic_pings_go_on_whatever_comes(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=None, ping_when_idle=False)
        for _ in range(30):
            peer.text("chatter")
            scene.turn(1)
        assert peer.told() == [(PING, b"")] * 3

    def test_to_periodic_pings_only_a_pong_is_an_answer(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=5, ping_when_idle=False)
        scene.turn(10)
        peer.send(build_frame(PONG))
        scene.turn()
        scene.turn(10)  # 20: the second ping
        peer.text("no pong")
        scene.turn(4.999)
        assert recorder.closes == []
        scene.turn(0.001, count=2)
        assert recorder.closes == [(1006, "")]

    @pytest.mark.parametrize("when_idle", [True, False])
    def test_who_does_not_answer_is_given_up(self, scene: Scene, when_idle: bool) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=5, ping_when_idle=when_idle)
        scene.turn(10)
        scene.turn(4.999)
        assert recorder.names == ["open"]
        scene.turn(0.001)
        assert recorder.names == ["open", "error", "close"]
        (error,) = recorder.errors
        assert type(error) is WebSocketTimeoutException
        assert str(error) == "ping/pong timed out"
        assert recorder.closes == [(1006, "")]
        assert peer.told() == [(PING, b"")]
        assert peer.ended
        scene.turn()
        assert scene.nothing_goes_on()

    @pytest.mark.parametrize("when_idle", [True, False])
    def test_who_takes_what_is_queued_is_alive(self, scene: Scene, when_idle: bool) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=5, ping_when_idle=when_idle)
        scene.sock.room = 0
        recorder.send(bytes(100))
        for _ in range(10):
            scene.sock.room = 10
            scene.turn(4, count=2)  # the ping waits in the queue
        assert recorder.names == ["open"]
        scene.sock.room = None
        scene.turn(4, count=2)
        assert peer.told()[-1] == (PING, b"")
        scene.turn(4.999, count=2)  # its time runs from now on
        assert recorder.names == ["open"]
        scene.turn(1, count=2)
        assert recorder.closes == [(1006, "")]

    def test_who_takes_nothing_and_gives_nothing_is_found_in_time(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, ping_interval=10, ping_timeout=5)
        scene.sock.room = 0
        recorder.send(bytes(100))
        scene.turn(10)
        scene.turn(5, count=2)
        assert recorder.closes == [(1006, "")]

    def test_who_is_within_a_long_frame_is_alive(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=5, ping_when_idle=False)
        frame = text("x" * 100)
        for octet in frame[:-1]:
            peer.send(bytes([octet]))
            scene.turn(4, count=2)
        assert recorder.names == ["open"]
        peer.send(frame[-1:])
        scene.turn(count=2)
        assert recorder.names == ["open", "message"]
        scene.turn(3.9, count=2)  # a pong behind it still has the whole time-out
        assert recorder.names == ["open", "message"]
        scene.turn(2, count=2)  # but there is none
        assert recorder.closes == [(1006, "")]

    def test_who_stops_within_a_frame_is_given_up(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=5, ping_when_idle=False)
        scene.turn(10)
        peer.send(text("x" * 100)[:50])
        scene.turn(4, count=2)
        scene.turn(4.999, count=2)
        assert recorder.names == ["open"]
        scene.turn(1, count=2)
        assert recorder.closes == [(1006, "")]

    def test_without_a_timeout_nobody_is_given_up(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=None)
        scene.turn(10)
        scene.turn(1000)
        assert recorder.names == ["open"]
        assert len(peer.told()) >= 2

    def test_without_an_interval_there_is_no_timer(self, scene: Scene) -> None:
        peer = scene.open(Recorder(), ping_interval=0)
        assert scene.timers == 0
        scene.turn(1000)
        assert peer.told() == []

    def test_the_time_to_the_pong_is_the_latency(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10)
        latencies = [recorder.latency]
        scene.turn(10)
        latencies.append(recorder.latency)
        scene.clock.advance(0.25)
        peer.send(build_frame(PONG))
        scene.turn()
        latencies.append(recorder.latency)
        recorder.abort()
        scene.turn()
        assert [*latencies, recorder.latency] == [None, None, 0.25, None]

    def test_a_pong_without_a_keep_alive_is_just_an_event(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=None)
        peer.send(build_frame(PONG, b"unasked"))
        scene.turn()
        assert recorder.of("pong") == [(b"unasked",)]
        assert recorder.latency is None

    @pytest.mark.parametrize("when_idle", [True, False])
    def test_a_slow_handler_while_the_pong_waits_in_the_kernel_is_no_timeout(
        self, scene: Scene, when_idle: bool
    ) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=5, ping_when_idle=when_idle)
        scene.turn(10)

        def hang() -> None:  # in the turn in which the timeout is found to be over
            peer.send(build_frame(PONG, b"in time"))
            scene.clock.advance(20)

        scene.loop.call_at(scene.clock.now() + 4.999, hang)
        scene.clock.advance(5)
        scene.turn()  # in which both timers are due, first the one that hangs
        scene.turn(count=3)
        assert recorder.names == ["open", "pong"]

    def test_a_pong_behind_much_else_in_the_kernel_is_found(self, scene: Scene) -> None:
        """Turn by turn, with one read in each, until it is there."""
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=5, ping_when_idle=False)
        scene.turn(10)
        peer.send(*[text("x" * 1000)] * 150, build_frame(PONG))
        scene.clock.advance(100)
        scene.turn(count=5)
        assert recorder.names[-1] == "pong"
        assert recorder.closes == []
        assert len(recorder.messages) == 150

    def test_nor_does_much_else_without_a_pong_help(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=5, ping_when_idle=False)
        scene.turn(10)
        peer.send(*[text("x" * 1000)] * 150)
        scene.clock.advance(100)
        scene.turn(count=5)
        assert len(recorder.messages) == 150
        scene.turn(5)
        assert recorder.names[-2:] == ["error", "close"]

    def test_who_has_paused_reading_is_not_told_of_a_timeout(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=5)
        recorder.pause_reading()
        for _ in range(20):
            scene.turn(10)
            peer.send(build_frame(PONG))
        assert recorder.names == ["open"]
        assert recorder.latency is None  # nothing was measured
        recorder.resume_reading()
        scene.turn(count=2)
        scene.turn(10)
        assert recorder.closes == []
        assert scene.timers == 1

    def test_the_peer_s_end_found_in_the_last_look_is_not_a_timeout(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=5)
        scene.turn(10)
        scene.loop.call_at(scene.clock.now() + 4.999, lambda: peer.say_goodbye(1001))
        scene.turn(5, count=2)
        assert recorder.events == [("open",), ("close", 1001, "")]
        peer.end()
        scene.turn(count=2)
        assert scene.nothing_goes_on()

    @pytest.mark.parametrize("verb", ["close", "abort"])
    def test_the_handler_of_what_is_found_in_the_last_look_may_end_the_connection(
        self, scene: Scene, verb: str
    ) -> None:
        actor = Actor(message=lambda actor: getattr(actor, verb)())
        peer = scene.open(
            actor, ping_interval=10, ping_timeout=5, ping_when_idle=False, close_timeout=3
        )
        scene.turn(10)
        scene.loop.call_at(scene.clock.now() + 4.999, lambda: peer.text("late"))
        scene.turn(5)
        if verb == "close":
            assert peer.told() == [(PING, b""), *closes(1000)]
            peer.send(GOODBYE)
        scene.turn(count=2)
        peer.end()
        scene.turn(count=2)
        assert scene.nothing_goes_on()
        scene.turn(100)  # no timer is left that ends the connection again
        assert actor.names == ["open", "message", "close"]

    def test_a_mute_peer_found_closing_in_the_last_look(self, scene: Scene) -> None:
        actor = Actor(message=lambda actor: actor.close())
        peer = scene.open(
            actor, ping_interval=10, ping_timeout=5, ping_when_idle=False, close_timeout=3
        )
        scene.turn(10)
        scene.loop.call_at(scene.clock.now() + 4.999, lambda: peer.text("late"))
        scene.turn(5)
        assert scene.timers == 1
        for _ in range(20):
            scene.turn(1)
        assert actor.events == [("open",), ("message", "late"), ("close", 1006, "")]
        assert scene.nothing_goes_on()

    def test_the_close_deadline_takes_the_place_of_the_keep_alive(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10, ping_timeout=5, close_timeout=100)
        recorder.close()
        assert scene.timers == 1
        scene.turn(50)
        assert peer.told() == closes(1000)

    @pytest.mark.parametrize("when_idle", [True, False])
    def test_traffic_touches_no_timer(
        self, scene: Scene, when_idle: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operations: list[str] = []
        schedule, cancel = TimerWheel.schedule, Timer.cancel

        def count_schedule(wheel: TimerWheel, *args: Any) -> Timer:
            operations.append("schedule")
            return schedule(wheel, *args)

        def count_cancel(timer: Timer) -> None:
            operations.append("cancel")
            cancel(timer)

        monkeypatch.setattr(TimerWheel, "schedule", count_schedule)
        monkeypatch.setattr(Timer, "cancel", count_cancel)
        actor = Actor(message=echo)
        peer = scene.open(actor, ping_interval=10, ping_timeout=None, ping_when_idle=when_idle)
        operations.clear()
        for _ in range(300):  # half a minute
            peer.send(text("x"), build_frame(PING), build_frame(PONG))
            scene.turn(0.1)
        assert 2 <= len(operations) <= 4  # about one for each interval
        assert set(operations) == {"schedule"}
        assert len(actor.messages) == 300


def test_last_activity_is_when_bytes_last_came(scene: Scene) -> None:
    recorder = Recorder()
    peer = scene.open(recorder)
    scene.turn(3.0)
    assert recorder.last_activity == scene.clock.now() - 3.0
    peer.send(build_frame(PONG, b""))
    scene.turn()
    assert recorder.last_activity == scene.clock.now()
    scene.turn(3.0)
    peer.text("x")
    scene.turn()
    assert recorder.last_activity == scene.clock.now()
