"""Connections whose peers send more than one turn may deliver; continues test_connection.py."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, pairwise

import pytest

from reactor.protocols.receiving import MAX_FRAMES
from reactor.transports.stream import READ_SIZE

from ..support.recorder import Recorder
from ..support.scene import FAULT, GOODBYE, Actor, Peer, Scene, closes, text
from ..support.websocket_frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, build_frame
from ..support.zlib_peer import MEGABYTE, ZlibPeer, agreements, compressed_frames

#: More than goes out in three pieces; the first turn, which has read it, may deliver two.
COUNT = 3 * MAX_FRAMES + 10
PIECES = 4


def numbers(until: int = COUNT) -> list[str]:
    return [str(number) for number in range(until)]


def flood() -> bytes:
    """Numbered messages."""
    return b"".join(map(text, numbers()))


def at(number: int, action: Callable[[Actor], object]) -> Callable[[Actor], object]:
    """An action for on_message: with the message of this number (from 1), once."""
    calls = count(1)
    return lambda actor: action(actor) if next(calls) == number else None


class TestAPieceATurn:
    @pytest.mark.parametrize(
        "frame",
        [
            text(""),
            build_frame(PING),
            build_frame(PONG, b"pong"),
            build_frame(TEXT, fin=False) + build_frame(CONT),
        ],
        ids=["texts", "pings", "pongs", "fragments"],
    )
    def test_many_small_frames(self, scene: Scene, frame: bytes) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(frame * COUNT)
        came = [1]
        while len(recorder.events) <= COUNT:
            scene.turn()
            came.append(len(recorder.events))
        assert max(after - before for before, after in pairwise(came)) <= 2 * MAX_FRAMES
        assert len(came) > PIECES - 1
        assert len(recorder.events) == COUNT + 1
        recorder.abort()

    def test_nothing_is_read_meanwhile(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(flood())
        scene.turn()
        assert len(recorder.messages) < COUNT
        peer.text("behind")
        reads = len(scene.sock.receives)
        while len(recorder.messages) < COUNT:
            assert len(scene.sock.receives) == reads
            scene.turn()
        scene.turn()
        assert recorder.messages == [*numbers(), "behind"]
        recorder.abort()

    def test_nobody_else_is_kept_waiting(self, scene: Scene) -> None:
        busy, other = Recorder(), Recorder()
        peer, others = scene.open(busy), scene.open(other)
        fired: list[int] = []
        peer.send(flood())
        scene.turn()
        others.text("hello")
        scene.loop.call_later(0, lambda: fired.append(len(busy.messages)))
        scene.turn(0.001)
        assert other.messages == ["hello"]
        assert fired[0] < len(busy.messages) < COUNT
        scene.turn(count=PIECES)
        assert busy.messages == numbers()
        busy.abort()
        other.abort()

    def test_an_ordinary_read_is_delivered_in_its_turn(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        frame = text("x" * 150)
        peer.send(frame * (READ_SIZE // len(frame)))
        scene.turn()
        assert len(recorder.messages) == READ_SIZE // len(frame)
        assert scene.loop.stats().calls == 0
        recorder.abort()

    def test_what_came_with_the_handshake(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder)
        peer = scene.succeed(flood())
        assert 0 < len(recorder.messages) < COUNT
        peer.text("later")
        scene.turn(count=PIECES)
        assert recorder.messages == [*numbers(), "later"]
        recorder.abort()

    def test_the_loop_does_not_sleep_before_all_is_delivered(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(flood())
        scene.turn()
        assert scene.loop.next_timeout() == 0.0
        scene.turn(count=PIECES)
        assert scene.loop.next_timeout() is None
        recorder.abort()


class TestPausedReading:
    def test_what_was_read_is_still_delivered(self, scene: Scene) -> None:
        actor = Actor(message=at(5, lambda actor: actor.pause_reading()))
        peer = scene.open(actor)
        peer.send(flood())
        scene.turn()
        peer.text("behind")
        scene.turn(count=PIECES + 1)
        assert actor.messages == numbers()
        actor.resume_reading()
        scene.turn()
        assert actor.messages == [*numbers(), "behind"]
        actor.abort()

    def test_to_resume_does_not_read_before_the_rest_is_delivered(self, scene: Scene) -> None:
        def pause_and_resume(actor: Actor) -> None:
            actor.pause_reading()
            actor.resume_reading()

        actor = Actor(message=pause_and_resume)
        peer = scene.open(actor)
        peer.send(flood())
        scene.turn()
        peer.text("behind")
        scene.turn(count=PIECES + 1)
        assert actor.messages == [*numbers(), "behind"]
        actor.abort()


class TestEnds:
    """What ends a connection does not overtake what came before it."""

    def test_the_peers_close_frame(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(flood(), GOODBYE)
        scene.turn(count=PIECES)
        assert recorder.messages == numbers()
        assert recorder.closes == [(1000, "bye")]
        assert [opcode for opcode, _ in peer.told()] == [CLOSE]

    def test_the_peers_fault(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(flood(), FAULT, text("behind"))
        scene.turn(count=PIECES)
        assert recorder.messages == numbers()
        assert recorder.names[-2:] == ["error", "close"]
        assert recorder.closes[0][0] == 1002

    @pytest.mark.parametrize("how", [Peer.end, Peer.close])
    def test_the_peer_leaves(self, scene: Scene, how: Callable[[Peer], None]) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(flood())
        how(peer)
        scene.turn(count=PIECES + 2)
        assert recorder.messages == numbers()
        assert recorder.names[-2:] == ["error", "close"]
        assert recorder.closes == [(1006, "")]

    def test_a_write_that_fails_meanwhile(self, scene: Scene) -> None:
        def send(actor: Actor) -> None:
            scene.sock.fault = BrokenPipeError(32, "Broken pipe")
            actor.send("is anybody there?")

        actor = Actor(message=at(5, send))
        peer = scene.open(actor)
        peer.send(flood())
        scene.turn(count=PIECES + 2)
        assert actor.messages == numbers()
        assert actor.names[-2:] == ["error", "close"]
        assert actor.closes == [(1006, "")]

    def test_the_code_counts_that_came_before_a_write_failed(self, scene: Scene) -> None:
        def send(actor: Actor) -> None:
            scene.sock.fault = BrokenPipeError(32, "Broken pipe")
            actor.send("is anybody there?")

        actor = Actor(message=at(5, send))
        peer = scene.open(actor)
        peer.send(flood(), GOODBYE)
        scene.turn(count=PIECES + 2)
        assert actor.messages == numbers()
        assert actor.closes == [(1000, "bye")]
        assert actor.errors == []

    def test_close_in_a_handler(self, scene: Scene) -> None:
        actor = Actor(message=at(5, lambda actor: actor.close(4000)))
        peer = scene.open(actor)
        peer.send(flood(), GOODBYE)
        scene.turn(count=PIECES)
        assert actor.messages == numbers(5)
        assert actor.closes == [(1000, "bye")]
        assert peer.told() == closes(4000)

    def test_the_answer_to_our_close_frame_is_read_behind_the_rest(self, scene: Scene) -> None:
        actor = Actor(message=at(5, lambda actor: (actor.pause_reading(), actor.close(4000))))
        peer = scene.open(actor)
        peer.send(flood())
        scene.turn(count=PIECES)
        peer.send(GOODBYE)
        scene.turn()
        assert actor.messages == numbers(5)
        assert actor.closes == [(1000, "bye")]

    def test_abort_in_a_handler(self, scene: Scene) -> None:
        actor = Actor(message=at(5, lambda actor: actor.abort()))
        peer = scene.open(actor)
        peer.send(flood(), GOODBYE)
        scene.turn(count=2)
        assert actor.messages == numbers(5)
        assert actor.closes == [(1006, "")]
        assert scene.nothing_goes_on()

    def test_abort_while_the_end_waits(self, scene: Scene) -> None:
        def send(actor: Actor) -> None:
            scene.sock.fault = BrokenPipeError(32, "Broken pipe")
            actor.send("is anybody there?")

        actor = Actor(message=at(5, send))
        peer = scene.open(actor)
        peer.send(flood())
        scene.turn()
        actor.abort()
        scene.turn(count=2)
        assert len(actor.messages) < COUNT
        assert actor.closes == [(1006, "")]
        assert scene.nothing_goes_on()

    def test_abort_in_a_handler_of_what_the_end_waits_behind(self, scene: Scene) -> None:
        """A stream with TLS may tell of the last data and of the end in one call."""
        actor = Actor(message=at(2 * MAX_FRAMES + 5, lambda actor: actor.abort()))
        scene.open(actor).send(flood())
        scene.turn()
        actor._reactor_connection.reader.eof_received()  # type: ignore[attr-defined]
        assert actor.names[-1] == "message"
        scene.turn(count=PIECES)
        assert actor.messages == numbers(2 * MAX_FRAMES + 5)
        assert actor.names[-1] == "close"
        assert actor.errors == []
        assert scene.nothing_goes_on()

    def test_a_peer_that_does_not_answer_our_close_frame(self, scene: Scene) -> None:
        actor = Actor(message=at(5, lambda actor: actor.close()))
        peer = scene.open(actor, close_timeout=5)
        peer.send(flood())
        scene.turn(count=PIECES)
        assert actor.closes == []
        scene.turn(5, count=2)
        assert actor.closes == [(1006, "")]

    def test_the_rest_belongs_to_its_connection(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def receive(*_: object) -> list[object]:
            raise MemoryError

        recorder = Recorder()
        peer = scene.open(recorder, reconnect=1.0)
        peer.send(flood())
        scene.turn()
        with monkeypatch.context() as patch:
            patch.setattr("reactor.protocols.receiving.parse_messages", receive)
            scene.turn()
        assert recorder.names[-2:] == ["error", "close"]
        before = len(recorder.messages)
        assert before < COUNT
        scene.turn(1.0)
        scene.succeed(text("new"))
        scene.turn(count=PIECES)
        assert recorder.messages[before:] == ["new"]
        recorder.abort()


class TestKeepAlive:
    @pytest.mark.parametrize("when_idle", [True, False])
    def test_nobody_is_given_up_whose_pong_is_held_back(
        self, scene: Scene, when_idle: bool
    ) -> None:
        actor = Actor(message=at(MAX_FRAMES + 5, lambda _: scene.clock.advance(30)))
        peer = scene.open(actor, ping_interval=10, ping_timeout=5, ping_when_idle=when_idle)
        scene.turn(10)
        peer.send(flood(), build_frame(PONG))
        scene.turn(count=PIECES)
        assert actor.messages == numbers()
        assert actor.names[-1] == "pong"
        assert actor.closes == []
        actor.abort()

    def test_what_is_delivered_late_counts_as_it_is_delivered(self, scene: Scene) -> None:
        actor = Actor(message=at(MAX_FRAMES + 5, lambda _: scene.clock.advance(9)))
        peer = scene.open(actor, ping_interval=10)
        peer.send(flood())
        scene.turn(count=PIECES)
        scene.turn(9)
        assert peer.told() == []
        actor.abort()

    def test_who_has_sent_no_pong_is_given_up_behind_the_rest(self, scene: Scene) -> None:
        actor = Actor(message=at(MAX_FRAMES + 5, lambda _: scene.clock.advance(30)))
        peer = scene.open(actor, ping_interval=10, ping_timeout=5, ping_when_idle=False)
        scene.turn(10)
        peer.send(flood())
        scene.turn(count=PIECES)
        scene.turn(0.001)
        assert actor.messages == numbers()
        assert actor.names[-2:] == ["error", "close"]
        assert str(actor.errors[0]) == "ping/pong timed out"

    def test_who_has_paused_reading_is_not_told_of_a_timeout(self, scene: Scene) -> None:
        actor = Actor(message=at(5, lambda actor: actor.pause_reading()))
        peer = scene.open(actor, ping_interval=10, ping_timeout=5, ping_when_idle=False)
        scene.turn(10)
        peer.send(flood())
        scene.turn(10, count=PIECES + 1)
        assert actor.messages == numbers()
        assert actor.closes == []
        actor.abort()


class TestInterrupted:
    @pytest.mark.parametrize("number", [5, MAX_FRAMES + 5, 2 * MAX_FRAMES, COUNT])
    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_nothing_is_lost_or_out_of_order(
        self, scene: Scene, kind: type[BaseException], number: int
    ) -> None:
        def leave(_: Actor) -> None:
            raise kind

        actor = Actor(message=at(number, leave), close=lambda _: scene.loop.stop())
        peer = scene.open(actor)
        peer.send(flood())
        with pytest.raises(kind):
            scene.loop.run_forever()
        peer.send(text("behind"), GOODBYE)
        assert actor.messages == numbers(number)
        scene.loop.run_forever()
        assert actor.messages == [*numbers(), "behind"]
        assert actor.closes == [(1000, "bye")]

    def test_on_open_with_much_behind_the_handshake(self, scene: Scene) -> None:
        def leave(_: Actor) -> None:
            raise KeyboardInterrupt

        actor = Actor(open=leave)
        scene.connect(actor)
        with pytest.raises(KeyboardInterrupt):
            scene.succeed(flood())
        assert actor.messages == []
        scene.turn(count=PIECES + 1)
        assert actor.messages == numbers()
        actor.abort()


class TestCompressed:
    def test_what_comes_out_of_a_read_is_delivered_message_by_message(self, scene: Scene) -> None:
        actor = Actor()
        scene.connect(actor, compression="deflate")
        peer = scene.succeed(agreement=agreements()[0])
        peer.send(*compressed_frames(BINARY, MEGABYTE + b"\x00") * 10)
        came = [0]
        while len(actor.messages) < 10:
            scene.turn()
            came.append(len(actor.messages))
        assert max(after - before for before, after in pairwise(came)) <= 2
        assert actor.messages == [bytes(1 << 20)] * 10
        actor.abort()

    def test_a_large_message_does_not_keep_others_waiting(self, scene: Scene) -> None:
        busy, other = Recorder(), Recorder()
        scene.connect(busy, compression="deflate")
        peer = scene.succeed(agreement=agreements()[0])
        others = scene.open(other)
        peer.send(*compressed_frames(BINARY, MEGABYTE * 10 + b"\x00"), GOODBYE)
        others.text("hello")
        scene.turn(count=2)
        assert (busy.messages, other.messages) == ([], ["hello"])
        scene.turn(count=12)
        assert busy.messages == [bytes(10 << 20)]
        assert busy.closes == [(1000, "bye")]
        other.abort()


class TestFragments:
    def test_a_long_compressed_frame_in_parts(self, scene: Scene) -> None:
        actor = Actor()
        scene.connect(actor, fragments=True, fragment_size=1, compression="deflate")
        agreement, _ = agreements()
        peer = scene.succeed(agreement=agreement)
        octets = bytes(range(256)) * 20
        peer.send(*compressed_frames(BINARY, *ZlibPeer().fragments(octets)), text("!"))
        scene.turn()
        assert 0 < len(actor.of("data")) < len(octets) // 2
        scene.turn(count=len(octets) // 2 // MAX_FRAMES * 4 + 5)
        parts = actor.of("data")
        assert actor.events[-1] == ("message", "!")
        assert b"".join(part[0] for part in parts) == octets
        assert [part[2] for part in parts] == [False] * (len(parts) - 1) + [True]
        actor.abort()
