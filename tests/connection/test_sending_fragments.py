"""Messages in fragments on a connection: when fragments are asked for, and what waits.

The frames of a session are in protocols/test_session_fragments.py.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from reactor import (
    State,
    WebSocketConnectionClosedException,
    WebSocketQueueFullException,
    WebSocketStateException,
)
from reactor.connection.outbox import ITEM_SIZE
from reactor.loop.names import describe

from ..support.recorder import Recorder
from ..support.scene import Actor, Peer, Scene, echo, in_thread
from ..support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Frame,
    build_frame,
    close_payload,
    read_frames,
)
from ..support.zlib_peer import RSV1, ZlibPeer, agreements

#: Of a client's frame with 126 bytes or more.
HEADER = 8

here = pytest.mark.parametrize(
    "call", [lambda function: function(), in_thread], ids=["here", "another thread"]
)

Call = Callable[[Callable[[], object]], None]


class Source:
    """Fragments without an end, which counts them.

    Attributes:
        count: how many were asked for.
        closed: whether the iterator was let go of.
    """

    def __init__(self, fragment: Any = bytes(1000), end: int = 1 << 60) -> None:
        self.fragment = fragment
        self.end = end
        self.count = 0
        self.closed = False

    def __iter__(self) -> Iterator[Any]:
        try:
            while self.count < self.end:
                self.count += 1
                yield self.fragment
        finally:
            self.closed = True


def sizes(frames: list[Frame]) -> list[tuple[int, int, bool]]:
    return [(frame.opcode, len(frame.payload), frame.fin) for frame in frames]


def told(peer: Peer) -> list[tuple[int, bytes, bool]]:
    return [(frame.opcode, frame.payload, frame.fin) for frame in peer.frames()]


class TestIterable:
    @here
    @pytest.mark.parametrize("kind", [list, tuple, iter, lambda parts: (x for x in parts)])
    def test_its_items_are_the_fragments(self, scene: Scene, call: Call, kind: Any) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        call(lambda: recorder.send_fragments(kind(["eins", "zwö", "", "drei"])))
        scene.turn(count=3)
        frames = told(peer)
        assert [(opcode, fin) for opcode, _, fin in frames] == [
            (CONT if i else TEXT, i == len(frames) - 1) for i in range(len(frames))
        ]
        assert b"".join(payload for _, payload, _ in frames) == "einszwödrei".encode()
        assert [payload for _, payload, _ in frames][:2] == [b"eins", "zwö".encode()]
        recorder.send("whole")
        assert told(peer) == [(TEXT, b"whole", True)]

    def test_a_binary_message(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.send_fragments([b"1", b"2", b"3"])
        scene.turn(count=3)
        first, *rest = told(peer)
        assert first == (BINARY, b"1", False)
        assert b"".join(payload for _, payload, _ in rest) == b"23"
        assert [fin for _, _, fin in rest] == [False] * (len(rest) - 1) + [True]

    def test_no_fragment_at_all_is_an_empty_text(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.send_fragments([])
        scene.turn(count=3)
        assert told(peer) == [(TEXT, b"", True)]
        recorder.send("next")
        assert told(peer) == [(TEXT, b"next", True)]

    @here
    @pytest.mark.parametrize("wrong", [None, 1, object()])
    def test_what_cannot_be_iterated_is_an_error_of_the_call(
        self, scene: Scene, call: Call, wrong: Any
    ) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        with pytest.raises(TypeError):
            call(lambda: recorder.send_fragments(wrong))
        scene.turn()
        assert recorder.send("x")
        assert told(peer) == [(TEXT, b"x", True)]
        assert recorder.errors == []

    @here
    @pytest.mark.parametrize("whole", ["text", b"binary", bytearray(b"x"), memoryview(b"x")])
    def test_a_message_is_not_taken_for_its_characters(
        self, scene: Scene, call: Call, whole: Any
    ) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        expected = f"must be an iterable of str or of bytes, not {type(whole).__name__}"
        with pytest.raises(TypeError, match=expected):
            call(lambda: recorder.send_fragments(whole))
        scene.turn()
        assert told(peer) == []

    @here
    def test_it_is_asked_on_the_loop_s_thread(self, scene: Scene, call: Call) -> None:
        threads: set[int] = set()

        def parts() -> Iterator[str]:
            for _ in range(5):
                threads.add(threading.get_ident())
                yield "x"

        recorder = Recorder()
        peer = scene.open(recorder)
        call(lambda: recorder.send_fragments(parts()))
        scene.turn(count=3)
        assert threads == {threading.get_ident()}
        assert b"".join(payload for _, payload, _ in told(peer)) == b"xxxxx"

    @here
    def test_nothing_can_be_sent_where_there_is_no_open_connection(
        self, scene: Scene, call: Call
    ) -> None:
        recorder = Recorder()
        source = Source("x")
        verbs: list[Callable[[], object]] = [
            lambda: recorder.send_fragments(source),
            lambda: recorder.send_fragment("x"),
            lambda: recorder.send_fragment("x", fin=True),
        ]
        for verb in verbs:
            with pytest.raises(WebSocketStateException):
                verb()
        scene.connect(recorder)
        for verb in verbs:
            with pytest.raises(WebSocketStateException, match="not open yet"):
                call(verb)
        peer = scene.succeed()
        recorder.close()
        for verb in verbs:
            with pytest.raises(WebSocketConnectionClosedException):
                call(verb)
        peer.say_goodbye()
        scene.turn()
        for verb in verbs:
            with pytest.raises(WebSocketConnectionClosedException):
                call(verb)
        scene.turn(count=2)
        assert source.count == 0
        assert told(peer) == [(CLOSE, close_payload(1000), True)]


class TestFindings:
    """What a review has found."""

    def test_a_buffer_may_be_changed_after_the_call(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        buffer = bytearray(b"AAAA")

        def send() -> None:
            for letter, fin in ((b"A", False), (b"B", False), (b"C", True)):
                buffer[:] = letter * 4
                recorder.send_fragment(buffer, fin)
                recorder.ping(buffer)

        in_thread(send)
        buffer[:] = b"XXXX"
        scene.turn()
        assert told(peer) == [
            *((BINARY, b"AAAA", False), (PING, b"AAAA", True)),
            *((CONT, b"BBBB", False), (PING, b"BBBB", True)),
            *((CONT, b"CCCC", True), (PING, b"CCCC", True)),
        ]

    @here
    def test_a_payload_that_is_none_is_an_error_of_the_call(self, scene: Scene, call: Call) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        for send in (recorder.ping, recorder.pong, lambda payload: recorder.send_frame(1, payload)):
            with pytest.raises(TypeError, match="a payload is bytes, not str"):
                call(lambda send=send: send("text"))  # type: ignore[misc]
        scene.turn()
        assert told(peer) == []

    def test_a_high_mark_of_zero_still_lets_everything_through(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=0, low_water=0)
        recorder.send_fragments(["a", "b"])
        scene.turn(count=4)
        assert b"".join(payload for _, payload, _ in told(peer)) == b"ab"

    def test_who_interrupts_on_error_does_not_complete_the_message(self, scene: Scene) -> None:
        def parts() -> Iterator[str]:
            yield "first half"
            raise LookupError

        def interrupt(_: Exception) -> None:
            raise KeyboardInterrupt

        actor = Actor(error=interrupt)
        peer = scene.open(actor)
        with pytest.raises(KeyboardInterrupt):
            actor.send_fragments(parts())
        scene.turn(count=2)
        frames = told(peer)
        assert frames[0] == (TEXT, b"first half", False)
        assert [opcode for opcode, _, _ in frames[1:]] == [CLOSE]


class TestBackpressure:
    def test_a_peer_that_does_not_read_stops_it_at_the_high_mark(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=10_000, low_water=2_000)
        scene.sock.room = 0
        source = Source()
        recorder.send_fragments(source)
        scene.turn(count=20)
        assert 9 <= source.count <= 11
        assert recorder.buffered_amount == source.count * (1000 + HEADER)
        before = source.count
        scene.sock.room = recorder.buffered_amount - 2_001
        scene.turn(count=5)
        assert source.count == before  # above the low mark
        scene.sock.room = 1
        scene.turn(count=5)
        assert 6 <= source.count - before <= 10
        assert peer.look()
        recorder.abort()
        scene.turn()

    def test_a_peer_that_reads_slowly_gets_all_of_it(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=10_000, low_water=2_000)
        source = Source(end=100)
        scene.sock.room = 0
        recorder.send_fragments(source)
        turns = 0
        while not source.closed or recorder.buffered_amount:
            scene.turn()
            assert recorder.buffered_amount <= 11_200
            scene.sock.room = 3_000
            peer.look()
            turns += 1
            assert turns < 200
        assert source.count == 100
        frames = read_frames(peer.received)
        assert sum(len(frame.payload) for frame in frames) == 100_000
        assert [frame.fin for frame in frames].count(True) == 1
        assert frames[-1].fin

    def test_what_waits_before_it_counts(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=10_000, low_water=2_000)
        scene.sock.room = 0
        recorder.send(bytes(20_000))
        source = Source(end=5)
        recorder.send_fragments(source)
        scene.turn(count=5)
        assert source.count == 0
        scene.sock.room = None
        scene.turn(count=5)
        assert source.closed
        assert sizes(peer.frames())[:2] == [(BINARY, 20_000, True), (BINARY, 1000, False)]

    def test_a_peer_that_reads_fast_gets_no_more_than_its_share_in_a_turn(
        self, scene: Scene
    ) -> None:
        """The loop has other connections."""
        recorder = Recorder()
        peer = scene.open(recorder, high_water=10_000, low_water=2_000)
        source = Source()
        recorder.send_fragments(source)
        counts = [source.count]
        for _ in range(20):
            scene.turn()
            peer.look()
            counts.append(source.count)
        assert max(b - a for a, b in pairwise(counts)) <= 12
        assert counts[-1] > 100  # but it goes on in every turn, without anybody's doing
        recorder.abort()
        scene.turn()
        assert source.closed

    @pytest.mark.parametrize("fragment", [b"", "", b"x", bytes(100_000)])
    def test_others_are_served_meanwhile(self, scene: Scene, fragment: Any) -> None:
        """Also when the fragments are empty, or each is more than the mark."""
        actor = Actor(message=echo)
        echo_peer = scene.open(actor)
        recorder = Recorder()
        peer = scene.open(recorder)
        source = Source(fragment)
        recorder.send_fragments(source)
        for i in range(5):
            echo_peer.text(str(i))
            scene.turn()
            peer.look()
            assert echo_peer.told() == [(TEXT, str(i).encode())]
        assert source.count > 5
        recorder.abort()
        scene.turn()

    def test_messages_behind_it_do_not_make_it_more_than_its_share(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=10_000, low_water=2_000)
        source = Source()
        recorder.send_fragments(source)
        count = source.count
        for _ in range(5):
            recorder.send("waits")
            peer.look()
        assert (source.count, scene.loop.stats().calls) == (count, 1)
        scene.turn()
        assert count < source.count <= 2 * count + 2
        recorder.abort()
        scene.turn()

    def test_its_next_turn_comes_too_late_when_everything_was_dropped(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=10_000, low_water=2_000)
        source = Source()
        recorder.send_fragments(source)
        count = source.count
        recorder.close()
        scene.turn(count=2)
        assert source.count == count
        assert peer.told()[-1] == (CLOSE, close_payload(1000))

    def test_a_turn_of_it_that_takes_long_is_blamed_by_whom_it_works_for(
        self, scene: Scene
    ) -> None:
        recorder = Recorder()
        scene.open(recorder)
        recorder.send_fragments(Source())
        sender = recorder._reactor_connection.sender  # type: ignore[attr-defined]
        assert describe(sender.outbox._run_again) == "Outbox._run_again for Recorder on ws://scene/"
        assert describe(sender.flush) == "Sender.flush for Recorder on ws://scene/"
        recorder.abort()
        scene.turn()

    def test_two_at_once(self, scene: Scene) -> None:
        """Neither starves the other."""
        recorders = [Recorder(), Recorder()]
        peers = [scene.open(recorder, high_water=5_000, low_water=0) for recorder in recorders]
        sources = [Source(), Source()]
        for recorder, source in zip(recorders, sources, strict=True):
            recorder.send_fragments(source)
        for _ in range(20):
            scene.turn()
            for peer in peers:
                peer.look()
        assert min(source.count for source in sources) > 50
        for recorder in recorders:
            recorder.abort()
        scene.turn()

    @here
    def test_nothing_goes_on_when_it_is_done(self, scene: Scene, call: Call) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        call(lambda: recorder.send_fragments(["a", "b"]))
        scene.turn(count=3)
        stats = scene.loop.stats()
        assert (stats.calls, stats.timers, stats.writers) == (0, 0, 0)
        assert recorder.buffered_amount == 0
        peer.look()
        recorder.close()
        peer.say_goodbye()
        peer.end()
        scene.turn(count=2)
        assert scene.nothing_goes_on()


class TestOrder:
    @here
    def test_messages_follow_behind(self, scene: Scene, call: Call) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=100, low_water=10)
        scene.sock.room = 0

        def send() -> None:
            recorder.send("before")
            recorder.send_fragments(["one " * 30, "two " * 30, "three"])
            recorder.send("after")
            recorder.send_fragments([b"x" * 100, b"y"])
            recorder.send(b"last")

        call(send)
        for _ in range(30):
            scene.turn()
            scene.sock.room = 200
        frames = told(peer)
        assert messages_of(frames) == [
            b"before",
            b"one " * 30 + b"two " * 30 + b"three",
            b"after",
            b"x" * 100 + b"y",
            b"last",
        ]

    @here
    def test_pings_do_not_wait(self, scene: Scene, call: Call) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=10_000, low_water=2_000)
        scene.sock.room = 0
        recorder.send_fragments(Source(end=30))
        recorder.send("behind")
        scene.turn()
        call(lambda: recorder.ping(b"p"))
        peer.send(build_frame(PING, b"q"))
        scene.turn()
        scene.sock.room = None
        scene.turn(count=10)
        frames = told(peer)
        opcodes = [opcode for opcode, _, _ in frames]
        assert max(opcodes.index(PING), opcodes.index(PONG)) < 15
        assert opcodes.count(PING) == opcodes.count(PONG) == 1
        assert frames[-1] == (TEXT, b"behind", True)

    def test_so_does_the_keep_alive(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=1.0, high_water=10_000, low_water=2_000)
        scene.sock.room = 0
        recorder.send_fragments(Source())
        scene.turn(1.0, count=2)
        scene.sock.room = None
        scene.turn(count=5)
        assert PING in [opcode for opcode, _, _ in told(peer)]
        recorder.abort()
        scene.turn()

    def test_what_comes_meanwhile_is_delivered(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=10_000, low_water=0)
        recorder.send_fragments(Source())
        peer.text("hello")
        scene.turn(count=2)
        assert recorder.messages == ["hello"]
        recorder.abort()
        scene.turn()

    def test_a_message_is_returned_with_its_size(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder)
        scene.sock.room = 0
        recorder.send_fragments(Source())
        assert recorder.send(bytes(200)) == 200 + HEADER
        recorder.abort()
        scene.turn()

    @here
    def test_a_message_of_another_type_is_an_error_of_the_call(
        self, scene: Scene, call: Call
    ) -> None:
        """Also where it would have to wait."""
        recorder = Recorder()
        scene.open(recorder)
        scene.sock.room = 0
        recorder.send_fragments(Source())
        with pytest.raises(TypeError):
            call(lambda: recorder.send(1))  # type: ignore[arg-type]
        recorder.abort()
        scene.turn()

    def test_a_buffer_that_waits_may_be_changed(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=1_000, low_water=100)
        scene.sock.room = 0
        recorder.send_fragments(Source(end=5))
        buffer = bytearray(b"good")
        recorder.send(buffer)
        buffer[:] = b"evil"
        scene.sock.room = None
        scene.turn(count=10)
        assert told(peer)[-1] == (BINARY, b"good", True)


def messages_of(frames: list[tuple[int, bytes, bool]]) -> list[bytes]:
    """Put the data frames together; they must be in the order of RFC 6455 section 5.4."""
    messages: list[bytes] = []
    parts: list[bytes] = []
    for opcode, payload, fin in frames:
        if opcode in (TEXT, BINARY, CONT):
            assert (opcode == CONT) is bool(parts), frames
            parts.append(payload)
            if fin:
                messages.append(b"".join(parts))
                parts = []
    assert not parts
    return messages


class TestLimit:
    def test_what_waits_counts(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, write_limit=20_000, high_water=5_000, low_water=1_000)
        scene.sock.room = 0
        recorder.send_fragments(Source())
        scene.turn()
        amount = recorder.buffered_amount
        sent = 0
        while recorder.buffered_amount < 20_000 and sent < 30:
            recorder.send(bytes(1000))
            sent += 1
            assert recorder.buffered_amount >= amount + sent * 1000
        assert 12 <= sent <= 16
        assert recorder.state is State.OPEN
        for verb in (
            lambda: recorder.send_fragments([b"x"]),
            lambda: recorder.send(""),
            lambda: recorder.ping(),
        ):
            with pytest.raises(WebSocketQueueFullException):
                verb()
        recorder.abort()
        scene.turn()

    def test_fragments_one_by_one(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, write_limit=5_000)
        scene.sock.room = 0
        for _ in range(5):
            recorder.send_fragment(bytes(1000))
        with pytest.raises(WebSocketQueueFullException):
            recorder.send_fragment(bytes(1000))
        scene.sock.room = None
        scene.turn()
        recorder.send_fragment(b"end", fin=True)
        frames = told(peer)
        (message,) = messages_of(frames)
        assert message == bytes(5000) + b"end"

    def test_what_has_not_left_is_counted_and_forgotten(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=1_000, low_water=100)
        scene.sock.room = 0
        recorder.send_fragments(Source(end=3))
        recorder.send("x" * 500)
        assert recorder.buffered_amount >= 500
        scene.turn(count=2)
        assert recorder.buffered_amount >= 1_500
        scene.sock.room = None
        scene.turn(count=10)
        assert recorder.buffered_amount == 0
        assert messages_of(told(peer)) == [bytes(3000), b"x" * 500]

    def test_a_message_that_has_gone_is_counted_no_longer(self, scene: Scene) -> None:
        """While another one in fragments still goes on."""
        recorder = Recorder()
        peer = scene.open(recorder, high_water=10_000, low_water=2_000)
        recorder.send_fragment("1")
        recorder.send("x" * 500)
        recorder.send_fragments(Source())
        recorder.send("z" * 70)
        assert recorder.buffered_amount == 570 + 3 * ITEM_SIZE
        recorder.send_fragment("", fin=True)
        for _ in range(3):
            scene.turn()
            peer.look()
        assert recorder.buffered_amount == 70 + ITEM_SIZE  # the kernel has taken all the rest
        recorder.abort()
        scene.turn()

    @pytest.mark.parametrize(
        "send", [lambda recorder: recorder.send(""), lambda recorder: recorder.send_fragments([])]
    )
    def test_what_is_empty_counts_too(
        self, scene: Scene, send: Callable[[Recorder], object]
    ) -> None:
        recorder = Recorder()
        scene.open(recorder, write_limit=10 * ITEM_SIZE)
        recorder.send_fragment("1")
        for _ in range(10):
            send(recorder)
        with pytest.raises(WebSocketQueueFullException):
            send(recorder)
        recorder.abort()
        scene.turn()

    def test_nor_does_it_stay_when_the_connection_ends(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=1_000, low_water=0)
        scene.sock.room = 0
        recorder.send_fragments(Source())
        recorder.send("x" * 500)
        peer.close()
        scene.turn(count=2)
        assert recorder.buffered_amount == 0
        assert len(recorder.closes) == 1


class TestEnds:
    @here
    def test_close_cuts_it(self, scene: Scene, call: Call) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=5_000, low_water=1_000)
        scene.sock.room = 0
        source = Source()
        recorder.send_fragments(source)
        recorder.send("behind")
        scene.turn(count=2)
        count = source.count
        call(lambda: recorder.close(1001, "bye"))
        scene.turn()
        scene.sock.room = None
        scene.turn(count=5)
        assert source.count == count
        assert source.closed
        frames = told(peer)
        assert frames[-1] == (CLOSE, close_payload(1001, b"bye"), True)
        assert not any(fin for _, _, fin in frames[:-1])
        peer.say_goodbye()
        scene.turn()
        assert recorder.closes == [(1000, "")]
        assert recorder.errors == []
        assert recorder.buffered_amount == 0

    @pytest.mark.parametrize("how", ["goodbye", "fault", "lost", "abort"])
    def test_any_other_end_does_so_too(self, scene: Scene, how: str) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=5_000, low_water=1_000)
        scene.sock.room = 0
        source = Source()
        recorder.send_fragments(source)
        scene.turn()
        count = source.count
        if how == "goodbye":
            peer.say_goodbye()
        elif how == "fault":
            peer.send(build_frame(TEXT, b"x", rsv=4))
        elif how == "lost":
            peer.close()
        else:
            recorder.abort()
        scene.turn(count=2)
        scene.sock.room = None
        scene.turn(count=3)
        assert source.count == count
        assert source.closed
        assert len(recorder.closes) <= 1

    @here
    def test_an_iterator_that_raises_ends_the_connection(self, scene: Scene, call: Call) -> None:
        """The message cannot be ended in another way."""

        def parts() -> Iterator[str]:
            yield "one"
            raise LookupError("no more")

        recorder = Recorder()
        peer = scene.open(recorder)
        call(lambda: recorder.send_fragments(parts()))
        scene.turn(count=3)
        (error,) = recorder.errors
        assert isinstance(error, LookupError)
        frames = told(peer)
        assert frames[0] == (TEXT, b"one", False)
        assert frames[-1][:2] == (CLOSE, frames[-1][1])
        assert frames[-1][1][:2] == close_payload(1011)
        peer.send(build_frame(CLOSE, close_payload(1011)))
        scene.turn(count=2)
        assert recorder.names == ["open", "error", "close"]

    def test_also_at_once(self, scene: Scene) -> None:
        def fail() -> str:
            raise LookupError("nothing")

        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.send_fragments(iter(fail, "end"))
        scene.turn(count=3)
        assert [type(error) for error in recorder.errors] == [LookupError]
        assert [(opcode, payload[:2]) for opcode, payload, _ in told(peer)] == [
            (CLOSE, close_payload(1011))
        ]

    @pytest.mark.parametrize(
        "parts", [[1], [None], ["text", b"binary"], [b"binary", "text"], ["text", 1], ["\ud800"]]
    )
    def test_fragments_of_another_type(self, scene: Scene, parts: list[Any]) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.send_fragments(parts)
        recorder.events.append(("sent",))
        scene.turn(count=3)
        (error,) = recorder.errors
        assert isinstance(error, (TypeError, UnicodeEncodeError))
        frames = told(peer)
        assert frames[-1][1][:2] == close_payload(1011)
        assert len(frames) == len(parts)

    def test_what_waited_behind_it_is_not_sent(self, scene: Scene) -> None:
        def parts() -> Iterator[str]:
            yield "x" * 2_000
            raise LookupError

        recorder = Recorder()
        peer = scene.open(recorder, high_water=1_000, low_water=100)
        scene.sock.room = 0
        recorder.send_fragments(parts())
        recorder.send("behind")
        other = Source()
        recorder.send_fragments(other)
        scene.sock.room = None
        scene.turn(count=5)
        assert [opcode for opcode, _, _ in told(peer)] == [TEXT, CLOSE]
        assert other.count == 0

    @pytest.mark.parametrize("exc", [KeyboardInterrupt, SystemExit])
    def test_what_ends_the_program_passes(self, scene: Scene, exc: type[BaseException]) -> None:
        def parts() -> Iterator[str]:
            yield "one"
            raise exc

        recorder = Recorder()
        peer = scene.open(recorder)
        with pytest.raises(exc):
            self.start(scene, recorder, parts())
        scene.turn(count=3)
        assert recorder.errors == []
        frames = told(peer)
        assert frames == [(TEXT, b"one", False), (CLOSE, close_payload(1011), True)]
        recorder.abort()
        scene.turn()

    def start(self, scene: Scene, recorder: Recorder, parts: Iterator[str]) -> None:
        recorder.send_fragments(parts)
        scene.turn(count=3)

    def test_a_reconnect_begins_with_nothing(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, reconnect=1.0, high_water=5_000, low_water=1_000)
        scene.sock.room = 0
        source = Source()
        recorder.send_fragments(source)
        recorder.send("lost with it")
        scene.turn()
        count = source.count
        peer.close()
        scene.turn()
        assert source.closed
        scene.turn(1.0, count=2)
        peer = scene.succeed()
        scene.turn(count=3)
        assert recorder.names[-1] == "reconnect"
        assert told(peer) == []
        recorder.send("new")
        recorder.send_fragment("a")
        recorder.send_fragment("b", fin=True)
        recorder.send_fragments(["c"])
        scene.turn(count=3)
        assert messages_of(told(peer)) == [b"new", b"ab", b"c"]
        assert source.count == count

    def test_fragments_one_by_one_do_not_outlive_a_connection(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, reconnect=1.0)
        recorder.send_fragment("half of")
        recorder.send("behind")
        peer.close()
        scene.turn()
        scene.turn(1.0, count=2)
        peer = scene.succeed()
        assert recorder.buffered_amount == 0
        recorder.send_fragment(b"new")
        recorder.send_fragment(b"", fin=True)
        assert told(peer) == [(BINARY, b"new", False), (CONT, b"", True)]


class TestIteratorsThatUseTheConnection:
    def test_one_that_closes_it(self, scene: Scene) -> None:
        recorder = Recorder()
        ended: list[str] = []

        def parts() -> Iterator[str]:
            try:
                yield "one"
                recorder.close(1001)
                yield "two"
                ended.append("asked for more")
            finally:
                ended.append("closed")

        peer = scene.open(recorder)
        recorder.send_fragments(parts())
        scene.turn(count=3)
        frames = told(peer)
        assert [opcode for opcode, _, _ in frames] == [TEXT, CLOSE]
        assert ended == ["closed"]
        peer.say_goodbye()
        scene.turn(count=2)
        assert recorder.names == ["open", "close"]

    def test_one_that_closes_it_and_ends(self, scene: Scene) -> None:
        recorder = Recorder()

        def parts() -> Iterator[str]:
            yield "one"
            recorder.close(1001)

        peer = scene.open(recorder)
        recorder.send_fragments(parts())
        scene.turn(count=3)
        assert [opcode for opcode, _, _ in told(peer)] == [TEXT, CLOSE]
        assert recorder.errors == []

    def test_one_that_closes_it_and_raises(self, scene: Scene) -> None:
        recorder = Recorder()

        def parts() -> Iterator[str]:
            yield "one"
            recorder.close(1001)
            raise LookupError

        peer = scene.open(recorder)
        recorder.send_fragments(parts())
        scene.turn(count=3)
        frames = told(peer)
        assert [opcode for opcode, _, _ in frames] == [TEXT, CLOSE]
        assert frames[-1][1] == close_payload(1001)
        peer.say_goodbye()
        scene.turn(count=2)
        assert [type(error) for error in recorder.errors] in ([], [LookupError])
        assert recorder.names[-1] == "close"

    def test_one_that_aborts_it(self, scene: Scene) -> None:
        recorder = Recorder()

        def parts() -> Iterator[str]:
            yield "one"
            recorder.abort()
            yield "two"

        scene.open(recorder)
        recorder.send_fragments(parts())
        scene.turn(count=3)
        assert recorder.errors == []
        assert len(recorder.closes) == 1

    def test_one_that_sends(self, scene: Scene) -> None:
        """It follows behind; what does not wait comes between."""
        recorder = Recorder()

        def parts() -> Iterator[str]:
            yield "one"
            recorder.send("message")
            recorder.ping(b"p")
            yield "two"
            recorder.send_fragments(["three", "four"])
            recorder.send("last")

        peer = scene.open(recorder)
        recorder.send_fragments(parts())
        scene.turn(count=5)
        frames = told(peer)
        assert messages_of(frames) == [b"onetwo", b"message", b"threefour", b"last"]
        assert [opcode for opcode, _, _ in frames].index(PING) < 3
        assert recorder.errors == []

    def test_one_that_sends_a_fragment(self, scene: Scene) -> None:
        """Two messages cannot be mixed: the call is an error, which the iterator may catch."""
        recorder = Recorder()
        caught: list[Exception] = []

        def parts() -> Iterator[str]:
            yield "one"
            try:
                recorder.send_fragment("between")
            except WebSocketStateException as exc:
                caught.append(exc)
            yield "two"

        peer = scene.open(recorder)
        recorder.send_fragments(parts())
        scene.turn(count=3)
        assert len(caught) == 1
        assert messages_of(told(peer)) == [b"onetwo"]

    def test_one_that_has_sent_in_a_handler(self, scene: Scene) -> None:
        def start(actor: Actor) -> None:
            actor.send_fragments(str(i) for i in range(3))
            actor.send("after")

        actor = Actor(message=start)
        peer = scene.open(actor)
        peer.text("go")
        peer.text("again")
        scene.turn(count=5)
        assert messages_of(told(peer)) == [b"012", b"after"] * 2


class TestOneByOne:
    @here
    def test_fragments(self, scene: Scene, call: Call) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        call(lambda: recorder.send_fragment("one"))
        scene.turn()
        assert told(peer) == [(TEXT, b"one", False)]
        call(lambda: recorder.send_fragment("two", fin=True))
        scene.turn()
        assert told(peer) == [(CONT, b"two", True)]
        call(lambda: recorder.send_fragment(b"whole", fin=True))
        scene.turn()
        assert told(peer) == [(BINARY, b"whole", True)]

    @pytest.mark.parametrize("first", ["text", b"binary"])
    def test_an_empty_fragment_ends_a_message(self, scene: Scene, first: Any) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.send_fragment(first)
        recorder.send_fragment(type(first)(), fin=True)
        opcode = TEXT if first == "text" else BINARY
        payload = first.encode() if isinstance(first, str) else first
        assert told(peer) == [(opcode, payload, False), (CONT, b"", True)]

    @here
    def test_messages_follow_behind_the_last(self, scene: Scene, call: Call) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)

        def send() -> None:
            recorder.send_fragment("one")
            recorder.send("after")
            recorder.ping(b"p")
            recorder.send_fragments([b"x", b"y"])
            recorder.send_fragment("two")

        call(send)
        scene.turn(count=2)
        assert [opcode for opcode, _, _ in told(peer)] == [TEXT, PING, CONT]
        assert recorder.buffered_amount > 0
        call(lambda: recorder.send_fragment("three", fin=True))
        scene.turn(count=3)
        frames = told(peer)
        assert frames[0] == (CONT, b"three", True)
        assert messages_of(frames[1:]) == [b"after", b"xy"]
        assert recorder.buffered_amount == 0

    @pytest.mark.parametrize(
        ("first", "wrong"), [("text", b"binary"), (b"binary", "text"), ("text", None)]
    )
    def test_a_fragment_of_the_wrong_type(self, scene: Scene, first: Any, wrong: Any) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.send_fragment(first)
        with pytest.raises(TypeError):
            recorder.send_fragment(wrong)
        recorder.send_fragment(first, fin=True)
        assert len(messages_of(told(peer))) == 1
        assert recorder.errors == []

    @pytest.mark.parametrize(("first", "wrong"), [("text", b"binary"), (b"binary", "text")])
    def test_a_thread_hears_of_it_by_on_error(
        self, scene: Scene, first: Any, wrong: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It has gone on by then."""
        recorder = Recorder()
        peer = scene.open(recorder)

        def send() -> None:
            recorder.send_fragment(first)
            recorder.send_fragment(wrong)
            recorder.send_fragment(first, fin=True)

        in_thread(send)
        scene.turn()
        assert [type(error) for error in recorder.errors] == [TypeError]
        assert len(caplog.records) == 1
        (message,) = messages_of(told(peer))
        assert message == 2 * (first if isinstance(first, bytes) else first.encode())

    @here
    @pytest.mark.parametrize("wrong", [None, 1])
    def test_a_first_fragment_that_is_none(self, scene: Scene, call: Call, wrong: Any) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        with pytest.raises(TypeError):
            call(lambda: recorder.send_fragment(wrong))
        scene.turn()
        recorder.send_frame(TEXT, b"x")
        assert told(peer) == [(TEXT, b"x", True)]
        assert recorder.errors == []

    @here
    def test_frames_of_one_s_own_do_not_come_between(self, scene: Scene, call: Call) -> None:
        """They are refused, at once or by on_error; control frames are not."""
        recorder = Recorder()
        peer = scene.open(recorder, high_water=1_000, low_water=100)
        scene.sock.room = 0
        recorder.send_fragments(Source(end=5))
        scene.turn()
        try:
            call(lambda: recorder.send_frame(TEXT, b"between"))
        except WebSocketStateException as exc:
            recorder.events.append(("error", exc))
        call(lambda: recorder.send_frame(PING, b"p"))
        scene.turn()
        scene.sock.room = None
        scene.turn(count=10)
        frames = told(peer)
        assert messages_of(frames) == [bytes(5000)]
        assert (PING, b"p", True) in frames
        assert [type(error) for error in recorder.errors] == [WebSocketStateException]

    def test_not_while_those_of_an_iterable_are_on_their_way(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, high_water=1_000, low_water=100)
        scene.sock.room = 0
        recorder.send_fragments(Source(end=3))
        scene.turn()
        with pytest.raises(WebSocketStateException):
            recorder.send_fragment(b"x")
        scene.sock.room = None
        scene.turn(count=10)
        recorder.send_fragment(b"now", fin=True)
        assert messages_of(told(peer)) == [bytes(3000), b"now"]

    def test_it_waits_behind_messages_that_wait(self, scene: Scene) -> None:
        """Order is that of the calls, or the call is refused; nothing is mixed."""
        recorder = Recorder()
        peer = scene.open(recorder, high_water=1_000, low_water=100)
        scene.sock.room = 0
        recorder.send_fragments([b"a" * 2_000])
        recorder.send("waits")
        try:
            recorder.send_fragment("one")
            recorder.send_fragment("two", fin=True)
            expected = [b"a" * 2_000, b"waits", b"onetwo"]
        except WebSocketStateException:
            expected = [b"a" * 2_000, b"waits"]
        scene.sock.room = None
        scene.turn(count=10)
        assert messages_of(told(peer)) == expected

    def test_close_does_not_wait_for_the_last(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.send_fragment("one")
        recorder.send("behind")
        recorder.close()
        assert [opcode for opcode, _, _ in told(peer)] == [TEXT, CLOSE]
        with pytest.raises(WebSocketConnectionClosedException):
            recorder.send_fragment("two", fin=True)

    def test_from_two_threads_each_message_stays_whole(self, scene: Scene) -> None:
        """Messages, pings and iterables of several threads, all at once."""
        recorder = Recorder()
        peer = scene.open(recorder, high_water=2_000, low_water=500)

        def work(name: str) -> Callable[[], None]:
            def run() -> None:
                for i in range(20):
                    recorder.send_fragments([name * 50, str(i), name * 50])
                    recorder.send(f"{name}{i}")
                    recorder.ping(b"p")

            return run

        threads = [threading.Thread(target=work(name)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _ in range(200):
            scene.turn()
            peer.look()
        frames = [(f.opcode, f.payload, f.fin) for f in read_frames(peer.received)]
        messages = [message.decode() for message in messages_of(frames)]
        for name in "ab":
            expected: list[str] = []
            for i in range(20):
                expected += [f"{name * 50}{i}{name * 50}", f"{name}{i}"]
            assert [message for message in messages if message[0] == name] == expected
        assert [opcode for opcode, _, _ in frames].count(PING) == 40


class TestCompressed:
    def open(self, scene: Scene, recorder: Recorder, **options: Any) -> tuple[Peer, ZlibPeer]:
        scene.connect(recorder, **options)
        clients, _ = agreements()
        return scene.succeed(agreement=clients), ZlibPeer()

    def test_what_was_agreed_is_told(self, scene: Scene) -> None:
        recorder = Recorder()
        clients, _ = agreements()
        scene.connect(recorder)
        scene.succeed(agreement=clients)
        assert recorder.compression == clients
        other = Recorder()
        scene.open(other)
        assert other.compression is None

    @pytest.mark.parametrize("compress", [None, True, False])
    def test_fragments(self, scene: Scene, compress: bool | None) -> None:
        recorder = Recorder()
        peer, zlib_peer = self.open(scene, recorder)
        recorder.send_fragments(["one ", "two"], compress=compress)
        scene.turn(count=3)
        recorder.send_fragment("one ", compress=compress)
        recorder.send_fragment("two", fin=True)
        recorder.send("again" * 50)
        frames = peer.frames()
        self.check_messages(zlib_peer, frames, [b"one two", b"one two", b"again" * 50])
        assert (frames[0].rsv == RSV1) is (compress is not False)

    def check_messages(self, peer: ZlibPeer, frames: list[Frame], expected: list[bytes]) -> None:
        messages: list[bytes] = []
        while frames:
            end = next(i for i, frame in enumerate(frames) if frame.fin) + 1
            first = frames[0]
            payloads = [frame.payload for frame in frames[:end]]
            assert all(frame.rsv == 0 for frame in frames[1:end])
            messages.append(peer.inflate(*payloads) if first.rsv else b"".join(payloads))
            frames = frames[end:]
        assert messages == expected

    def test_what_compresses_well_leaves_room_for_others_too(self, scene: Scene) -> None:
        """Not only the few bytes on the wire count, but also the work."""
        recorder = Recorder()
        peer, _ = self.open(scene, recorder, high_water=65_536)
        source = Source(bytes(100_000))
        recorder.send_fragments(source)
        for _ in range(5):
            count = source.count
            scene.turn()
            peer.look()
            assert source.count - count == 1
        recorder.abort()
        scene.turn()

    @pytest.mark.parametrize("compress", [None, True, False])
    def test_what_waits_is_compressed_as_its_call_said(
        self, scene: Scene, compress: bool | None
    ) -> None:
        recorder = Recorder()
        peer, zlib_peer = self.open(scene, recorder)
        recorder.send_fragment("one")
        recorder.send("short", compress=compress)
        recorder.send("long " * 50, compress=compress)
        in_thread(lambda: recorder.send("long " * 50, compress=compress))
        scene.turn()
        recorder.send_fragment("", fin=True)
        scene.turn(count=3)
        frames = peer.frames()
        assert [frame.rsv for frame in frames if frame.opcode != CONT] == [
            RSV1,
            RSV1 if compress else 0,
            0 if compress is False else RSV1,
            0 if compress is False else RSV1,
        ]
        self.check_messages(zlib_peer, frames, [b"one", b"short", b"long " * 50, b"long " * 50])

    def test_a_message_for_which_there_is_no_room_leaves_the_window_as_it_was(
        self, scene: Scene
    ) -> None:
        """The peer never hears of it."""
        recorder = Recorder()
        peer, zlib_peer = self.open(scene, recorder, write_limit=500)
        source = random.Random(5)
        scene.sock.room = 0
        text = source.randbytes(600)
        recorder.send(text)
        for refused in (source.randbytes(600), text):
            with pytest.raises(WebSocketQueueFullException):
                recorder.send(refused, compress=True)
            with pytest.raises(WebSocketQueueFullException):
                recorder.send_fragment(refused)
        scene.sock.room = None
        scene.turn()
        recorder.send(text)
        recorder.send(text)
        frames = peer.frames()
        assert len(frames[1].payload) < 100  # it refers to the first
        self.check_messages(zlib_peer, frames, [text] * 3)

    def test_a_reconnect_begins_with_an_empty_window(self, scene: Scene) -> None:
        recorder = Recorder()
        peer, _ = self.open(scene, recorder, reconnect=1.0)
        recorder.send("the same" * 50)
        recorder.send_fragment("the same" * 50)
        peer.close()
        scene.turn()
        scene.turn(1.0, count=2)
        clients, _ = agreements()
        peer = scene.succeed(agreement=clients)
        recorder.send("the same" * 50)
        self.check_messages(ZlibPeer(), peer.frames(), [b"the same" * 50])

    def test_after_a_reconnect_without_compression_there_is_none(self, scene: Scene) -> None:
        recorder = Recorder()
        peer, _ = self.open(scene, recorder, reconnect=1.0)
        peer.close()
        scene.turn()
        scene.turn(1.0, count=2)
        peer = scene.succeed()
        recorder.send("the same" * 50, compress=True)
        assert told(peer) == [(TEXT, b"the same" * 50, True)]
        assert recorder.compression is None

    def test_what_comes_is_inflated(self, scene: Scene) -> None:
        recorder = Recorder()
        peer, zlib_peer = self.open(scene, recorder)
        for message in (b"one", b"two" * 100, b"one"):
            peer.send(build_frame(TEXT, zlib_peer.compress(message), rsv=RSV1))
        scene.turn()
        assert recorder.messages == ["one", "two" * 100, "one"]
        peer.send(build_frame(TEXT, b"\xff" * 10, rsv=RSV1))
        scene.turn()
        assert peer.told() == [(CLOSE, peer_code(peer))]
        assert [type(error).__name__ for error in recorder.errors] == ["WebSocketPayloadException"]


def peer_code(peer: Peer) -> bytes:
    """Return the payload of the close frame that has come, which must say 1007."""
    payload = read_frames(peer.received)[-1].payload
    assert payload[:2] == close_payload(1007)
    return payload
