"""The ways in which an open connection ends: connection/closing.py.

They are tried with the client's connections, which Reactor.connect makes.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable

import pytest

from reactor import (
    CloseCode,
    State,
    WebSocketConnectionClosedException,
    WebSocketMessageTooBigException,
    WebSocketPayloadException,
    WebSocketPeerException,
    WebSocketProtocolException,
    WebSocketQueueFullException,
)
from reactor.connection.closing import break_off, cut_off, describe_loss, fail

from ..support.recorder import Recorder
from ..support.scene import (
    FAULT,
    GOODBYE,
    Actor,
    Peer,
    Scene,
    closes,
    echo,
    in_thread,
    text,
)
from ..support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    build_frame,
    close_payload,
)

LOST = "Connection to remote host was lost."


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


class TestFaultsOfOurs:
    """What must not happen ends one connection, and says so."""

    @pytest.mark.parametrize("fault", [MemoryError(), AssertionError("impossible")])
    def test_an_exception_of_the_session_ends_the_connection(
        self,
        scene: Scene,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        fault: Exception,
    ) -> None:
        def receive(*_: object) -> list[object]:
            raise fault

        broken, other = Recorder(), Recorder()
        peer, fine = scene.open(broken), scene.open(other)
        monkeypatch.setattr("reactor.protocols.receiving.parse_pings", receive)
        peer.send(build_frame(PING, b"never seen"))
        scene.turn(count=2)
        monkeypatch.undo()
        assert broken.names == ["open", "error", "close"]
        assert broken.errors[0].__cause__ is fault
        assert repr(fault) in str(broken.errors[0])
        assert broken.closes == [(1006, "")]
        assert "exception in the session of ws://" in caplog.text
        fine.send(text("seen"))
        scene.turn()
        assert other.messages == ["seen"]


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
            connection.reader.data_received(text("last"))
            connection.reader.eof_received()

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

    @pytest.mark.parametrize("when_idle", [True, False])
    def test_in_the_turn_in_which_a_ping_is_due(self, scene: Scene, when_idle: bool) -> None:
        actor = Actor(message=lambda actor: actor.abort())
        peer = scene.open(actor, ping_interval=10, ping_when_idle=when_idle)
        peer.text("x")
        scene.turn(10, count=2)
        assert actor.names == ["open", "message", "close"]
        assert peer.told() == []
        assert scene.nothing_goes_on()

    def test_from_on_open_with_bytes_behind_the_handshake(self, scene: Scene) -> None:
        actor = Actor(open=lambda actor: actor.abort())
        scene.open(actor, text("not heard"), FAULT)
        scene.turn(count=2)
        assert actor.events == [("open",), ("close", 1006, "")]

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


class TestWithoutWaiting:
    """We leave, and do not wait for the peer."""

    def test_the_peer_is_told_that_we_go_away(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        break_off(recorder._reactor_connection, "enough", None)
        assert recorder.names == ["open"]  # not from within the caller
        scene.turn()
        assert peer.told() == [(CLOSE, close_payload(1001, b"enough"))]
        assert recorder.closes == [(1006, "enough")]
        assert recorder.errors == []

    def test_what_has_come_by_then_is_not_delivered(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(text("late"))
        break_off(recorder._reactor_connection, "", None)
        scene.turn(count=2)
        assert recorder.names == ["open", "close"]

    def test_a_connection_that_is_cut_off_sends_nothing_more(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        error = WebSocketQueueFullException("full")
        recorder.send("dropped")
        peer.told()
        cut_off(recorder._reactor_connection, error)
        scene.turn()
        assert peer.told() == []
        assert recorder.errors == [error]
        assert recorder.closes == [(1006, "")]

    def test_an_end_that_comes_first_is_the_only_one(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder)
        connection = recorder._reactor_connection
        break_off(connection, "first", None)
        fail(connection, WebSocketQueueFullException("second"))
        scene.turn(count=2)
        assert recorder.names == ["open", "error", "close"]


class TestDescription:
    """What ``on_error`` gets when a connection is lost."""

    def test_without_an_error(self) -> None:
        loss = describe_loss(None)
        assert isinstance(loss, WebSocketConnectionClosedException)
        assert str(loss) == "Connection to remote host was lost."
        assert loss.__cause__ is None

    @pytest.mark.parametrize(
        "error",
        [
            ConnectionResetError(errno.ECONNRESET, "reset by peer"),
            BrokenPipeError(errno.EPIPE, "broken pipe"),
            TimeoutError(errno.ETIMEDOUT, "timed out"),
            ssl.SSLError(1, "wrong version number"),
        ],
    )
    def test_with_an_error(self, error: OSError) -> None:
        loss = describe_loss(error)
        assert isinstance(loss, WebSocketConnectionClosedException)
        assert str(loss).startswith("Connection to remote host was lost.")
        assert str(error) in str(loss)
        assert loss.__cause__ is error
        # What the system says of the connection itself can be caught as that, too.
        assert isinstance(loss, ConnectionResetError) is isinstance(error, ConnectionError)
