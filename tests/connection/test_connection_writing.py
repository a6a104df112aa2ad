"""What connections send: frames, the write queue and its marks and limit, other threads."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from reactor import (
    State,
    WebSocketConnectionClosedException,
    WebSocketProtocol,
    WebSocketQueueFullException,
    WebSocketStateException,
)
from reactor.connection.sender import CORK_LIMIT, Sender

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
    BINARY,
    CONT,
    PING,
    PONG,
    TEXT,
    build_frame,
    read_frames,
)

#: Everything that puts a frame on the wire.
SENDING: list[Callable[[WebSocketProtocol], object]] = [
    lambda protocol: protocol.send("x"),
    lambda protocol: protocol.send(b"x"),
    lambda protocol: protocol.send_frame(TEXT, b"x"),
    lambda protocol: protocol.ping(),
    lambda protocol: protocol.pong(),
]


class TestSending:
    def test_the_type_of_the_message_is_that_of_the_frame(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        for message in ("é", b"\x00", bytearray(b"\x01"), memoryview(b"\x02")):
            recorder.send(message)
        assert peer.told() == [
            (TEXT, "é".encode()),
            (BINARY, b"\x00"),
            (BINARY, b"\x01"),
            (BINARY, b"\x02"),
        ]

    def test_a_buffer_may_be_changed_afterwards(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        scene.sock.room = 0
        buffer = bytearray(b"good")
        recorder.send(buffer)
        in_thread(lambda: recorder.send(buffer))
        buffer[:] = b"evil"
        scene.sock.room = None
        scene.turn(count=2)
        assert [payload for _, payload in peer.told()] == [b"good", b"good"]

    def test_the_frames_of_a_client_are_masked(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.send("x")
        recorder.ping()
        recorder.close()
        assert all(frame.mask is not None for frame in peer.frames())

    @pytest.mark.parametrize("message", [None, 1, ["x"], object()])
    @pytest.mark.parametrize("call", [lambda function: function(), in_thread])
    def test_another_type_is_an_error_of_the_call(
        self, scene: Scene, message: Any, call: Callable[[Callable[[], object]], None]
    ) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        with pytest.raises(TypeError, match=type(message).__name__):
            call(lambda: recorder.send(message))
        scene.turn()
        assert peer.told() == []

    @pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
    def test_the_number_of_bytes_on_the_wire_is_returned(self, scene: Scene, size: int) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        count = recorder.send(bytes(size))
        assert count == len(peer.look())
        counts: list[int] = []
        in_thread(lambda: counts.append(recorder.send(bytes(size))))
        scene.turn()
        assert counts == [count] == [len(peer.look())]

    def test_pings_and_pongs(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        assert recorder.ping(b"1") == 7
        assert recorder.pong(b"2") == 7
        recorder.ping()
        assert peer.told() == [(PING, b"1"), (PONG, b"2"), (PING, b"")]

    def test_the_answer_to_a_ping_counts_as_sent(self, scene: Scene) -> None:
        amounts: list[int] = []
        actor = Actor(ping=lambda actor: amounts.append(actor.buffered_amount))
        peer = scene.open(actor)
        peer.send(build_frame(PING, b"data"))
        scene.turn()
        assert amounts == [len(peer.look())]
        assert actor.buffered_amount == 0

    def test_frames_of_one_s_own(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.send_frame(TEXT, b"a", fin=False)
        assert recorder.send_frame(CONT, b"b") == 7
        assert [(frame.fin, frame.opcode, frame.payload) for frame in peer.frames()] == [
            (False, TEXT, b"a"),
            (True, CONT, b"b"),
        ]

    @pytest.mark.parametrize("call", [lambda function: function(), in_thread])
    def test_what_cannot_be_a_frame_is_an_error_of_the_call(
        self, scene: Scene, call: Callable[[Callable[[], object]], None]
    ) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        for verb in (recorder.ping, recorder.pong):
            with pytest.raises(ValueError, match="126 bytes"):
                call(lambda verb=verb: verb(bytes(126)))  # type: ignore[misc]
            call(lambda verb=verb: verb(bytes(125)))  # type: ignore[misc]
        for opcode in (-1, 16):
            with pytest.raises(ValueError, match=str(opcode)):
                call(lambda opcode=opcode: recorder.send_frame(opcode, b""))  # type: ignore[misc]
        scene.turn()
        assert [opcode for opcode, _ in peer.told()] == [PING, PONG]

    @pytest.mark.parametrize("verb", SENDING)
    @pytest.mark.parametrize("call", [lambda function: function(), in_thread])
    def test_nothing_can_be_sent_where_there_is_no_open_connection(
        self,
        scene: Scene,
        verb: Callable[[WebSocketProtocol], object],
        call: Callable[[Callable[[], object]], None],
    ) -> None:
        recorder = Recorder()
        with pytest.raises(WebSocketStateException):
            verb(recorder)
        scene.connect(recorder, reconnect=1.0)
        with pytest.raises(WebSocketStateException, match="not open yet"):
            call(lambda: verb(recorder))
        peer = scene.succeed()
        peer.close()
        scene.turn()
        with pytest.raises(WebSocketConnectionClosedException):  # waiting
            call(lambda: verb(recorder))
        scene.turn(1.0, count=2)
        peer = scene.succeed()
        recorder.close()
        with pytest.raises(WebSocketConnectionClosedException):  # closing
            call(lambda: verb(recorder))
        peer.say_goodbye()
        scene.turn()
        with pytest.raises(WebSocketConnectionClosedException):  # closed
            call(lambda: verb(recorder))
        scene.turn()
        assert peer.told() == closes(1000)

    @pytest.mark.parametrize("call", [lambda function: function(), in_thread])
    def test_nor_after_abort(
        self, scene: Scene, call: Callable[[Callable[[], object]], None]
    ) -> None:
        recorder = Recorder()
        scene.open(recorder)
        recorder.abort()
        with pytest.raises(WebSocketConnectionClosedException):
            call(lambda: recorder.send("x"))


class TestWriteQueue:
    def test_what_several_sends_of_one_handler_call_produce_is_one_write(
        self, scene: Scene
    ) -> None:
        def answer(actor: Actor) -> None:
            for i in range(10):
                actor.send(f"{i}")
            actor.ping(b"!")

        actor = Actor(message=answer)
        peer = scene.open(actor)
        peer.text("go")
        scene.turn()
        assert len(scene.sock.sends) == 1
        assert len(peer.told()) == 11

    def test_so_is_what_all_messages_of_one_read_produce(self, scene: Scene) -> None:
        actor = Actor(message=echo)
        peer = scene.open(actor)
        peer.send(text("1"), build_frame(PING, b"2"), text("3"), text("4"))
        scene.turn()
        assert len(scene.sock.sends) == 1
        assert len(peer.told()) == 4

    @pytest.mark.parametrize("handler", ["open", "ping", "pong", "error"])
    def test_it_is_the_same_in_every_handler(self, scene: Scene, handler: str) -> None:
        def twice(actor: Actor) -> None:
            actor.send("1")
            actor.send("2")

        def fail(_: Actor) -> None:
            raise RuntimeError

        actor = Actor(**{"message": fail, handler: twice})
        peer = scene.open(actor)
        frames = {"ping": build_frame(PING), "pong": build_frame(PONG), "error": text("x")}
        peer.send(frames.get(handler, b""))
        scene.turn()
        assert len(scene.sock.sends) == 1
        assert [message for opcode, message in peer.told() if opcode == TEXT] == [b"1", b"2"]

    def test_several_connections_of_one_handler_call(self, scene: Scene) -> None:
        quiet = Recorder()
        quiet_peer = scene.open(quiet)
        quiet_sock = scene.sock
        actor = Actor(message=lambda actor: [quiet.send("a"), actor.send("b"), quiet.send("c")])
        peer = scene.open(actor)
        peer.text("go")
        scene.turn()
        assert (len(quiet_sock.sends), len(scene.sock.sends)) == (1, 1)
        assert quiet_peer.told() == [(TEXT, b"a"), (TEXT, b"c")]
        assert peer.told() == [(TEXT, b"b")]

    def test_what_is_sent_while_the_loop_does_not_run_leaves_at_once(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.send("now")
        recorder.ping()
        assert len(scene.sock.sends) == 2
        assert peer.told() == [(TEXT, b"now"), (PING, b"")]

    def test_a_handler_that_sends_a_lot_does_not_hold_it_all_back(self, scene: Scene) -> None:
        """It is written when CORK_LIMIT is reached, so memory does not grow with the handler."""
        message = bytes(1000)
        seen: list[int] = []

        def flood(actor: Actor) -> None:
            while sum(taken for _, taken in scene.sock.sends) == 0:
                actor.send(message)
                seen.append(actor.buffered_amount)
            actor.send("end")

        actor = Actor(message=flood)
        peer = scene.open(actor)
        peer.text("go")
        scene.turn()
        assert CORK_LIMIT - 2000 < max(seen) <= CORK_LIMIT
        first, last = scene.sock.sends
        assert CORK_LIMIT <= first[0] < CORK_LIMIT + 2000
        assert last == (9, 9)
        assert peer.told()[-1] == (TEXT, b"end")

    @pytest.mark.parametrize("verb", ["ping", "pong", "send_frame"])
    def test_that_holds_for_every_verb(self, scene: Scene, verb: str) -> None:
        arguments = (TEXT, bytes(120)) if verb == "send_frame" else (bytes(120),)

        def flood(actor: Actor) -> None:
            for _ in range(CORK_LIMIT // 100):
                getattr(actor, verb)(*arguments)

        actor = Actor(message=flood)
        peer = scene.open(actor)
        peer.text("go")
        scene.turn()
        assert len(scene.sock.sends) == 2
        assert len(peer.told()) == CORK_LIMIT // 100

    def test_what_does_not_go_out_is_queued_and_keeps_its_order(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        scene.sock.room = 5
        for i in range(10):
            recorder.send(f"message {i}")
        assert scene.loop.stats().writers == 1
        while scene.loop.stats().writers:
            scene.sock.room = 7
            scene.turn()
        assert [payload for _, payload in peer.told()] == [b"message %d" % i for i in range(10)]
        assert recorder.buffered_amount == 0

    def test_writing_is_watched_for_only_while_something_is_queued(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.send("goes out")
        assert scene.loop.stats().writers == 0
        scene.sock.room = 0
        recorder.send("waits")
        assert scene.loop.stats().writers == 1
        scene.sock.room = None
        scene.turn()
        assert scene.loop.stats().writers == 0
        assert len(peer.told()) == 2

    def test_the_amount_that_has_not_left(self, scene: Scene) -> None:
        recorder = Recorder()
        assert scene.connect(recorder).buffered_amount == 0
        peer = scene.succeed()
        assert recorder.buffered_amount == 0
        scene.sock.room = 3
        size = recorder.send("12345")
        assert recorder.buffered_amount == size - 3
        scene.loop.call_soon(lambda: recorder.events.append((recorder.send("x"),)))
        scene.loop.call_soon(lambda: recorder.events.append((recorder.buffered_amount,)))
        scene.turn()
        assert recorder.events[-2:] == [(7,), (size - 3 + 7,)]
        scene.sock.room = None
        scene.turn()
        assert recorder.buffered_amount == 0
        peer.say_goodbye()
        scene.turn()
        assert recorder.buffered_amount == 0

    @pytest.mark.parametrize(
        ("above", "rest", "calls"), [(0, 0, 0), (1, 0, 1), (1, 100, 1), (1, 101, 0)]
    )
    def test_on_writable_at_the_edges_of_the_marks(
        self, scene: Scene, above: int, rest: int, calls: int
    ) -> None:
        recorder = Recorder()
        scene.open(recorder, high_water=1000, low_water=100)
        scene.sock.room = 0
        total = recorder.send(bytes(1000 - 8 + above))
        assert total == 1000 + above
        scene.sock.room = total - rest
        scene.turn(count=2)
        assert recorder.buffered_amount == rest
        assert recorder.names == ["open"] + ["writable"] * calls

    def test_on_writable_is_not_called_once_the_connection_is_closing(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=10, low_water=5)
        scene.sock.room = 0
        recorder.send("more than ten bytes")
        recorder.close()
        scene.sock.room = None
        scene.turn()
        assert len(peer.told()) == 2
        assert recorder.names == ["open"]

    def test_a_source_can_be_driven_by_it(self, scene: Scene) -> None:
        """What on_writable is for: send until the high mark is passed, then wait."""
        rest = [bytes(1000)] * 200

        def pump(actor: Actor) -> None:
            while rest and actor.buffered_amount <= 20_000:
                actor.send(rest.pop())

        actor = Actor(open=pump, writable=pump)
        scene.connect(actor, high_water=20_000, low_water=5_000)
        peer = scene.attempts[-1].succeed()
        scene.sock.room = 0
        turns = 0
        while rest or actor.buffered_amount:
            scene.turn()
            assert actor.buffered_amount < 22_000
            scene.sock.room = 30_000
            peer.look()
            turns += 1
            assert turns < 100
        peer.look()
        assert len(read_frames(peer.received)) == 200
        peer.close()

    def test_the_limit_is_an_error_that_names_it(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, write_limit=100, url="ws://scene/slow")
        scene.sock.room = 0
        recorder.send(bytes(93 - 8))
        assert recorder.buffered_amount == 91
        recorder.send(b"xxx")  # below the limit, so it is taken
        assert recorder.buffered_amount == 100
        for verb in (recorder.send, recorder.ping, recorder.pong):
            with pytest.raises(WebSocketQueueFullException) as caught:
                verb(b"x")
            for part in ("ws://scene/slow", "100 bytes", "write_limit is 100"):
                assert part in str(caught.value)
        with pytest.raises(WebSocketQueueFullException):
            recorder.send_frame(TEXT, b"x")
        assert recorder.state is State.OPEN
        scene.sock.room = 1
        scene.turn()
        recorder.send(b"")  # there is room again

    def test_no_password_is_in_its_message(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, write_limit=1, url="ws://user:sesame@scene/slow")
        scene.sock.room = 0
        recorder.send("x")
        with pytest.raises(WebSocketQueueFullException) as caught:
            recorder.send("x")
        assert "scene/slow" in str(caught.value)
        assert "sesame" not in str(caught.value)

    def test_the_limit_holds_within_one_handler_call(self, scene: Scene) -> None:
        def flood(actor: Actor) -> None:
            while True:
                actor.send(bytes(10_000))

        actor = Actor(message=flood)
        peer = scene.open(actor, write_limit=200_000)
        scene.sock.room = 0
        peer.text("go")
        scene.turn()
        (error,) = actor.errors
        assert isinstance(error, WebSocketQueueFullException)
        assert 200_000 <= actor.buffered_amount < 200_000 + CORK_LIMIT + 10_008
        assert actor.state is State.OPEN

    def test_what_is_refused_is_free_at_once(self, scene: Scene) -> None:
        """And not when somebody collects garbage, with all messages of the caller's frames."""
        recorder = Recorder()
        scene.open(recorder, write_limit=10)
        scene.sock.room = 0
        recorder.send(b"0123456789")
        for verb in (recorder.send, recorder.ping, recorder.send_fragment):
            with pytest.raises(WebSocketQueueFullException) as caught:
                verb(b"x")
            gone = weakref.ref(caught.value)
            gc.disable()
            try:
                del caught
                assert gone() is None
            finally:
                gc.enable()

    def test_a_peer_that_pings_and_does_not_read_is_owed_one_pong(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, write_limit=1000)
        scene.sock.room = 0
        recorder.send(bytes(1000))
        queued = recorder.buffered_amount
        for i in range(10):
            peer.send(*(build_frame(PING, bytes([i, j]) * 60) for j in range(4)))
            scene.turn()
        assert recorder.buffered_amount == queued
        assert recorder.names == ["open"] + ["ping"] * 40
        scene.sock.room = None
        scene.turn()
        assert peer.told() == [(BINARY, bytes(1000)), (PONG, bytes([9, 3]) * 60)]

    def test_a_pong_goes_ahead_of_what_is_queued_between_two_frames(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        scene.sock.room = 0
        large = [bytes([i]) * 10_000 for i in range(3)]
        for message in large:
            recorder.send(message)
        scene.sock.room = 5000  # the first is on its way
        scene.turn()
        peer.send(build_frame(PING, b"?"))
        scene.turn()
        recorder.close(4000)
        scene.sock.room = None
        scene.turn()
        assert peer.told() == [
            (BINARY, large[0]),
            (PONG, b"?"),
            (BINARY, large[1]),
            (BINARY, large[2]),
            *closes(4000),
        ]

    def test_a_full_queue_is_no_reason_to_leave_a_peer_that_pings(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, write_limit=100)
        scene.sock.room = 0
        recorder.send(bytes(94))
        with pytest.raises(WebSocketQueueFullException):
            recorder.send(b"")
        peer.send(build_frame(PING))
        scene.turn()
        assert recorder.names == ["open", "ping"]
        scene.sock.room = None
        scene.turn()
        assert peer.told()[-1] == (PONG, b"")

    def test_a_pong_is_owed_while_closing_too(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, write_limit=1000)
        scene.sock.room = 3  # of the close frame
        recorder.close()
        for _ in range(10):
            peer.send(build_frame(PING, bytes(125)) * 4)
            scene.turn()
        scene.sock.room = None
        scene.turn()
        assert peer.told() == [*closes(1000), (PONG, bytes(125))]


class TestUnsent:
    """What the end of the program would lose: see loop/lifetime.py."""

    def sender(self, protocol: Recorder) -> Sender:
        """Return the sender of a connection."""
        sender: Sender = protocol._reactor_connection.sender  # type: ignore[attr-defined]
        return sender

    def test_what_is_queued(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        sender = self.sender(recorder)
        assert not sender.unsent
        scene.sock.room = 0
        recorder.send("x")
        assert sender.unsent
        assert not sender.handed_over
        scene.sock.room = None
        scene.turn()
        assert not sender.unsent
        assert peer.told() == [(TEXT, b"x")]

    def test_what_another_thread_has_handed_over(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder)
        sender = self.sender(recorder)
        in_thread(lambda: recorder.send("x"))
        assert (sender.handed_over, sender.unsent) == (True, True)
        scene.turn()
        assert (sender.handed_over, sender.unsent) == (False, False)

    def test_a_close_until_it_is_answered(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        sender = self.sender(recorder)
        in_thread(recorder.close)
        assert (sender.handed_over, sender.unsent) == (True, True)
        scene.turn()
        assert sender.unsent
        peer.send(GOODBYE)
        scene.turn()
        assert (sender.handed_over, sender.unsent) == (False, False)

    def test_a_message_in_fragments_that_goes_on(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder)
        recorder.send_fragment("first")
        assert self.sender(recorder).unsent
        recorder.send_fragment("last", fin=True)
        assert not self.sender(recorder).unsent

    def test_before_it_is_open_there_is_nothing(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder)
        assert not self.sender(recorder).unsent
        recorder.abort()

    def test_a_payload_that_is_encoded_already_is_refused_like_a_message(
        self, scene: Scene
    ) -> None:
        recorder = Recorder()
        scene.open(recorder)
        sender = self.sender(recorder)
        assert sender.send_payload(TEXT, b"x") == 2 + 4 + 1
        recorder.close()
        with pytest.raises(WebSocketConnectionClosedException):
            sender.send_payload(TEXT, b"x")
