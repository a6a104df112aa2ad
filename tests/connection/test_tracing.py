"""The trace of a connection's frames: connection/tracing.py, and ``reactor.trace``.

The trace of a WebSocketApp, which has another form, is in tests/classic/app/test_trace.py.
"""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest

import reactor
from reactor import Reactor
from reactor.connection.tracing import Tap, TracingSession
from reactor.protocols.frames import FrameHeader
from reactor.protocols.receiving import MAX_FRAMES
from reactor.protocols.session import WebSocketSession
from reactor.testing import connect_pair, run_until

from ..support.recorder import Recorder
from ..support.scene import Scene, in_thread, text
from ..support.websocket_frames import BINARY, PING, TEXT, build_frame
from ..support.zlib_peer import MEGABYTE, RSV1, agreements


class TestTrace:
    def test_frames_of_both_ways_are_shown(self, scene: Scene) -> None:
        file = io.StringIO()
        recorder = Recorder()
        reactor.trace(recorder, file)
        peer = scene.open(recorder)
        recorder.send("out")
        peer.text("in")
        scene.turn()
        shown = file.getvalue().splitlines()
        assert [line.partition(" raw: ")[0] for line in shown[::2]] == [
            "ws://scene/ ++Sent",
            "ws://scene/ ++Rcv",
        ]
        assert shown[1] == "ws://scene/ ++Sent decoded: fin=1 opcode=1 (text) data=out"
        assert shown[3] == "ws://scene/ ++Rcv decoded: fin=1 opcode=1 (text) data=in"
        assert recorder.messages == ["in"]

    def test_it_may_begin_and_end_while_the_connection_is_open(self, scene: Scene) -> None:
        file = io.StringIO()
        recorder = Recorder()
        peer = scene.open(recorder, text("before"))
        reactor.trace(recorder, file)
        peer.text("traced")
        scene.turn()
        reactor.trace(recorder, None)
        peer.text("after")
        scene.turn()
        assert recorder.messages == ["before", "traced", "after"]
        assert "traced" in file.getvalue()
        assert "before" not in file.getvalue()
        assert "after" not in file.getvalue()
        session: Any = recorder._reactor_connection.session  # type: ignore[attr-defined]
        assert type(session) is WebSocketSession

    @pytest.mark.parametrize("cut", [1, 4, 10])
    def test_it_may_begin_within_a_frame(self, scene: Scene, cut: int) -> None:
        file = io.StringIO()
        recorder = Recorder()
        peer = scene.open(recorder)
        frame = build_frame(TEXT, b"x" * 300)
        peer.send(frame[:cut])
        scene.turn()
        reactor.trace(recorder, file)
        peer.send(frame[cut:] + build_frame(PING, b"?") + text("next"))
        scene.turn(count=6)
        assert recorder.messages == ["x" * 300, "next"]
        assert "data=next" in file.getvalue()
        assert "(ping)" in file.getvalue()

    def test_all_connections_of_a_reactor_and_those_to_come(self, scene: Scene) -> None:
        file = io.StringIO()
        first, second = Recorder(), Recorder()
        there = scene.open(first)
        reactor.trace(scene.loop, file)
        later = scene.open(second)
        there.text("one")
        later.text("two")
        scene.turn()
        assert "data=one" in file.getvalue()
        assert "data=two" in file.getvalue()
        reactor.trace(scene.loop, None)
        there.text("three")
        scene.turn()
        assert "three" not in file.getvalue()

    def test_a_file_that_fails_costs_nobody_a_connection(
        self, scene: Scene, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = io.StringIO()
        recorder = Recorder()
        peer = scene.open(recorder)
        reactor.trace(recorder, file)
        file.close()
        peer.text("a")
        peer.text("b")
        scene.turn(count=3)
        assert recorder.messages == ["a", "b"]
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("reactor.connection", logging.ERROR)
        assert record.getMessage() == "the trace of ws://scene/ has ended"

    def test_a_line_of_text_is_what_websocket_client_has(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        handler = logging.StreamHandler(stream := io.StringIO())
        reactor.enableTrace(True, handler)
        try:
            reactor.trace("a line")
        finally:
            reactor.enableTrace(False)
        assert stream.getvalue() == "a line\n"

    def test_nonsense_is_an_error(self) -> None:
        with pytest.raises(TypeError, match="5"):
            reactor.trace(5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="write"):
            reactor.trace(Recorder(), "file")  # type: ignore[arg-type]

    def test_any_thread_may_ask_for_it(self, loop: Reactor) -> None:
        file = io.StringIO()
        client, server = connect_pair(loop, Recorder, Recorder)
        loop.call_soon(lambda: in_thread(lambda: reactor.trace(client, file)))
        for _ in range(2):
            loop.run_once(0)
        server.send("traced")
        run_until(loop, lambda: client.messages)
        assert "data=traced" in file.getvalue()


def shown(file: io.StringIO) -> list[str]:
    """Return the frames that the trace has decoded, without the place."""
    lines = [line.split(" ", 1)[1] for line in file.getvalue().splitlines()]
    return [line for line in lines if " decoded: " in line]


class TestFrames:
    """What is shown of a frame, however its bytes come."""

    def test_a_frame_is_shown_when_it_is_complete(self, scene: Scene) -> None:
        file = io.StringIO()
        recorder = Recorder()
        reactor.trace(recorder, file)
        peer = scene.open(recorder)
        *frame, last = text("x" * 200)
        for octet in frame:
            peer.send(bytes([octet]))
            scene.turn()
        assert file.getvalue() == ""
        peer.send(bytes([last]))
        scene.turn()
        assert shown(file) == [f"++Rcv decoded: fin=1 opcode=1 (text) data={'x' * 200}"]
        assert recorder.messages == ["x" * 200]

    def test_what_a_client_sends_is_shown_unmasked(self, loop: Reactor) -> None:
        file = io.StringIO()
        client, server = connect_pair(loop, Recorder, Recorder)
        reactor.trace(server, file)
        client.send("hello")
        run_until(loop, lambda: server.messages)
        assert shown(file) == ["++Rcv decoded: fin=1 opcode=1 (text) data=hello"]

    def test_compressed_messages_are_shown_once_and_as_they_are_sent(self, scene: Scene) -> None:
        file = io.StringIO()
        recorder = Recorder()
        reactor.trace(recorder, file)
        scene.connect(recorder, compression="deflate")
        peer = scene.succeed(agreement=agreements()[0])
        recorder.send("x" * 1000)
        scene.turn()
        (frame,) = peer.frames()
        (line,) = shown(file)
        assert line.startswith("++Sent decoded: fin=1 opcode=1 (text) rsv=4 data=")
        assert len(frame.payload) < 100

    def test_more_than_one_turn_may_deliver_is_all_shown_in_order(self, scene: Scene) -> None:
        file = io.StringIO()
        recorder = Recorder()
        reactor.trace(recorder, file)
        peer = scene.open(recorder)
        numbers = [str(number) for number in range(3 * MAX_FRAMES)]
        peer.text(*numbers)
        for _ in numbers:
            scene.turn()
        assert recorder.messages == numbers
        assert [line.partition("data=")[2] for line in shown(file)] == numbers

    def test_a_message_that_is_inflated_in_steps_is_shown_before_what_is_behind_it(
        self, scene: Scene
    ) -> None:
        file = io.StringIO()
        recorder = Recorder()
        reactor.trace(recorder, file)
        scene.connect(recorder, compression="deflate")
        large = build_frame(BINARY, MEGABYTE * 3 + b"\x00", rsv=RSV1)
        scene.succeed(large, text("behind"), agreement=agreements()[0])
        scene.turn(count=20)
        assert recorder.messages == [bytes(3 << 20), "behind"]
        assert [" (text) " in line for line in shown(file)] == [False, True]


class TestOnAndOff:
    """It begins and ends wherever the connection is."""

    def test_it_begins_behind_what_is_still_to_be_delivered(self, scene: Scene) -> None:
        file = io.StringIO()
        recorder = Recorder()
        peer = scene.open(recorder)
        numbers = [str(number) for number in range(3 * MAX_FRAMES)]
        peer.text(*numbers)
        scene.turn()
        assert 0 < len(recorder.messages) < len(numbers)
        reactor.trace(recorder, file)
        scene.turn(count=6)
        assert recorder.messages == numbers
        peer.text("last")
        scene.turn()
        assert shown(file) == ["++Rcv decoded: fin=1 opcode=1 (text) data=last"]

    def test_another_file_gets_the_frame_whose_beginning_the_first_one_has_seen(
        self, scene: Scene
    ) -> None:
        first, second = io.StringIO(), io.StringIO()
        recorder = Recorder()
        peer = scene.open(recorder)
        reactor.trace(recorder, first)
        frame = text("in two pieces")
        peer.send(frame[:5])
        scene.turn()
        reactor.trace(recorder, second)
        peer.send(frame[5:])
        scene.turn()
        assert first.getvalue() == ""
        assert shown(second) == ["++Rcv decoded: fin=1 opcode=1 (text) data=in two pieces"]

    def test_what_is_not_traced_need_not_end(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        reactor.trace(recorder, None)
        peer.text("x")
        scene.turn()
        assert recorder.messages == ["x"]

    def test_a_connection_that_is_opened_again_is_traced_from_then_on(self, scene: Scene) -> None:
        file = io.StringIO()
        recorder = Recorder()
        scene.open(recorder, reconnect=1.0).close()
        scene.turn(count=2)
        reactor.trace(recorder, file)
        assert file.getvalue() == ""
        scene.turn(2.0, count=3)
        scene.succeed(text("again"))
        assert shown(file) == ["++Rcv decoded: fin=1 opcode=1 (text) data=again"]

    def test_who_looks_already_is_not_replaced(self, scene: Scene) -> None:
        """As the trace of a WebSocketApp."""
        seen: list[bytes] = []

        class Looking(Tap):
            def received(self, raw: bytes, header: FrameHeader, payload: bytes) -> None:
                seen.append(payload)

        file = io.StringIO()
        recorder = Recorder()
        peer = scene.open(recorder)
        session: Any = recorder._reactor_connection.session  # type: ignore[attr-defined]
        session.__class__ = TracingSession
        session.tap = Looking()
        reactor.trace(recorder, file)
        reactor.trace(recorder, None)
        peer.text("x")
        scene.turn()
        assert (seen, file.getvalue()) == ([b"x"], "")
