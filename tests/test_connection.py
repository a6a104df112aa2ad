"""Connections, on a clock that stands still and over socket pairs (tests/support/scene.py).

What is the same for both roles is tried with the client's, which Reactor.connect makes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from reactor import (
    CloseCode,
    State,
    WebSocketConnectionClosedException,
    WebSocketMessageTooBigException,
    WebSocketPayloadException,
    WebSocketPeerException,
    WebSocketProtocol,
    WebSocketProtocolException,
    WebSocketQueueFullException,
    WebSocketStateException,
    WebSocketTimeoutException,
)
from reactor.connection import CORK_LIMIT, Connection, Phase, check_protocol
from reactor.options import ServerOptions
from reactor.protocols.session import Role
from reactor.timers import Timer, TimerWheel
from reactor.transports.stream import READ_SIZE

from .support.recorder import Recorder
from .support.scene import Actor, Peer, Scene, in_thread, watched_pair
from .support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    build_frame,
    close_payload,
    read_frames,
)

LOST = "Connection to remote host was lost."
GOODBYE = build_frame(CLOSE, close_payload(1000, b"bye"))
FAULT = build_frame(TEXT, b"x", rsv=4)


def text(message: str) -> bytes:
    return build_frame(TEXT, message.encode())


def closes(*codes: int) -> list[tuple[int, bytes]]:
    return [(CLOSE, close_payload(code)) for code in codes]


def echo(actor: Actor) -> None:
    actor.send(actor.messages[-1])


#: Everything that puts a frame on the wire.
SENDING: list[Callable[[WebSocketProtocol], object]] = [
    lambda protocol: protocol.send("x"),
    lambda protocol: protocol.send(b"x"),
    lambda protocol: protocol.send_frame(TEXT, b"x"),
    lambda protocol: protocol.ping(),
    lambda protocol: protocol.pong(),
]


class TestEvents:
    def test_messages_pings_and_pongs_are_delivered_in_order(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(
            text("one"), build_frame(PING, b"2"), build_frame(BINARY, b"3"), build_frame(PONG, b"4")
        )
        scene.turn()
        assert recorder.events == [
            ("open",),
            ("message", "one"),
            ("ping", b"2"),
            ("message", b"3"),
            ("pong", b"4"),
        ]

    def test_what_came_with_the_handshake_is_delivered_after_on_open(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, text("early"), text("in two pieces")[:5])
        assert recorder.events == [("open",), ("message", "early")]
        peer.send(text("in two pieces")[5:])
        scene.turn()
        assert recorder.messages == ["early", "in two pieces"]

    def test_a_ping_is_answered_before_its_handler_is_called(self, scene: Scene) -> None:
        actor = Actor(ping=lambda actor: actor.send("after"))
        peer = scene.open(actor)
        peer.send(build_frame(PING, b"data"))
        scene.turn()
        assert peer.told() == [(PONG, b"data"), (TEXT, b"after")]

    def test_one_byte_at_a_time(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        for octet in text("one") + build_frame(PING, b"2") + GOODBYE:
            peer.send(bytes([octet]))
            scene.turn()
        assert recorder.events == [
            ("open",),
            ("message", "one"),
            ("ping", b"2"),
            ("close", 1000, "bye"),
        ]

    def test_a_message_in_fragments_is_one_event(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(build_frame(TEXT, b"a", fin=False), build_frame(PING))
        scene.turn()
        peer.send(build_frame(CONT, b"b", fin=False), build_frame(CONT, b"c"))
        scene.turn()
        assert recorder.names == ["open", "ping", "message"]
        assert recorder.messages == ["abc"]

    def test_fragments_may_be_had_singly(self, scene: Scene) -> None:
        actor = Actor()
        peer = scene.open(actor, fragments=True)
        peer.send(
            build_frame(TEXT, b"a", fin=False),
            build_frame(PING),
            build_frame(CONT, b"b"),
            text("c"),
        )
        scene.turn()
        assert actor.events[1:] == [
            ("data", "a", TEXT, False),
            ("ping", b""),
            ("data", "b", CONT, True),
            ("message", "c"),
        ]

    def test_text_may_be_had_undecoded(self, scene: Scene) -> None:
        actor = Actor()
        peer = scene.open(actor, decode_text=False)
        peer.send(build_frame(TEXT, b"\xff"), build_frame(BINARY, b"\xff"))
        scene.turn()
        assert actor.events[1:] == [("data", b"\xff", TEXT, True), ("message", b"\xff")]

    def test_at_most_one_bounded_read_is_made_in_a_turn(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(*[text("x" * 1000)] * 150)
        scene.turn()
        assert scene.sock.receives == [READ_SIZE]
        assert 0 < len(recorder.messages) < 150
        scene.turn()
        assert scene.sock.receives == [READ_SIZE] * 2

    def test_what_there_is_to_know(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder, url="ws://scene/path")
        assert (recorder.state, recorder.sock) == (State.CONNECTING, None)
        assert (recorder.response, recorder.request, recorder.subprotocol) == (None, None, None)
        peer = scene.succeed(subprotocol="chat")
        assert (recorder.state, recorder.sock) == (State.OPEN, scene.sock)
        assert (recorder.url, recorder.subprotocol) == ("ws://scene/path", "chat")
        assert recorder.response is not None
        assert recorder.response.status == 101
        recorder.close()
        assert recorder.state is State.CLOSING
        peer.say_goodbye()
        scene.turn()
        assert (recorder.state, recorder.sock) == (State.CLOSED, None)


class TestCloseHandshake:
    """RFC 6455 section 7: who begins, who answers, what is told."""

    def test_the_peer_s_close_frame_is_answered_with_its_code(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.say_goodbye(4321, b"enough")
        scene.turn()
        assert recorder.events == [("open",), ("close", 4321, "enough")]
        assert peer.told() == [(CLOSE, close_payload(4321, b"enough"))]
        assert peer.ended

    def test_a_close_frame_without_a_code_is_answered_likewise(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(build_frame(CLOSE))
        scene.turn()
        assert recorder.closes == [(CloseCode.NO_STATUS, "")]
        assert peer.told() == [(CLOSE, b"")]

    def test_ours_is_answered_by_the_peer(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.close(4000, "done")
        assert peer.told() == [(CLOSE, close_payload(4000, b"done"))]
        assert recorder.closes == []
        scene.turn()
        peer.say_goodbye(4000, b"done")
        scene.turn()
        assert recorder.events == [("open",), ("close", 4000, "done")]
        assert peer.told() == []
        assert peer.ended

    def test_the_code_that_is_told_is_the_peer_s(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.close(1000)
        peer.say_goodbye(1001, b"me too")
        scene.turn()
        assert recorder.closes == [(1001, "me too")]

    def test_it_is_begun_once(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.close(4000)
        recorder.close(4001)
        scene.turn()
        assert peer.told() == closes(4000)

    def test_close_does_nothing_when_the_connection_is_closed(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.say_goodbye()
        scene.turn()
        recorder.close()
        recorder.abort()
        in_thread(recorder.close)
        in_thread(recorder.abort)
        scene.turn(count=3)
        assert recorder.names == ["open", "close"]

    @pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2999, 5000, 65536])
    def test_a_code_that_may_not_be_sent_is_an_error(self, scene: Scene, code: int) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        with pytest.raises(ValueError, match=str(code)):
            recorder.close(code)
        with pytest.raises(ValueError, match=str(code)):
            in_thread(lambda: recorder.close(code))
        assert recorder.state is State.OPEN
        assert peer.told() == []

    def test_a_reason_that_is_too_long_is_an_error(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder)
        with pytest.raises(ValueError, match="124"):
            recorder.close(1000, "x" * 124)
        recorder.close(1000, "x" * 123)

    def test_messages_after_our_close_frame_are_dropped(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.close()
        peer.send(text("late"), build_frame(PONG), GOODBYE)
        scene.turn()
        assert recorder.events == [("open",), ("close", 1000, "bye")]

    def test_messages_after_the_peer_s_close_frame_are_dropped(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(text("before"), GOODBYE, text("after"))
        scene.turn()
        assert recorder.events == [("open",), ("message", "before"), ("close", 1000, "bye")]

    def test_what_was_sent_before_goes_out_before(self, scene: Scene) -> None:
        actor = Actor(message=echo)
        peer = scene.open(actor)
        peer.send(text("last question"), GOODBYE)
        scene.turn()
        assert peer.told() == [(TEXT, b"last question"), (CLOSE, close_payload(1000, b"bye"))]

    def test_so_does_what_is_still_queued(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        scene.sock.room = 1
        recorder.send("first")
        recorder.close()
        scene.sock.room = None
        scene.turn()
        assert peer.told() == [(TEXT, b"first"), *closes(1000)]

    def test_the_answer_goes_out_although_the_queue_is_full(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, write_limit=10)
        scene.sock.room = 0
        recorder.send("more than ten bytes")
        peer.send(GOODBYE)
        scene.turn()
        assert recorder.closes == [(1000, "bye")]
        scene.sock.room = None
        scene.turn()
        assert [opcode for opcode, _ in peer.told()] == [TEXT, CLOSE]
        assert peer.ended

    def test_the_socket_is_closed_when_the_peer_has_ended_too(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(GOODBYE)
        scene.turn()
        assert scene.sock.fileno() != -1
        peer.end()
        scene.turn()
        assert scene.sock.fileno() == -1
        assert scene.nothing_goes_on()

    def test_a_peer_that_does_not_end_costs_a_timer(self, scene: Scene) -> None:
        peer = scene.open(Recorder(), close_timeout=5.0)
        peer.send(GOODBYE)
        scene.turn()
        assert scene.timers == 1
        scene.turn(4.999)
        assert scene.sock.fileno() != -1
        scene.turn(0.001)
        assert scene.sock.fileno() == -1
        scene.turn()
        assert scene.nothing_goes_on()

    def test_a_mute_peer_is_left_after_the_close_timeout(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, close_timeout=3.0)
        recorder.close()
        scene.turn(2.999)
        assert recorder.closes == []
        scene.turn(0.001)
        assert recorder.events == [("open",), ("close", 1006, "")]
        assert scene.sock.fileno() == -1
        scene.turn()
        assert scene.nothing_goes_on()
        assert peer.told() == closes(1000)

    @pytest.mark.parametrize("call", [lambda function: function(), in_thread])
    def test_the_timeout_may_be_that_of_the_call(
        self, scene: Scene, call: Callable[[Callable[[], object]], None]
    ) -> None:
        recorder = Recorder()
        scene.open(recorder, close_timeout=3.0)
        call(lambda: recorder.close(timeout=7.0))
        scene.turn()
        scene.turn(6.999)
        assert recorder.closes == []
        scene.turn(0.001)
        assert recorder.closes == [(1006, "")]

    @pytest.mark.parametrize("call", [lambda function: function(), in_thread])
    @pytest.mark.parametrize("timeout", [-1.0, float("inf"), float("nan")])
    def test_a_timeout_that_cannot_be_is_an_error_of_the_call(
        self, scene: Scene, call: Callable[[Callable[[], object]], None], timeout: float
    ) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        with pytest.raises(ValueError, match="timeout"):
            call(lambda: recorder.close(timeout=timeout))
        scene.turn()
        assert peer.told() == []
        assert recorder.state is State.OPEN

    def test_a_peer_that_talks_on_is_left_too(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, close_timeout=3.0)
        recorder.close()
        for _ in range(6):
            peer.text("and another thing")
            scene.turn(0.5)
        assert recorder.events == [("open",), ("close", 1006, "")]

    @pytest.mark.parametrize("how", [Peer.end, Peer.close])
    def test_a_peer_that_just_leaves_after_our_close_frame_is_no_error(
        self, scene: Scene, how: Callable[[Peer], None]
    ) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.close()
        how(peer)
        scene.turn(count=2)
        assert recorder.events == [("open",), ("close", 1006, "")]

    def test_closing_does_not_depend_on_reading_being_paused(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.pause_reading()
        recorder.close()
        peer.send(text("dropped"), GOODBYE)
        scene.turn()
        assert recorder.events == [("open",), ("close", 1000, "bye")]

    @pytest.mark.parametrize("handler", ["message", "ping", "pong"])
    def test_it_is_completed_when_a_handler_of_the_same_read_has_closed(
        self, scene: Scene, handler: str
    ) -> None:
        actor = Actor(**{handler: lambda actor: actor.close(4000)})
        peer = scene.open(actor)
        frames = {"message": text("x"), "ping": build_frame(PING), "pong": build_frame(PONG)}
        peer.send(frames[handler], text("dropped"), GOODBYE)
        scene.turn()
        assert actor.names == ["open", handler, "close"]
        assert actor.closes == [(1000, "bye")]
        assert [frame for frame in peer.told() if frame[0] == CLOSE] == closes(4000)
        assert peer.ended


class TestFaults:
    """What the peer may do wrong ends its connection with the right code (7.1.7)."""

    @pytest.mark.parametrize(
        ("fault", "code", "kind"),
        [
            (FAULT, 1002, WebSocketProtocolException),
            (build_frame(3), 1002, WebSocketProtocolException),
            (build_frame(TEXT, b"x", key=KEY), 1002, WebSocketProtocolException),
            (build_frame(CONT, b"x"), 1002, WebSocketProtocolException),
            (build_frame(CLOSE, b"\x03"), 1002, WebSocketProtocolException),
            (build_frame(TEXT, b"\xff"), 1007, WebSocketPayloadException),
            (build_frame(BINARY, bytes(101)), 1009, WebSocketMessageTooBigException),
        ],
    )
    def test_it_is_told_to_both_sides(
        self, scene: Scene, fault: bytes, code: int, kind: type[WebSocketPeerException]
    ) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, max_message_size=100)
        peer.send(text("valid"), fault, text("dropped"))
        scene.turn()
        assert recorder.names == ["open", "message", "error", "close"]
        error = recorder.errors[0]
        assert isinstance(error, kind)
        assert recorder.closes == [(code, str(error))]
        ((opcode, payload),) = peer.told()
        assert (opcode, payload[:2]) == (CLOSE, close_payload(code))
        assert peer.ended

    def test_what_came_before_is_answered_first(self, scene: Scene) -> None:
        actor = Actor(message=echo)
        peer = scene.open(actor)
        peer.send(text("one"), build_frame(PING, b"2"), text("three"), FAULT)
        scene.turn()
        told = peer.told()
        assert told[-1][0] == CLOSE
        assert told[-1][1][:2] == close_payload(1002)
        assert sorted(told[:-1]) == [(TEXT, b"one"), (TEXT, b"three"), (PONG, b"2")]

    def test_behind_our_close_frame_it_ends_the_wait(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.close()
        peer.send(FAULT)
        scene.turn()
        assert recorder.names == ["open", "error", "close"]
        assert peer.told() == closes(1000)  # and no second close frame
        assert peer.ended

    def test_it_may_be_in_what_came_with_the_handshake(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, FAULT)
        assert recorder.names == ["open", "error", "close"]
        assert peer.told()[0][1][:2] == close_payload(1002)

    def test_it_touches_no_other_connection(self, scene: Scene) -> None:
        bad, good = Recorder(), Actor(message=echo)
        bad_peer = scene.open(bad)
        good_peer = scene.open(good)
        bad_peer.send(FAULT)
        good_peer.text("hello")
        scene.turn()
        assert bad.names == ["open", "error", "close"]
        assert good.names == ["open", "message"]
        assert good_peer.told() == [(TEXT, b"hello")]


class TestLoss:
    """The transport ends without a close frame: 1006 (7.1.5)."""

    def test_the_end_of_the_peer(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(text("last"))
        peer.end()
        scene.turn(count=2)
        assert recorder.names == ["open", "message", "error", "close"]
        error = recorder.errors[0]
        assert isinstance(error, WebSocketConnectionClosedException)
        assert str(error) == LOST
        assert recorder.closes == [(1006, "")]
        scene.turn()
        assert scene.nothing_goes_on()

    def test_what_was_read_before_is_answered(self, scene: Scene) -> None:
        """A peer may end its side and go on to read."""
        actor = Actor(message=echo)
        peer = scene.open(actor)
        peer.text("last")
        peer.end()
        scene.turn(count=3)
        assert peer.told() == [(TEXT, b"last")]
        assert peer.ended

    def test_it_is_answered_when_the_end_comes_with_it(self, scene: Scene) -> None:
        """A TLS stream may hand up both in one call."""
        actor = Actor(message=echo)
        peer = scene.open(actor, reconnect=1.0)
        connection = scene.loop.connections.copy().pop()

        def both() -> None:
            connection.data_received(text("last"))
            connection.eof_received()

        scene.loop.call_soon(both)
        scene.turn()
        assert peer.told() == [(TEXT, b"last")]
        assert actor.names == ["open", "message", "error", "close"]
        peer.close()
        scene.turn(1.0, count=2)
        scene.succeed()
        assert actor.buffered_amount == 0

    def test_a_reset(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        scene.sock.fault = reset = ConnectionResetError(104, "reset by peer")
        peer.send(b"x")
        scene.turn()
        (error,) = recorder.errors
        assert isinstance(error, WebSocketConnectionClosedException)
        assert str(error).startswith(LOST)
        assert "reset by peer" in str(error)
        assert error.__cause__ is reset
        assert recorder.closes == [(1006, "")]
        assert scene.sock.fileno() == -1

    def test_a_write_that_fails(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder)
        scene.sock.fault = broken = BrokenPipeError(32, "broken pipe")
        recorder.send("x")
        recorder.send("goes nowhere")
        assert recorder.names == ["open"]  # not within the call
        scene.turn()
        assert recorder.names == ["open", "error", "close"]
        assert recorder.errors[0].__cause__ is broken

    def test_a_write_that_fails_while_the_keep_alive_is_due(self, scene: Scene) -> None:
        """Between the failure and the word of it there may be timers."""
        recorder = Recorder()
        scene.open(recorder, ping_interval=10, ping_timeout=5)
        scene.turn(10)  # a ping goes out
        scene.clock.advance(5)
        scene.sock.fault = BrokenPipeError()
        recorder.send("x")
        scene.turn()
        assert recorder.names == ["open", "error", "close"]
        assert str(recorder.errors[0]).startswith(LOST)
        scene.turn(100, count=3)
        assert recorder.names == ["open", "error", "close"]
        assert scene.nothing_goes_on()

    def test_in_the_middle_of_a_message(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(text("never complete")[:-1])
        peer.end()
        scene.turn(count=2)
        assert recorder.names == ["open", "error", "close"]

    def test_nobody_can_be_told_of_a_fault_any_more(self, scene: Scene) -> None:
        """The answer fails: the end is told once all the same."""
        actor = Actor(message=lambda actor: setattr(scene.sock, "fault", BrokenPipeError()))
        peer = scene.open(actor)
        peer.send(text("x"), GOODBYE)
        scene.turn(count=3)
        assert actor.events[1:] == [("message", "x"), ("close", 1000, "bye")]
        assert scene.nothing_goes_on()


class TestAbort:
    def test_there_is_no_handshake(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.abort()
        assert recorder.state is State.CLOSED
        assert recorder.names == ["open"]
        scene.turn()
        assert recorder.events == [("open",), ("close", 1006, "")]
        assert peer.told() == []
        assert peer.ended
        assert scene.nothing_goes_on()

    def test_twice_and_then_close(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder)
        recorder.abort()
        recorder.abort()
        recorder.close()
        scene.turn(count=3)
        assert recorder.closes == [(1006, "")]

    def test_it_cuts_the_closing_handshake_short(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder)
        recorder.close()
        recorder.abort()
        scene.turn()
        assert recorder.events == [("open",), ("close", 1006, "")]
        scene.turn(100)
        assert recorder.closes == [(1006, "")]

    def test_nothing_more_of_the_same_read_is_delivered(self, scene: Scene) -> None:
        actor = Actor(message=lambda actor: actor.abort())
        peer = scene.open(actor)
        peer.send(text("one"), text("two"), build_frame(PING), GOODBYE)
        scene.turn()
        assert actor.events == [("open",), ("message", "one"), ("close", 1006, "")]

    def test_what_was_sent_in_the_same_call_does_not_go_out(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)

        def send_and_abort() -> None:
            recorder.send("x")
            recorder.abort()

        scene.loop.call_soon(send_and_abort)
        scene.turn(count=2)
        assert peer.told() == []
        assert recorder.closes == [(1006, "")]


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

    def test_a_peer_that_pings_and_does_not_read_is_left(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, write_limit=1000)
        scene.sock.room = 0
        flood = build_frame(PING, bytes(125)) * 4
        for _ in range(10):
            if recorder.closes:
                break
            peer.send(flood)
            scene.turn()
        (error,) = recorder.errors
        assert isinstance(error, WebSocketQueueFullException)
        assert "write_limit is 1000" in str(error)
        assert recorder.closes == [(1006, "")]
        assert recorder.names[-2:] == ["error", "close"]
        scene.turn()
        assert scene.nothing_goes_on()

    def test_it_is_left_while_closing_too(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, write_limit=1000)
        scene.sock.room = 0
        recorder.close()
        for _ in range(10):
            if recorder.closes:
                break
            peer.send(build_frame(PING, bytes(125)) * 4)
            scene.turn()
        assert recorder.closes == [(1006, "")]
        scene.turn()
        assert scene.nothing_goes_on()


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

    def test_the_first_ping_comes_at_a_random_time_within_the_interval(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So that connections which were opened together do not ping together."""
        monkeypatch.setattr("reactor.connection.random.random", lambda: 0.5)
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


