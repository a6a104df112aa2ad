"""What is counted of a connection: messages, bytes, pings, queues, attempts, errors, times."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path
from typing import Any

import pytest

from reactor import (
    Backoff,
    ConnectionStats,
    Deflate,
    Reactor,
    State,
    WebSocketProtocol,
    broadcast,
)
from reactor.protocols.counters import Counters

from ..support.driving import run_until
from ..support.recorder import Recorder
from ..support.scene import Actor, Scene, echo, text
from ..support.websocket_frames import BINARY, CONT, PING, PONG, TEXT, build_frame


def some(stats: Any, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(stats, name) for name in names)


IN = ("messages_in", "payload_in", "wire_in")
OUT = ("messages_out", "payload_out", "wire_out")


class TestMessages:
    def test_before_connect_everything_is_zero(self) -> None:
        assert WebSocketProtocol().stats == ConnectionStats()
        assert WebSocketProtocol().stats.activity == "none"

    def test_what_comes_is_counted_with_and_without_headers(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, text("hé"), build_frame(BINARY, b"x" * 200))
        assert some(recorder.stats, *IN) == (2, 3 + 200, 2 + 3 + 4 + 200)
        assert some(recorder.stats, *OUT) == (0, 0, 0)

    def test_what_is_sent_is_counted_likewise(self, scene: Scene) -> None:
        actor = Actor()
        scene.open(actor)
        actor.send("hé")
        actor.send(b"x" * 200)
        actor.send(bytearray(70_000))
        assert some(actor.stats, *OUT) == (3, 3 + 200 + 70_000, 6 + 3 + 8 + 200 + 14 + 70_000)

    def test_a_message_in_fragments_is_one(self, scene: Scene) -> None:
        actor = Actor()
        frames = build_frame(TEXT, b"ab", fin=False), build_frame(CONT, b"cd")
        scene.open(actor, *frames)
        assert some(actor.stats, *IN) == (1, 4, 8)
        actor.send_fragments(["ab", "cd"])
        assert actor.stats.messages_out == 1
        assert actor.stats.payload_out == 4

    def test_bytes_that_come_one_by_one_are_counted_once(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        frame = build_frame(TEXT, b"x" * 300)
        for byte in frame:
            peer.send(bytes([byte]))
            scene.turn()
        assert some(recorder.stats, *IN) == (1, 300, len(frame))

    def test_pings_are_counted_apart(self, scene: Scene) -> None:
        actor = Actor()
        scene.open(actor, build_frame(PING, b"a"), build_frame(PONG, b"b"), text("c"))
        actor.ping(b"d")
        stats = actor.stats
        assert some(stats, "messages_in", "messages_out", "pings_in", "pings_out") == (1, 0, 1, 1)
        assert stats.wire_out == 7 + 7  # the pong and the ping

    def test_compressed_messages_count_by_what_they_are(self) -> None:
        with Reactor() as loop:
            listener = loop.listen("127.0.0.1", 0, echoing(), compression="deflate")
            url = f"ws://127.0.0.1:{listener.port}/"
            recorder = Recorder()
            loop.connect(url, recorder, proxy=None, compression=Deflate(threshold=0))
            run_until(loop, lambda: recorder.state is State.OPEN)
            recorder.send("x" * 10_000)
            run_until(loop, lambda: recorder.messages)
            stats = recorder.stats
            assert some(stats, "payload_in", "payload_out") == (10_000, 10_000)
            assert stats.compression
            assert stats.ratio_in is not None
            assert stats.ratio_in > 50
            assert stats.ratio_out is not None
            assert stats.ratio_out > 50

    def test_a_broadcast_counts_for_each_of_its_receivers(self) -> None:
        with Reactor() as loop:
            listener = loop.listen("127.0.0.1", 0, Recorder)
            url = f"ws://127.0.0.1:{listener.port}/"
            ours = [loop.connect(url, Recorder(), proxy=None) for _ in range(2)]
            run_until(loop, lambda: len(listener.protocols) == 2)
            broadcast(listener.protocols, "four")
            run_until(loop, lambda: all(each.messages for each in ours))
            for each in listener.protocols:
                assert some(each.stats, *OUT) == (1, 4, 6)
            for one in ours:
                assert some(one.stats, *IN) == (1, 4, 6)

    def test_both_ends_of_a_real_connection_agree(self) -> None:
        """The compiled path, if it is there."""
        with Reactor() as loop:
            listener = loop.listen("127.0.0.1", 0, echoing())
            recorder = Recorder()
            loop.connect(f"ws://127.0.0.1:{listener.port}/", recorder, proxy=None)
            run_until(loop, lambda: recorder.state is State.OPEN)
            for size in (0, 1, 125, 126, 65_535, 65_536):
                recorder.send("x" * size)
                recorder.send(b"x" * size)
            run_until(loop, lambda: len(recorder.messages) == 12)
            ours, (server,) = recorder.stats, listener.protocols
            theirs = server.stats
            total = 2 * (0 + 1 + 125 + 126 + 65_535 + 65_536)
            assert some(ours, *OUT) == some(theirs, *IN)
            assert some(theirs, *OUT) == some(ours, *IN)
            assert some(ours, *IN) == (12, total, total + 2 * (2 + 2 + 2 + 4 + 4 + 10))
            assert ours.wire_out == ours.wire_in + 12 * 4  # the masks


def echoing() -> type[WebSocketProtocol]:
    class Echo(WebSocketProtocol):
        def on_message(self, message: str | bytes) -> None:
            self.send(message)

    return Echo


class TestLife:
    def test_the_numbers_go_on_through_a_reconnect(self, scene: Scene) -> None:
        actor = Actor(message=echo)
        peer = scene.open(actor, text("a"), reconnect=1.0)
        peer.close()
        scene.turn(count=2)
        assert actor.stats.activity == "waiting"
        scene.turn(1.0, count=2)
        assert actor.stats.activity == "connecting"
        scene.succeed(text("b"))
        stats = actor.stats
        assert some(stats, "messages_in", "messages_out", "attempts", "opens", "losses") == (
            *(2, 2),
            *(2, 2, 1),
        )
        assert stats.activity == "open"

    def test_another_connect_with_the_same_object_begins_anew(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, text("a"))
        recorder.abort()
        scene.turn(count=2)
        assert recorder.stats.activity == "ended"
        assert recorder.stats.messages_in == 1
        scene.open(recorder)
        assert some(recorder.stats, "messages_in", "attempts", "opens") == (0, 1, 1)
        recorder.abort()

    def test_the_last_error_is_kept_as_a_text_that_is_safe_to_show(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder, reconnect=1.0)
        scene.turn(3.0)
        scene.fail(OSError("no\x1b[31m\nway"))
        stats = recorder.stats
        assert stats.last_error == r"OSError: no\x1b[31m\nway"
        assert stats.last_error_at == pytest.approx(scene.clock.now())
        assert some(stats, "attempts", "opens", "losses") == (1, 0, 0)
        recorder.abort()

    def test_a_query_is_not_in_the_last_error(self, scene: Scene) -> None:
        recorder = Recorder()
        options = {"on_overflow": "close", "write_limit": 1000, "high_water": 500, "low_water": 0}
        scene.open(recorder, url="ws://scene/quotes?token=SECRET", **options)
        for _ in range(100_000):
            if not recorder.send("x" * 1000):
                break
        scene.turn(count=3)
        last_error = recorder.stats.last_error
        assert last_error is not None
        assert "the write queue of ws://scene/quotes holds" in last_error

    def test_without_a_valid_url_there_is_no_place(self, scene: Scene) -> None:
        """The URL of each attempt may be a function, which may fail."""

        def url() -> str:
            raise LookupError("no token")

        recorder = Recorder()
        scene.loop.connect(url, recorder, reconnect=1.0)
        assert recorder.stats.place == ""
        scene.turn(count=2)
        assert some(recorder.stats, "place", "last_error") == ("", "LookupError: no token")
        recorder.abort()

    def test_an_end_of_our_own_is_no_loss(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder)
        recorder.abort()
        scene.turn(count=2)
        assert some(recorder.stats, "losses", "last_error") == (0, None)

    def test_the_time_of_the_last_message_is_not_that_of_pings(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        opened = scene.clock.now()
        assert recorder.stats.last_message_at is None
        scene.turn(5.0)
        peer.send(text("a"))
        scene.turn()
        scene.turn(5.0)
        peer.send(build_frame(PING, b""))
        scene.turn()
        stats = recorder.stats
        assert stats.last_message_at == pytest.approx(opened + 5.0)
        assert stats.opened_at == pytest.approx(opened)

    def test_it_is_not_that_of_an_opening_either(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, text("a"), reconnect=1.0)
        came = scene.clock.now()
        peer.close()
        scene.turn(count=2)
        scene.turn(1.0, count=2)
        scene.succeed()
        assert recorder.stats.last_message_at == pytest.approx(came)
        recorder.abort()

    def test_round_trips_are_those_of_the_keep_alive(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=10.0, ping_timeout=5.0)
        peer.send(build_frame(PONG, b""))  # answers nothing
        scene.turn()
        for wait in (0.25, 0.5):
            scene.turn(10.0)
            scene.turn(wait)
            peer.send(build_frame(PONG, b""))
            scene.turn()
        found = recorder.stats.round_trips
        assert (found.count, found.least, found.most) == (2, 0.25, pytest.approx(0.5))
        assert found.mean == pytest.approx(0.375)
        assert recorder.stats.pings_out == 2

    def test_the_most_that_was_queued_is_remembered(self) -> None:
        with Reactor() as loop:
            listener = loop.listen("127.0.0.1", 0, Recorder)
            recorder = Recorder()
            loop.connect(f"ws://127.0.0.1:{listener.port}/", recorder, proxy=None)
            run_until(loop, lambda: listener.protocols and recorder.state is State.OPEN)
            for each in listener.protocols:
                each.pause_reading()
            recorder.send(bytes(8_000_000))
            waits = recorder.stats.queued
            assert 0 < waits <= recorder.stats.most_queued
            recorder.abort()
            run_until(loop, lambda: recorder.stats.activity == "ended")
            assert recorder.stats.queued == 0
            assert recorder.stats.most_queued >= waits


class TestReading:
    def test_in_a_handler(self, scene: Scene) -> None:
        seen = []
        actor = Actor(
            open=lambda actor: seen.append(actor.stats.activity),
            message=lambda actor: seen.append(actor.stats.messages_in),
            close=lambda actor: seen.append(actor.stats.activity),
        )
        peer = scene.open(actor, text("a"), text("b"))
        peer.close()
        scene.turn(count=2)
        assert seen == ["open", 2, 2, "ended"]

    def test_on_another_thread_while_messages_come(self) -> None:
        errors: list[BaseException] = []
        done = threading.Event()
        with Reactor() as loop:
            listener = loop.listen("127.0.0.1", 0, echoing())
            url = f"ws://127.0.0.1:{listener.port}/"
            players = [loop.connect(url, Recorder(), proxy=None) for _ in range(5)]

            def read() -> None:
                try:
                    while not done.is_set():
                        for player in players:
                            stats = player.stats
                            assert stats.messages_in <= 10_000
                        loop.stats(hosts=True, connections=True)
                except BaseException as exc:
                    errors.append(exc)

            thread = threading.Thread(target=read)
            thread.start()
            try:
                run_until(loop, lambda: all(each.state is State.OPEN for each in players))
                for player in players:
                    for _ in range(100):
                        player.send("x")
                run_until(loop, lambda: all(len(each.messages) == 100 for each in players))
                for player in players:
                    player.reconnect(0.0)
                run_until(loop, lambda: all(each.stats.opens == 2 for each in players))
            finally:
                done.set()
                thread.join()
        assert errors == []
        assert [player.stats.messages_in for player in players] == [100] * 5

    def test_after_the_loop_is_closed(self) -> None:
        recorder = Recorder()
        with Reactor() as loop:
            loop.connect("ws://127.0.0.1:9/", recorder, proxy=None)
        assert recorder.stats.activity == "ended"
        assert loop.stats(hosts=True, connections=True).ended == 1

    def test_a_program_s_own_attribute_of_this_name_stays_its_own(self, scene: Scene) -> None:
        recorder = Recorder()
        recorder.stats = {"mine": 1}  # type: ignore[misc, assignment]
        scene.open(recorder, text("a"))
        assert recorder.stats == {"mine": 1}
        assert scene.loop.stats(connections=True).connections[0].messages_in == 1
        recorder.abort()


class TestHosts:
    def test_sums_survive_the_connections(self, scene: Scene) -> None:
        for url in ("ws://one.example/", "wss://two.example/"):
            recorder = Recorder()
            scene.open(recorder, text("four"), url=url)
            recorder.abort()
            scene.turn(count=2)
        recorder = Recorder()
        scene.open(recorder, text("four"), url="ws://one.example/other?token=secret")
        one, two = scene.loop.stats(hosts=True).hosts
        assert some(one, "role", "host", "ended", "open") == ("client", "one.example:80", 1, 1)
        assert some(one, *IN, "opens") == (2, 8, 12, 2)
        assert some(two, "host", "ended", "messages_in") == ("two.example:443", 1, 1)
        assert scene.loop.stats().hosts == ()
        recorder.abort()

    def test_one_that_is_opened_again_after_its_end_is_counted_once(self, scene: Scene) -> None:
        recorder = Recorder()
        actor = Actor(close=lambda actor: actor.stats.opens == 1 and actor.reconnect(1.0))
        peer = scene.open(actor, text("a"))
        peer.close()
        scene.turn(count=2)
        (host,) = scene.loop.stats(hosts=True).hosts
        assert some(host, "messages_in", "ended", "waiting") == (1, 0, 1)
        actor.abort()
        scene.turn(count=2)
        (host,) = scene.loop.stats(hosts=True).hosts
        assert some(host, "messages_in", "ended", "waiting") == (1, 1, 0)
        assert recorder.stats.activity == "none"

    def test_further_ones_than_a_hundred_are_others(self, scene: Scene) -> None:
        for number in range(105):
            recorder = Recorder()
            scene.open(recorder, text("a"), url=f"ws://host{number}.example/")
            recorder.abort()
            scene.turn(count=2)
        hosts = scene.loop.stats(hosts=True).hosts
        assert len(hosts) == 101
        (others,) = [each for each in hosts if each.host == "others"]
        assert some(others, "ended", "messages_in") == (5, 5)

    def test_a_server_s_are_those_of_its_listener(self) -> None:
        with Reactor() as loop:
            listener = loop.listen("127.0.0.1", 0, Recorder)
            loop.connect(f"ws://127.0.0.1:{listener.port}/", Recorder(), proxy=None)
            run_until(loop, lambda: bool(listener.protocols))
            server = loop.stats(hosts=True).hosts[-1]
            assert some(server, "role", "host", "open", "attempts", "opens") == (
                *("server", f"127.0.0.1:{listener.port}"),
                *(1, 0, 1),
            )


def test_the_compiled_counters_have_the_names_of_the_python_ones() -> None:
    spec = importlib.util.find_spec("reactor.protocols.counters")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text().partition("if frames.compiled:")[0]
    plain: dict[str, Any] = {"__name__": spec.name, "__package__": spec.parent}
    exec(compile(source, spec.origin, "exec"), plain)
    pure, used = plain["Counters"](), Counters()
    names = [name for name in type(pure).__slots__ if not name.startswith("_")]
    assert {name: getattr(pure, name) for name in names} == {
        name: getattr(used, name) for name in names
    }
    for each in (pure, used):
        assert each.latest(5.0) == -1.0
        each.messages_in += 1
        assert each.latest(5.0) == 5.0
        each.note_opening(7.0, 5.0)
        assert (each.opens, each.opened_at, each.latest(7.0)) == (1, 7.0, 5.0)


def test_reconnects_by_a_policy_count_attempts(scene: Scene) -> None:
    recorder = Recorder()
    scene.connect(recorder, reconnect=Backoff(first=1.0, jitter=False))
    for _ in range(3):
        scene.fail(OSError("no"))
        scene.turn(100.0, count=2)
    assert some(recorder.stats, "attempts", "opens") == (4, 0)
    recorder.abort()