class TestThreads:
    """``send``, ``ping``, ``pong``, ``send_frame``, ``close`` and ``abort`` from other threads."""

    def test_the_order_of_the_calls_is_kept(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)

        def calls() -> None:
            for i in range(100):
                recorder.send(f"{i}")
            recorder.ping(b"p")
            recorder.pong(b"q")
            recorder.send_frame(TEXT, b"a", fin=False)
            recorder.send_frame(CONT, b"b")
            recorder.close(4000)

        in_thread(calls)
        assert peer.told() == []
        scene.turn()
        told = peer.told()
        assert told[:100] == [(TEXT, b"%d" % i) for i in range(100)]
        assert told[100:] == [(PING, b"p"), (PONG, b"q"), (TEXT, b"a"), (CONT, b"b"), *closes(4000)]

    def test_several_threads_each_keep_theirs(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        start = threading.Barrier(4)

        def calls(name: int) -> None:
            start.wait(10)
            for i in range(200):
                recorder.send(f"{name} {i}")

        threads = [threading.Thread(target=calls, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) or recorder.buffered_amount:
            scene.turn()
            peer.look()
        for thread in threads:
            thread.join(10)
        told = [frame.payload.decode().split() for frame in read_frames(peer.received)]
        assert len(told) == 800
        for name in "0123":
            assert [int(i) for who, i in told if who == name] == list(range(200))
        assert recorder.buffered_amount == 0

    def test_what_a_thread_sends_counts_toward_the_limit_at_once(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, write_limit=100)

        def calls() -> None:
            recorder.send(bytes(60))
            assert recorder.buffered_amount == 60
            recorder.send(bytes(60))
            with pytest.raises(WebSocketQueueFullException, match="write_limit is 100"):
                recorder.send(b"x")

        in_thread(calls)
        scene.turn()
        assert recorder.buffered_amount == 0
        in_thread(lambda: recorder.send(b"there is room again"))

    def test_so_does_what_is_queued(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, write_limit=100)
        scene.sock.room = 0
        recorder.send(bytes(100))
        with pytest.raises(WebSocketQueueFullException):
            in_thread(lambda: recorder.send(b"x"))

    @pytest.mark.parametrize("verb", ["close", "abort"])
    def test_who_has_ended_the_connection_cannot_send_any_more(
        self, scene: Scene, verb: str
    ) -> None:
        """Although the loop has not got to it yet."""
        recorder = Recorder()
        peer = scene.open(recorder)

        def calls() -> None:
            recorder.send("before")
            getattr(recorder, verb)()
            with pytest.raises(WebSocketConnectionClosedException):
                recorder.send("after")

        in_thread(calls)
        scene.turn()
        assert b"after" not in [payload for _, payload in peer.told()]

    def test_what_comes_too_late_is_dropped(self, scene: Scene) -> None:
        """The loop closes between the call and its turn."""
        recorder = Recorder()
        peer = scene.open(recorder)
        in_thread(lambda: recorder.send("too late"))
        recorder.close()
        scene.turn()
        assert peer.told() == closes(1000)
        assert recorder.buffered_amount == 0

    @pytest.mark.parametrize("verb", ["close", "abort"])
    def test_ending(self, scene: Scene, verb: str) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        in_thread(getattr(recorder, verb))
        assert recorder.state is State.OPEN
        scene.turn(count=2)
        if verb == "close":
            assert peer.told() == closes(1000)
            peer.send(GOODBYE)
            scene.turn()
        assert recorder.names == ["open", "close"]

    def test_the_loop_is_woken(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        asleep = threading.Event()
        poll = scene.loop.poller.poll

        def watched(timeout: float | None) -> Any:
            asleep.set()
            return poll(timeout)

        scene.loop.poller.poll = watched  # type: ignore[method-assign]

        def call() -> None:
            assert asleep.wait(10)
            recorder.send("wake up")

        thread = threading.Thread(target=call)
        thread.start()
        while not peer.told():
            scene.loop.run_once(30)  # there are no timers: only the wake-up ends this
        thread.join(10)


class TestHandlersThatRaise:
    def test_on_open(self, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
        actor = Actor(open=lambda _: 1 / 0)
        peer = scene.open(actor, text("came with the handshake"))
        self._check(actor, caplog, "open")
        assert actor.names == ["open", "error", "message"]
        self._goes_on(scene, actor, peer)

    @pytest.mark.parametrize("handler", ["message", "ping", "pong"])
    def test_on_what_comes(
        self, scene: Scene, caplog: pytest.LogCaptureFixture, handler: str
    ) -> None:
        actor = Actor(**{handler: lambda _: 1 / 0})
        peer = scene.open(actor)
        frames = {"message": text("x"), "ping": build_frame(PING), "pong": build_frame(PONG)}
        peer.send(frames[handler])
        scene.turn()
        self._check(actor, caplog, handler)
        actor.actions.clear()
        self._goes_on(scene, actor, peer)

    def test_on_writable(self, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
        actor = Actor(writable=lambda _: 1 / 0)
        peer = scene.open(actor, high_water=10, low_water=5)
        scene.sock.room = 0
        actor.send("more than ten bytes")
        scene.sock.room = None
        scene.turn()
        self._check(actor, caplog, "writable")
        self._goes_on(scene, actor, peer)

    def test_on_close(self, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
        actor, other = Actor(close=lambda _: 1 / 0), Actor(message=echo)
        peer = scene.open(actor)
        other_peer = scene.open(other)
        peer.send(GOODBYE)
        scene.turn()
        self._check(actor, caplog, "close")
        assert actor.names == ["open", "close", "error"]
        self._goes_on(scene, other, other_peer)

    def test_on_error_is_only_logged(self, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
        actor = Actor(message=lambda _: 1 / 0, error=lambda _: [].pop())
        peer = scene.open(actor)
        peer.text("x")
        scene.turn()
        self._check(actor, caplog, "message", count=2)
        assert "IndexError" in caplog.text
        actor.actions.clear()
        self._goes_on(scene, actor, peer)

    def test_on_error_about_the_connection(
        self, scene: Scene, caplog: pytest.LogCaptureFixture
    ) -> None:
        actor = Actor(error=lambda _: 1 / 0)
        peer = scene.open(actor)
        peer.send(FAULT)
        scene.turn()
        assert actor.names == ["open", "error", "close"]
        assert len(caplog.records) == 1
        assert "ZeroDivisionError" in caplog.text

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    @pytest.mark.parametrize("handler", ["message", "ping", "pong", "error", "close", "writable"])
    def test_what_ends_the_program_leaves_the_loop(
        self, scene: Scene, handler: str, kind: type[BaseException]
    ) -> None:
        def leave(_: Actor) -> None:
            raise kind

        actor = Actor(**{handler: leave})
        peer = scene.open(actor, high_water=10, low_water=5)
        if handler == "writable":
            scene.sock.room = 0
            actor.send("more than ten bytes")
            scene.sock.room = None
        frames = {
            "message": text("x"),
            "ping": build_frame(PING),
            "pong": build_frame(PONG),
            "error": FAULT,
            "close": GOODBYE,
        }
        peer.send(frames.get(handler, b""))
        with pytest.raises(kind):
            scene.loop.run_forever()
        assert actor.names[1] == handler
        # The loop can be run again, and what is owed comes exactly once.
        actor.actions.clear()
        actor.abort()
        scene.turn(count=3)
        assert len(actor.closes) == 1

    def test_what_ends_the_program_in_on_open(self, scene: Scene) -> None:
        def leave(_: Actor) -> None:
            raise KeyboardInterrupt

        actor = Actor(open=leave)
        scene.connect(actor)
        peer = scene.attempts[-1].succeed()
        with pytest.raises(KeyboardInterrupt):
            scene.loop.run_forever()
        peer.text("still there")
        scene.turn()
        assert actor.events == [("open",), ("message", "still there")]
        peer.close()

    def _check(
        self, actor: Actor, caplog: pytest.LogCaptureFixture, handler: str, count: int = 1
    ) -> None:
        (error,) = actor.errors
        assert isinstance(error, ZeroDivisionError)
        position = actor.names.index("error")
        assert actor.names[position - 1] == handler
        assert len(caplog.records) == count
        assert caplog.records[0].levelno == logging.ERROR
        assert "ZeroDivisionError" in caplog.text
        assert "Traceback" in caplog.text

    def _goes_on(self, scene: Scene, actor: Actor, peer: Peer) -> None:
        actor.actions["message"] = echo
        peer.look()
        peer.text("go on")
        scene.turn()
        assert peer.told() == [(TEXT, b"go on")]


HANDLERS = ["open", "reconnect", "message", "ping", "pong", "writable", "error", "close"]


def provoke(scene: Scene, actor: Actor, handler: str) -> Peer:
    """Bring about that the next turn calls one handler of *actor*; return the far end."""
    options: dict[str, Any] = {"high_water": 100, "low_water": 50, "close_timeout": 3.0}
    if handler in ("open", "reconnect"):
        scene.connect(actor, reconnect=1.0, **options)
        if handler == "reconnect":
            scene.succeed().close()
            scene.turn()
            scene.turn(1.0, count=2)
        return scene.attempts[-1].succeed()
    peer = scene.open(actor, **options)
    if handler == "writable":
        scene.sock.room = 0
        actor.send(bytes(200))
        scene.sock.room = None
    elif handler == "error":
        original = actor.on_message

        def fail(message: str | bytes) -> None:
            original(message)
            raise RuntimeError("on purpose")

        actor.on_message = fail  # type: ignore[method-assign]
        peer.text("x")
    else:
        frames = {
            "message": text("x"),
            "ping": build_frame(PING),
            "pong": build_frame(PONG),
            "close": GOODBYE,
        }
        peer.send(frames[handler])
    return peer


Call = Callable[[Callable[[], object]], None]


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize(
    "call", [lambda function: function(), in_thread], ids=["same thread", "other thread"]
)
class TestFromInsideEveryHandler:
    """Each verb, from inside each handler, on its thread and on another that it waits for."""

    def test_send(self, scene: Scene, handler: str, call: Call) -> None:
        outcome: list[object] = []

        def act(actor: Actor) -> None:
            try:
                call(lambda: outcome.append(actor.send("from inside")))
            except WebSocketConnectionClosedException as exc:
                outcome.append(exc)

        actor = Actor(**{handler: act})
        peer = provoke(scene, actor, handler)
        scene.turn(count=2)
        assert actor.names.count(handler) == 1
        told = [payload for opcode, payload in peer.told() if opcode == TEXT]
        if handler == "close":
            assert isinstance(outcome[0], WebSocketConnectionClosedException)
        else:
            assert outcome == [2 + 4 + len("from inside")]
            assert told == [b"from inside"]
        peer.close()

    def test_close(self, scene: Scene, handler: str, call: Call) -> None:
        actor = Actor(**{handler: lambda actor: call(actor.close)})
        peer = provoke(scene, actor, handler)
        scene.turn(count=2)
        assert [frame for frame in peer.told() if frame[0] == CLOSE] == [
            (CLOSE, close_payload(1000, b"bye" if handler == "close" else b""))
        ]
        if handler != "close":
            assert actor.state is State.CLOSING
            peer.send(text("dropped"), GOODBYE)
        scene.turn(count=2)
        self._is_over(scene, actor, peer, handler, (1000, "bye"))

    def test_abort(self, scene: Scene, handler: str, call: Call) -> None:
        actor = Actor(**{handler: lambda actor: call(actor.abort)})
        peer = provoke(scene, actor, handler)
        scene.turn(count=3)
        frames = peer.told()
        assert peer.ended
        assert (CLOSE, close_payload(1000)) not in frames
        code = (1000, "bye") if handler == "close" else (1006, "")
        self._is_over(scene, actor, peer, handler, code)

    def test_stop(self, scene: Scene, handler: str, call: Call) -> None:
        actor = Actor(**{handler: lambda actor: call(scene.loop.stop)})
        peer = provoke(scene, actor, handler)
        scene.loop.run_forever()
        assert handler in actor.names
        actor.actions.clear()
        if handler != "close":
            peer.send(build_frame(PONG, b"goes on"))
            scene.turn()
            assert actor.of("pong")[-1] == (b"goes on",)
        peer.close()

    def _is_over(
        self, scene: Scene, actor: Actor, peer: Peer, handler: str, code: tuple[int, str]
    ) -> None:
        opens = actor.names.count("open") + actor.names.count("reconnect")
        assert len(actor.closes) == opens
        assert actor.closes[-1] == code
        assert actor.names[-1] == "close"
        assert actor.state is State.CLOSED
        peer.close()
        scene.turn(count=2)
        assert scene.nothing_goes_on()
        scene.turn(100.0, count=2)
        assert len(scene.attempts) == opens  # and no attempt more
        assert len(actor.closes) == opens


class TestOneTroubleIsNoOther:
    def test_a_firehose_does_not_starve_a_quiet_connection(self, scene: Scene) -> None:
        firehose, quiet = Recorder(), Actor(message=echo)
        firehose_peer = scene.open(firehose)
        quiet_peer = scene.open(quiet)
        firehose_peer.send(*[text("x" * 1000)] * 190)  # three reads
        quiet_peer.text("me too")
        scene.turn()
        assert quiet_peer.told() == [(TEXT, b"me too")]
        assert 0 < len(firehose.messages) < 190

    def test_handlers_that_raise(self, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
        actors = [
            Actor(message=lambda _: 1 / 0) if i % 2 else Actor(message=echo) for i in range(6)
        ]
        peers = [scene.open(actor) for actor in actors]
        for peer in peers:
            peer.text("x")
        scene.turn()
        assert [len(actor.errors) for actor in actors] == [0, 1] * 3
        assert [len(peer.told()) for peer in peers] == [1, 0] * 3

    def test_a_handler_may_end_another_connection(self, scene: Scene) -> None:
        """Although both have events in the same turn: the one that comes first wins."""
        first, second = Actor(), Actor()
        first.actions["message"] = lambda _: second.abort()
        second.actions["message"] = lambda _: first.abort()
        peers = [scene.open(first), scene.open(second)]
        for peer in peers:
            peer.text("x")
        scene.turn(count=3)
        assert sorted([first.names, second.names]) == [["open", "close"], ["open", "message"]]

    def test_a_slow_reader_holds_nobody_up(self, scene: Scene) -> None:
        slow, quick = Recorder(), Recorder()
        scene.open(slow)
        scene.sock.room = 0
        quick_peer = scene.open(quick)
        for i in range(10):
            slow.send(bytes(1000))
            quick.send(f"{i}")
        assert len(quick_peer.told()) == 10
        assert slow.buffered_amount == 10 * 1008


class Plain(Connection):
    """A connection without a way to come into being."""

    __slots__ = ()


class TestBase:
    """What the class for both roles does before a role adds to it; here for a server."""

    def make(
        self,
        scene: Scene,
        protocol: WebSocketProtocol,
        *,
        kind: type[Plain] = Plain,
        **options: Any,
    ) -> Plain:
        connection = kind(
            scene.loop,
            scene.loop.connections,
            ServerOptions(ping_interval=None, **options),
            Role.SERVER,
        )
        connection.protocol = protocol
        protocol._connection = connection
        return connection

    def test_its_life(self, scene: Scene) -> None:
        actor = Actor(message=echo)
        connection = self.make(scene, actor)
        phases = [connection.phase]
        assert scene.loop.connections == {connection}
        sock, peer = watched_pair()
        connection._attach(sock, b"", actor.on_open)
        phases.append(connection.phase)
        peer.send(build_frame(TEXT, b"hello", key=KEY))
        scene.turn()
        counts: list[int] = []
        in_thread(lambda: counts.append(actor.send("more")))
        scene.turn()
        peer.send(build_frame(CLOSE, close_payload(1000), key=KEY))
        scene.turn()
        assert [*phases, connection.phase] == [Phase.CONNECTING, Phase.ATTACHED, Phase.OVER]
        assert not scene.loop.connections
        frames = read_frames(peer.look())
        assert [frame.payload for frame in frames] == [b"hello", b"more", close_payload(1000)]
        assert all(frame.mask is None for frame in frames)
        assert counts == [6]
        peer.close()
        scene.turn(count=2)

    def test_before_it_is_attached_there_is_nothing_to_end(self, scene: Scene) -> None:
        actor = Actor()
        connection = self.make(scene, actor)
        connection.close()
        connection.abort()
        scene.turn()
        assert actor.events == []
        scene.loop.connections.clear()

    def test_what_only_a_role_knows(self, scene: Scene) -> None:
        connection = self.make(scene, Actor())
        assert (connection.request, connection.response) == (None, None)
        with pytest.raises(AssertionError):
            _ = connection.url
        scene.loop.connections.clear()

    def test_a_server_s_connection_is_called_by_its_url(self, scene: Scene) -> None:
        class Named(Plain):
            __slots__ = ()
            url = "/target"

        actor = Actor()
        connection = self.make(scene, actor, kind=Named, write_limit=1)
        sock, peer = watched_pair()
        connection._attach(sock, b"", actor.on_open)
        sock.room = 0
        actor.send("x")
        with pytest.raises(WebSocketQueueFullException, match="/target"):
            actor.send("x")
        peer.close()

    def test_it_takes_protocol_objects_that_are_free(self, scene: Scene) -> None:
        recorder = Recorder()
        check_protocol(recorder)
        with pytest.raises(TypeError, match="WebSocketProtocol"):
            check_protocol(object())
        scene.connect(recorder)
        with pytest.raises(ValueError, match="has a connection already"):
            check_protocol(recorder)
