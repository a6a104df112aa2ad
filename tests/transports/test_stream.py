"""Streams over socket pairs, on a clock that stands still: what each turn of the loop does."""

from __future__ import annotations

import errno
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reactor.loop.event_loop import EventLoop
from reactor.timers import ManualClock
from reactor.transports import tls_stream
from reactor.transports.linger import Linger
from reactor.transports.stream import READ_SIZE, WRITE_SIZE, Stream, StreamState
from reactor.transports.tls_stream import TLSStream, make_stream
from reactor.transports.write_queue import SHARED_SIZE

from ..support.certificates import Authority
from ..support.driving import replace_method
from ..support.scene import watched_pair
from ..support.tls_peer import tls_pair
from ..support.witness import Witness

pytestmark = pytest.mark.usefixtures("no_leaks")

HIGH, LOW = 1000, 100


class OnPurpose(Exception):
    """What the receivers of these tests raise."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(50.0)


@pytest.fixture
def loop(clock: ManualClock) -> Iterator[EventLoop]:
    loop = EventLoop(clock=clock)
    faults: list[BaseException] = []
    report = loop.report

    def note(exc: BaseException, source: object) -> None:
        report(exc, source)
        faults.append(exc)

    loop.report = note  # type: ignore[method-assign]
    yield loop
    assert [fault for fault in faults if not isinstance(fault, OnPurpose)] == []
    assert not loop.poller.readers.keys() - {loop.wakeup.reader}
    assert not loop.poller.writers
    assert not loop.lingering
    loop.close()


@pytest.fixture
def witness() -> Witness:
    return Witness()


class Case:
    """A stream, its socket and its far end."""

    def __init__(self, loop: EventLoop, witness: Witness) -> None:
        self.sock, self.peer = watched_pair()
        self.loop = loop
        self.stream = make_stream(loop, self.sock, witness, HIGH, LOW)
        self.stream.start_reading()

    def turn(self, count: int = 1) -> None:
        for _ in range(count):
            self.loop.run_once(0)


@pytest.fixture
def case(loop: EventLoop, witness: Witness) -> Iterator[Case]:
    case = Case(loop, witness)
    yield case
    case.stream.abort()
    case.peer.close()


class TestReading:
    def test_what_comes_is_handed_up(self, case: Case, witness: Witness) -> None:
        case.peer.send(b"one")
        case.turn()
        case.peer.send(b"two", b"three")
        case.turn(2)
        assert witness.events == [("data", b"one"), ("data", b"twothree")]

    def test_nothing_is_read_before_it_is_asked_for(self, loop: EventLoop) -> None:
        sock, peer = watched_pair()
        witness = Witness()
        stream = Stream(loop, sock, witness, HIGH, LOW)
        peer.send(b"data")
        loop.run_once(0)
        assert sock.receives == []
        stream.start_reading()
        stream.start_reading()
        assert stream.reading
        loop.run_once(0)
        assert witness.events == [("data", b"data")]
        stream.abort()
        peer.close()

    def test_one_bounded_read_is_made_in_a_turn(self, case: Case, witness: Witness) -> None:
        case.peer.send(bytes(READ_SIZE + 10))
        case.turn()
        assert case.sock.receives == [READ_SIZE]
        case.turn()
        assert case.sock.receives == [READ_SIZE, 10]
        assert len(witness.data) == READ_SIZE + 10

    def test_paused_reading_leaves_the_data_in_the_kernel(
        self, case: Case, witness: Witness
    ) -> None:
        case.stream.pause_reading()
        case.stream.pause_reading()
        assert not case.stream.reading
        case.peer.send(b"data")
        case.turn(3)
        assert (witness.events, case.sock.receives) == ([], [])
        case.stream.start_reading()
        case.turn()
        assert witness.events == [("data", b"data")]

    def test_what_is_given_back_is_read_first(self, case: Case, witness: Witness) -> None:
        engine = case.stream._engine
        case.stream.unread(b"given ")
        case.turn()
        case.peer.send(b"back")
        case.turn()
        assert witness.events == [("data", b"given "), ("data", b"back")]
        assert case.stream._engine is engine

    def test_what_is_given_back_waits_while_reading_is_paused(
        self, case: Case, witness: Witness
    ) -> None:
        engine = case.stream._engine
        case.stream.pause_reading()
        case.stream.unread(b"given ")
        case.peer.send(b"back")
        case.turn(2)
        assert witness.events == []
        case.stream.write(b"meanwhile")
        assert case.peer.look() == b"meanwhile"
        case.stream.start_reading()
        case.turn(3)
        assert witness.data == b"given back"
        assert case.stream._engine is engine

    def test_read_now_finds_what_was_given_back(self, case: Case, witness: Witness) -> None:
        case.stream.unread(b"given back")
        assert case.stream.read_now()
        assert not case.stream.read_now()
        case.turn()
        assert witness.events == [("data", b"given back")]

    def test_an_error_that_is_given_back_ends_the_stream_when_it_reads(
        self, case: Case, witness: Witness
    ) -> None:
        error = ConnectionResetError("on purpose")
        case.stream.pause_reading()
        case.stream.unread(error)
        case.turn()
        assert witness.events == []
        case.stream.start_reading()
        case.turn(2)
        assert witness.events == [("lost", error)]

    def test_what_is_given_back_is_read_although_writing_fails(
        self, case: Case, witness: Witness
    ) -> None:
        case.stream.unread(b"last words")
        case.sock.fault = BrokenPipeError("on purpose")
        case.stream.write(b"data")
        case.turn(3)
        assert witness.names[:1] == ["data"]
        assert witness.data == b"last words"

    def test_a_closed_stream_takes_nothing_back(self, case: Case, witness: Witness) -> None:
        case.stream.abort()
        case.stream.unread(b"data")
        case.turn(2)
        assert witness.events == [("lost", None)]

    @pytest.mark.parametrize("fault", [BlockingIOError(), InterruptedError()])
    def test_a_false_alarm_is_no_error(self, case: Case, witness: Witness, fault: OSError) -> None:
        case.peer.send(b"data")
        case.sock.fault = fault
        case.turn()
        assert witness.events == []
        case.turn()
        assert witness.events == [("data", b"data")]

    def test_a_read_can_be_made_at_once(self, case: Case, witness: Witness) -> None:
        assert case.stream.read_now() is False
        case.peer.send(b"data")
        assert case.stream.read_now() is True
        assert witness.events == [("data", b"data")]
        case.peer.end()
        assert case.stream.read_now() is True
        assert witness.names == ["data", "eof"]
        case.stream.abort()
        assert case.stream.read_now() is False

    def test_an_error_counts_as_something_that_was_read(self, case: Case, witness: Witness) -> None:
        case.sock.fault = ConnectionResetError()
        assert case.stream.read_now() is True
        case.turn()
        assert witness.names == ["lost"]

    def test_another_receiver_can_take_over(self, case: Case, witness: Witness) -> None:
        other = Witness()
        case.stream.set_receiver(other)
        case.peer.send(b"data")
        case.turn()
        assert (witness.events, other.events) == ([], [("data", b"data")])

    def test_the_end_of_the_peer_is_told_once_and_leaves_the_stream_writable(
        self, case: Case, witness: Witness
    ) -> None:
        case.peer.send(b"last")
        case.peer.end()
        case.turn(5)
        assert witness.events == [("data", b"last"), ("eof",)]
        assert case.sock.receives == [4, 0]  # and no busy loop
        assert not case.stream.reading
        case.stream.write(b"still here")
        assert case.peer.look() == b"still here"

    def test_a_reset_is_told_with_its_error(self, case: Case, witness: Witness) -> None:
        case.sock.fault = error = ConnectionResetError(errno.ECONNRESET, "reset")
        case.peer.send(b"data")
        case.turn(3)
        assert witness.events == [("lost", error)]
        assert case.stream.state is StreamState.CLOSED
        assert case.sock.fileno() == -1

    def test_a_receiver_that_raises_does_not_stop_the_stream(
        self, case: Case, witness: Witness, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail() -> None:
            raise OnPurpose("oops")

        witness.actions["data"] = fail
        case.peer.send(b"one")
        case.turn()
        case.peer.send(b"two")
        case.turn()
        assert witness.data == b"onetwo"
        assert caplog.text.count("OnPurpose: oops") == 2

    def test_a_socket_that_somebody_else_has_closed_is_not_watched(
        self, case: Case, witness: Witness
    ) -> None:
        case.stream.pause_reading()
        case.sock.close()
        case.stream.start_reading()
        assert not case.stream.reading
        case.turn()
        (lost,) = witness.losses
        assert isinstance(lost, OSError)
        assert lost.errno == errno.EBADF

    def test_it_says_for_whom_it_works(self, case: Case, witness: Witness) -> None:
        assert case.stream.whose() == "Witness"

        class Named(Witness):
            def whose(self) -> str:
                return "Quotes to a.example"

        case.stream.set_receiver(Named())
        assert case.stream.whose() == "Quotes to a.example"


class TestWriting:
    def test_what_the_kernel_takes_leaves_at_once(self, case: Case) -> None:
        case.stream.write(b"data")
        assert case.peer.look() == b"data"
        assert (case.stream.queued, case.sock.sends) == (0, [(4, 4)])
        assert not case.loop.poller.writers

    def test_the_rest_is_queued_and_goes_out_in_order(self, case: Case, witness: Witness) -> None:
        case.sock.room = 3
        case.stream.write(b"abcdef")
        assert (case.stream.queued, case.peer.look()) == (3, b"abc")
        assert list(case.loop.poller.writers) == [case.sock.fileno()]
        case.stream.write(b"ghi")  # not tried: it would overtake
        case.stream.write(b"jkl")
        assert (case.stream.queued, case.sock.sends) == (9, [(6, 3)])
        case.sock.room = 4
        case.turn()
        assert (case.stream.queued, case.peer.look()) == (5, b"defg")
        case.turn()
        assert case.stream.queued == 5
        case.sock.room = None
        case.turn()
        assert (case.stream.queued, case.peer.look()) == (0, b"hijkl")
        assert witness.events == []  # it was never above the mark

    def test_the_socket_is_watched_for_writing_only_while_something_is_queued(
        self, case: Case
    ) -> None:
        for _ in range(3):
            case.sock.room = 0
            case.stream.write(b"data")
            assert case.loop.poller.writers
            case.sock.room = None
            case.turn()
            assert not case.loop.poller.writers
        assert case.peer.look() == b"data" * 3

    def test_the_kernel_s_own_limits_lose_nothing(self, case: Case, witness: Witness) -> None:
        data = bytes(range(256)) * 8192  # more than the buffers of a socket pair hold
        case.stream.write(data)
        assert 0 < case.stream.queued < len(data)
        while case.stream.queued:
            case.peer.look()
            case.turn()
        case.peer.look()
        assert case.peer.received == data
        assert witness.names == ["drained"]

    @pytest.mark.parametrize(
        ("amount", "rest", "drained"),
        [
            (HIGH, 0, 0),  # at the mark is not above it
            (HIGH + 1, 0, 1),
            (HIGH + 1, LOW, 1),  # at the low mark is low enough
            (HIGH + 1, LOW + 1, 0),
        ],
    )
    def test_the_water_marks(
        self, case: Case, witness: Witness, amount: int, rest: int, drained: int
    ) -> None:
        case.sock.room = 0
        case.stream.write(bytes(amount))
        assert case.stream.above_high is (amount > HIGH)
        case.sock.room = amount - rest
        case.turn(2)
        assert case.stream.queued == rest
        assert witness.names == ["drained"] * drained

    def test_the_low_mark_is_told_once_for_every_time_that_the_high_one_was_passed(
        self, case: Case, witness: Witness
    ) -> None:
        for _ in range(2):
            case.sock.room = 0
            case.stream.write(bytes(HIGH))
            case.stream.write(b"!")
            for _ in range(3):
                case.sock.room = 334
                case.turn()
        assert witness.names == ["drained"] * 2

    def test_whoever_hears_of_the_low_mark_may_write(self, case: Case, witness: Witness) -> None:
        witness.actions["drained"] = lambda: case.stream.write(b"more")
        case.sock.room = 0
        case.stream.write(bytes(HIGH + 1))
        case.sock.room = None
        case.turn(2)
        assert case.peer.look() == bytes(HIGH + 1) + b"more"

    def test_a_frame_ahead_follows_the_one_that_has_begun(self, case: Case) -> None:
        case.sock.room = 3
        large = bytes(SHARED_SIZE + 1)  # what is small shares a block with what was queued before
        case.stream.write(b"abcdef")
        case.stream.write(large)
        queued = 3 + len(large)
        assert case.stream.unsent == case.stream.queued == queued
        case.stream.write_ahead(b"replaced!")
        case.stream.write_ahead(b"!")
        assert (case.stream.queued, case.stream.unsent) == (queued, queued + 1)
        case.sock.room = None
        case.turn()
        assert case.peer.look() == b"abcdef!" + large
        assert case.stream.unsent == 0

    def test_a_frame_ahead_of_nothing_leaves_at_once(self, case: Case) -> None:
        case.stream.write_ahead(b"!")
        assert case.peer.look() == b"!"

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say")
    def test_the_kernel_says_what_the_peer_has_not_taken(self, case: Case) -> None:
        assert case.stream.backlog() == 0
        case.stream.write(b"nobody reads this")
        assert case.stream.backlog() > 0
        case.stream.abort()
        assert case.stream.backlog() == 0

    def test_an_error_while_the_last_of_the_queue_goes_out_ends_the_stream(
        self, case: Case, witness: Witness
    ) -> None:
        case.sock.room = 0
        case.stream.write(b"data")
        case.stream.close()
        error = case.sock.fault = ConnectionResetError(errno.ECONNRESET, "reset")
        case.turn(2)
        assert witness.losses == [error]
        assert case.sock.fileno() == -1

    def test_an_error_is_told_by_the_loop_and_not_within_the_call(
        self, case: Case, witness: Witness
    ) -> None:
        case.sock.fault = error = BrokenPipeError(errno.EPIPE, "broken")
        case.stream.write(b"data")
        assert witness.events == []
        case.stream.write(b"more")
        case.turn(3)
        assert witness.events == [("lost", error)]
        assert case.stream.queued == 0

    def test_a_dropped_queue_leaves_a_write_whole_that_has_begun(
        self, case: Case, witness: Witness
    ) -> None:
        case.stream.drop_queue()
        case.sock.room = 3
        first = b"1" * SHARED_SIZE
        for data in (first, b"2" * SHARED_SIZE, b"3"):
            case.stream.write(data)
        case.sock.room = 1
        case.turn()
        case.stream.drop_queue()
        assert case.stream.queued == SHARED_SIZE - 4
        case.stream.write(b"last")
        case.sock.room = None
        case.turn()
        assert case.peer.look() == first + b"last"
        assert case.stream.queued == 0
        assert not case.loop.poller.writers

    def test_an_error_while_the_queue_goes_out(self, case: Case, witness: Witness) -> None:
        case.sock.room = 0
        case.stream.write(bytes(HIGH + 1))
        case.sock.fault = error = BrokenPipeError(errno.EPIPE, "broken")
        case.turn(3)
        assert witness.events == [("lost", error)]
        assert case.stream.queued == 0

    def test_what_came_before_a_failed_write_is_handed_up(
        self, case: Case, witness: Witness
    ) -> None:
        case.peer.send(bytes(READ_SIZE + 10))
        case.sock.fault = error = BrokenPipeError(errno.EPIPE, "broken")
        case.stream.write(b"data")
        assert case.stream.state is StreamState.UNWRITABLE
        case.turn()
        assert case.sock.receives == [READ_SIZE]  # one bounded read a turn
        assert len(witness.data) == READ_SIZE
        case.turn(2)
        assert len(witness.data) == READ_SIZE + 10
        assert witness.events[-1] == ("lost", error)

    def test_the_end_of_the_peer_behind_a_failed_write_is_told_as_a_loss(
        self, case: Case, witness: Witness
    ) -> None:
        case.peer.send(b"last words")
        case.peer.end()
        case.sock.fault = error = BrokenPipeError(errno.EPIPE, "broken")
        case.stream.write(b"data")
        case.turn(3)
        assert witness.events == [("data", b"last words"), ("lost", error)]

    def test_the_first_error_is_the_one_that_counts(self, case: Case, witness: Witness) -> None:
        case.sock.fault = error = ConnectionResetError(errno.ECONNRESET, "reset")
        case.stream.write(b"data")
        case.sock.fault = OSError(errno.EBADF, "bad")
        case.turn(3)
        assert witness.events == [("lost", error)]

    def test_what_came_before_a_failed_write_waits_while_reading_is_paused(
        self, case: Case, witness: Witness
    ) -> None:
        case.peer.send(b"last words")
        case.peer.close()
        case.stream.pause_reading()
        case.stream.write(b"data")
        case.turn(3)
        assert witness.events == []
        witness.actions["data"] = lambda: (case.stream.pause_reading(), case.stream.start_reading())
        case.stream.start_reading()
        case.turn(3)
        assert witness.names == ["data", "lost"]
        assert witness.data == b"last words"

    def test_what_is_written_after_a_failed_write_counts_and_is_not_kept(self, case: Case) -> None:
        case.stream.pause_reading()
        case.sock.fault = BrokenPipeError(errno.EPIPE, "broken")
        case.stream.write(b"data")
        case.stream.write(bytes(HIGH))
        case.stream.write_ahead(b"!")
        assert case.stream.queued == HIGH + 1
        assert not case.loop.poller.writers
        case.stream.abort()
        assert case.stream.queued == 0

    @pytest.mark.parametrize("end", ["close", "abort"])
    def test_a_stream_that_cannot_write_can_be_ended_at_once(
        self, case: Case, witness: Witness, end: str
    ) -> None:
        case.peer.send(b"nobody asks")
        case.sock.fault = BrokenPipeError(errno.EPIPE, "broken")
        case.stream.write(b"data")
        getattr(case.stream, end)()
        assert case.sock.fileno() == -1
        case.turn(3)
        assert witness.names == ["lost"]

    def test_a_queue_goes_out_in_bounded_steps(self, case: Case) -> None:
        case.sock.room = 0
        for _ in range(100):
            case.stream.write(bytes(SHARED_SIZE))
            case.stream.write(bytes(10))
        sizes: list[int] = []

        class Greedy:
            def send(self, data: Any) -> int:
                sizes.append(len(data))
                return len(data)

        case.stream._engine = Greedy()
        case.turn()
        assert WRITE_SIZE <= sum(sizes) < WRITE_SIZE + SHARED_SIZE
        case.turn()
        assert sum(sizes) == 100 * (SHARED_SIZE + 10)

    @pytest.mark.parametrize("end", ["failed", "aborted"])
    def test_it_is_free_when_that_is_told(
        self, case: Case, monkeypatch: pytest.MonkeyPatch, end: str
    ) -> None:
        data = bytes(50_000)
        mine = sys.getrefcount(data)
        counts: list[int] = []
        monkeypatch.setattr(
            "reactor.transports.memory.released", lambda size: counts.append(sys.getrefcount(data))
        )
        case.sock.room = 0
        case.stream.write(data)
        assert sys.getrefcount(data) > mine
        if end == "aborted":
            case.stream.abort()
        else:
            case.sock.fault = BrokenPipeError(errno.EPIPE, "broken")
        case.turn()
        assert counts == [mine]
        assert sys.getrefcount(data) == mine

    @pytest.mark.parametrize("end", ["drained", "failed", "aborted"])
    def test_the_memory_of_a_queue_is_told_to_be_free(
        self, case: Case, monkeypatch: pytest.MonkeyPatch, end: str
    ) -> None:
        freed: list[int] = []
        monkeypatch.setattr("reactor.transports.memory.released", freed.append)
        case.sock.room = 0
        case.stream.write(bytes(50_000))
        case.sock.room = 20_000
        case.turn()
        if end == "aborted":
            case.stream.abort()
        elif end == "failed":
            case.sock.fault = BrokenPipeError(errno.EPIPE, "broken")
        case.sock.room = None
        case.turn()
        assert freed == [50_000]

    def test_the_time_at_which_the_kernel_took_something_is_noted(
        self, case: Case, clock: ManualClock
    ) -> None:
        case.sock.room = 0
        case.stream.write(b"abc")
        for step, seen in ((1, 50.0), (0, 50.0), (2, 70.0)):
            case.sock.room = step
            case.turn()
            clock.advance(10)
            assert case.stream.progress_at == seen

    def test_an_interrupted_call_is_no_error(self, case: Case, witness: Witness) -> None:
        case.sock.fault = InterruptedError()
        case.stream.write(b"data")
        assert case.stream.queued == 4
        case.sock.fault = InterruptedError()
        case.turn()
        assert case.stream.queued == 4
        case.turn()
        assert case.peer.look() == b"data"
        assert witness.events == []

    def test_a_reader_that_has_gone_is_found_while_something_is_queued_once_reading_goes_on(
        self, case: Case, witness: Witness
    ) -> None:
        case.stream.pause_reading()
        case.sock.room = 0
        case.stream.write(b"data")
        case.peer.close()
        case.sock.room = None
        case.turn(2)
        assert witness.names == []
        case.stream.start_reading()
        case.turn(2)
        assert isinstance(witness.losses[0], BrokenPipeError)
        assert witness.names == ["lost"]


class TestEnding:
    def test_close_ends_our_side_and_waits_for_the_peer_s(
        self, case: Case, witness: Witness
    ) -> None:
        case.stream.write(b"bye")
        case.stream.close()
        case.stream.close()
        assert case.peer.look() == b"bye"
        assert case.peer.ended
        case.turn(3)
        assert witness.events == []
        case.peer.send(b"late")
        case.turn()
        assert witness.events == [("data", b"late")]
        case.peer.end()
        case.turn(3)
        assert witness.events == [("data", b"late"), ("lost", None)]
        assert case.sock.fileno() == -1

    def test_close_lets_the_queue_go_out_first(self, case: Case, witness: Witness) -> None:
        case.sock.room = 2
        case.stream.write(b"abcdef")
        case.stream.close()
        case.stream.write(b"too late")
        case.turn()
        assert (case.peer.look(), case.peer.ended) == (b"ab", False)
        case.sock.room = None
        case.turn()
        assert (case.peer.look(), case.peer.ended) == (b"cdef", True)
        case.peer.end()
        case.turn()
        assert witness.events == [("lost", None)]

    def test_close_reads_on_although_reading_was_paused(self, case: Case, witness: Witness) -> None:
        case.stream.pause_reading()
        case.stream.close()
        case.peer.end()
        case.turn()
        assert witness.events == [("lost", None)]

    def test_the_end_of_the_peer_does_not_cut_off_the_queue(
        self, case: Case, witness: Witness
    ) -> None:
        case.sock.room = 0
        case.stream.write(b"last words")
        case.stream.close()
        case.peer.end()
        case.turn(2)
        assert witness.events == [("eof",)]
        case.sock.room = None
        case.turn(2)
        assert case.peer.look() == b"last words"
        assert witness.events == [("eof",), ("lost", None)]

    def test_close_after_the_end_of_the_peer(self, case: Case, witness: Witness) -> None:
        witness.actions["eof"] = case.stream.close
        case.peer.end()
        case.turn(3)
        assert witness.events == [("eof",), ("lost", None)]

    def test_close_when_the_connection_is_gone_already(self, case: Case, witness: Witness) -> None:
        # Where the peer has reset a TCP connection, shutdown() says ENOTCONN.
        case.sock.shutdown = _raise(OSError(errno.ENOTCONN, "gone"))  # type: ignore[method-assign]
        case.stream.close()
        assert witness.events == []
        case.turn(2)
        assert witness.events == [("lost", None)]

    def test_abort_closes_the_socket_at_once_and_tells_from_the_loop(
        self, case: Case, witness: Witness
    ) -> None:
        case.sock.room = 0
        case.stream.write(bytes(HIGH + 1))
        case.stream.abort()
        case.stream.abort()
        assert case.sock.fileno() == -1
        assert (case.stream.queued, case.stream.reading, witness.events) == (0, False, [])
        assert case.peer.look() == b""
        assert case.peer.ended
        case.turn(3)
        assert witness.events == [("lost", None)]

    def test_the_socket_is_forgotten_by_the_poller_before_it_is_closed(
        self, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[int] = []
        remove = case.loop.poller.remove

        def watch(fd: int) -> None:
            seen.append(case.sock.fileno())
            remove(fd)

        replace_method(case.loop.poller, "remove", watch)
        case.stream.abort()
        assert len(seen) == 1
        assert seen[0] >= 0  # it was open then

    def test_nothing_is_started_again_after_the_end(self, case: Case, witness: Witness) -> None:
        case.stream.abort()
        case.stream.start_reading()
        case.stream.pause_reading()
        case.stream.close()
        case.stream.write(b"data")
        assert not case.stream.reading
        assert case.stream.state is StreamState.CLOSED
        case.turn()
        assert witness.events == [("lost", None)]

    @pytest.mark.parametrize("event", ["data", "eof", "drained"])
    @pytest.mark.parametrize("verb", ["close", "abort"])
    def test_it_may_be_ended_by_whoever_is_told_something(
        self, case: Case, witness: Witness, event: str, verb: str
    ) -> None:
        witness.actions[event] = getattr(case.stream, verb)
        if event == "data":
            case.peer.send(b"data")
            case.turn()
        elif event == "drained":
            case.sock.room = 0
            case.stream.write(bytes(HIGH + 1))
            case.sock.room = None
            case.turn()
        case.peer.end()
        case.turn(3)
        assert witness.names == ["lost"] if event == verb else [*{event}, "lost"]
        assert witness.losses == [None]

    def test_the_one_who_takes_over_is_told_of_an_end_that_had_begun(
        self, case: Case, witness: Witness
    ) -> None:
        case.stream.abort()
        other = Witness()
        case.stream.set_receiver(other)
        case.turn()
        assert (witness.events, other.events) == ([], [("lost", None)])


def _raise(error: Exception) -> Callable[..., Any]:
    def function(*_: Any) -> None:
        raise error

    return function


class TestLinger:
    def test_it_lets_the_queue_go_out_and_waits_for_the_peer(
        self, case: Case, witness: Witness, loop: EventLoop
    ) -> None:
        case.sock.room = 0
        case.stream.write(bytes(HIGH) + b"bye")
        Linger(loop, case.stream, 5.0).start()
        case.peer.send(b"nobody listens")
        case.turn()
        case.sock.room = None
        case.turn()
        assert case.peer.look() == bytes(HIGH) + b"bye"
        assert case.peer.ended
        assert loop.stats().timers == 1
        case.peer.end()
        case.turn(2)
        assert case.sock.fileno() == -1
        assert loop.stats().timers == 0
        assert witness.events == []

    def test_it_tells_once_when_the_socket_is_closed(self, case: Case, loop: EventLoop) -> None:
        closed: list[int] = []
        Linger(loop, case.stream, 5.0, lambda: closed.append(case.sock.fileno())).start()
        case.turn()
        assert closed == []
        case.peer.end()
        case.turn(2)
        loop.close()
        assert closed == [-1]

    @pytest.mark.parametrize("how", ["patience", "loop", "before"])
    def test_it_tells_however_it_ends(
        self, case: Case, loop: EventLoop, clock: ManualClock, how: str
    ) -> None:
        closed: list[int] = []
        if how == "before":
            case.stream.abort()
        Linger(loop, case.stream, 5.0, lambda: closed.append(case.sock.fileno())).start()
        if how == "loop":
            loop.close()
        else:
            clock.advance(5.0)
            case.turn(2)
        assert closed == [-1]

    def test_its_patience_has_an_end(self, case: Case, clock: ManualClock, loop: EventLoop) -> None:
        Linger(loop, case.stream, 5.0).start()
        clock.advance(4.999)
        case.turn()
        assert case.sock.fileno() != -1
        clock.advance(0.001)
        case.turn(2)
        assert case.sock.fileno() == -1
        assert loop.stats().timers == 0

    def test_it_outlasts_the_end_of_the_peer_while_something_is_queued(
        self, case: Case, loop: EventLoop
    ) -> None:
        case.sock.room = 0
        case.stream.write(bytes(HIGH + 1))
        Linger(loop, case.stream, 5.0).start()
        case.peer.end()
        case.turn(2)
        case.sock.room = None
        case.turn(3)
        assert case.peer.look() == bytes(HIGH + 1)
        assert case.sock.fileno() == -1

    def test_the_low_mark_means_nothing_to_it(self, case: Case, loop: EventLoop) -> None:
        case.sock.room = 0
        case.stream.write(bytes(HIGH + 1))
        Linger(loop, case.stream, 5.0).start()
        case.sock.room = HIGH
        case.turn()
        assert case.stream.queued == 1
        case.sock.room = None
        case.peer.end()
        case.turn(3)
        assert case.peer.look() == bytes(HIGH + 1)

    def test_it_ends_with_the_loop(self, case: Case, loop: EventLoop) -> None:
        Linger(loop, case.stream, 5.0).start()
        case.turn()
        loop.close()
        assert case.sock.fileno() == -1
        assert loop.stats().timers == 0

    def test_it_says_whether_something_is_left_to_be_sent(
        self, case: Case, loop: EventLoop
    ) -> None:
        case.sock.room = 0
        case.stream.write(b"data")
        linger = Linger(loop, case.stream, 5.0)
        linger.start()
        assert linger.unsent
        case.sock.room = None
        case.turn()
        assert not linger.unsent
        linger.abort()

    def test_a_forked_child_closes_its_copy_of_the_socket(
        self, case: Case, loop: EventLoop
    ) -> None:
        """Here it is the parent's, which goes on."""
        linger = Linger(loop, case.stream, 5.0)
        linger.start()
        linger.let_go()
        assert case.sock.fileno() == -1
        linger.abort()

    def test_there_is_nothing_to_wait_for_when_the_stream_is_closed(
        self, case: Case, witness: Witness, loop: EventLoop
    ) -> None:
        case.stream.abort()
        Linger(loop, case.stream, 5.0).start()
        assert loop.stats().timers == 0
        case.turn()
        assert witness.events == []


class WatchedTLSSocket(ssl.SSLSocket):
    """An SSLSocket that writes down what is asked of it, and can be made to fail."""

    receives: list[int]
    sends: list[int]
    faults: dict[str, Exception]

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        self._fail("recv")
        data = super().recv(buflen, flags)
        self.receives.append(len(data))
        return data

    def send(self, data: Any, flags: int = 0) -> int:
        self._fail("send")
        self.sends.append(len(data))
        return super().send(data, flags)

    def unwrap(self) -> socket.socket:
        self._fail("unwrap")
        return super().unwrap()

    def _fail(self, name: str) -> None:
        if name in self.faults:
            raise self.faults.pop(name)


class TLSCase:
    """A TLS stream, its socket and its far end."""

    stream: TLSStream

    def __init__(self, loop: EventLoop, witness: Witness, authority: Authority, **wrap: Any):
        sock: WatchedTLSSocket
        sock, self.peer = tls_pair(authority, WatchedTLSSocket, **wrap)
        sock.receives, sock.sends, sock.faults = [], [], {}
        self.sock = sock
        self.loop = loop
        stream = make_stream(loop, sock, witness, HIGH, LOW)
        assert isinstance(stream, TLSStream)
        self.stream = stream
        stream.start_reading()
        self.turn(2)  # the tickets of TLS 1.3 are read

    def turn(self, count: int = 1) -> None:
        for _ in range(count):
            self.loop.run_once(0)


@pytest.fixture
def tls(
    loop: EventLoop, witness: Witness, authority: Authority, request: pytest.FixtureRequest
) -> Iterator[TLSCase]:
    case = TLSCase(loop, witness, authority, **getattr(request, "param", {}))
    yield case
    case.stream.abort()
    case.peer.close()


class TestKind:
    def test_the_stream_fits_the_socket(
        self, case: Case, tls: TLSCase, loop: EventLoop, witness: Witness
    ) -> None:
        assert type(case.stream) is Stream
        assert type(tls.stream) is TLSStream


class TestTLSReading:
    def test_both_directions(self, tls: TLSCase, witness: Witness) -> None:
        tls.peer.send(b"to us")
        tls.stream.write(b"to them")
        tls.turn()
        assert witness.events == [("data", b"to us")]
        assert tls.peer.look() == b"to them"

    def test_a_turn_reads_a_few_records_at_most(self, tls: TLSCase, witness: Witness) -> None:
        record = 16384
        for _ in range(6):
            tls.peer.send(bytes(record))
        tls.turn()
        assert [len(data) for _, data in witness.events] == [4 * record]
        tls.turn()
        assert [len(data) for _, data in witness.events] == [4 * record, 2 * record]

    def test_small_records_are_read_one_at_a_time(self, tls: TLSCase, witness: Witness) -> None:
        tls.peer.send(b"one")
        tls.peer.send(b"two")
        tls.turn(2)
        assert witness.data == b"onetwo"

    def test_a_record_is_handed_up_once_it_is_complete(
        self, tls: TLSCase, witness: Witness
    ) -> None:
        record = tls.peer.encrypt(b"data")
        for i in range(len(record)):
            assert witness.events == []
            tls.peer.send_raw(record[i : i + 1])
            tls.turn()
        assert witness.events == [("data", b"data")]

    def test_half_a_record_counts_as_nothing(self, tls: TLSCase, witness: Witness) -> None:
        tls.peer.send_raw(tls.peer.encrypt(b"data")[:-1])
        assert tls.stream.read_now() is False

    @pytest.mark.parametrize("size", [1, 1000, 16384])
    def test_nothing_stays_behind_in_openssl(
        self, tls: TLSCase, witness: Witness, size: int
    ) -> None:
        for _ in range(4):
            tls.peer.send(bytes(size))
        for i in range(1, 5):
            tls.turn()
            assert tls.sock.pending() == 0
            if len(witness.data) == 4 * size:
                break
            assert len(witness.data) >= i * size

    def test_bytes_that_openssl_holds_are_not_forgotten(
        self, tls: TLSCase, witness: Witness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tls_stream, "READ_SIZE", 100)
        tls.peer.send(bytes(range(250)) * 4)  # one record: the kernel is empty after it
        tls.turn(6)
        assert witness.data == bytes(range(250)) * 4

    def test_they_wait_while_reading_is_paused(
        self, tls: TLSCase, witness: Witness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tls_stream, "READ_SIZE", 100)
        witness.actions["data"] = tls.stream.pause_reading
        tls.peer.send(bytes(1000))
        tls.turn(3)
        assert len(witness.data) == 400
        witness.actions.clear()
        tls.stream.start_reading()  # nothing will make the socket readable any more
        tls.turn(4)
        assert len(witness.data) == 1000

    def test_they_are_dropped_with_the_stream(
        self, tls: TLSCase, witness: Witness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tls_stream, "READ_SIZE", 100)
        tls.peer.send(bytes(1000))
        tls.loop.call_soon(tls.stream.abort)  # runs before the rest is read
        tls.turn(4)
        assert [len(event[1]) for event in witness.events if event[0] == "data"] == [400]
        assert witness.names == ["data", "lost"]

    def test_it_may_be_aborted_by_whoever_gets_the_data(
        self, tls: TLSCase, witness: Witness
    ) -> None:
        witness.actions["data"] = tls.stream.abort
        tls.peer.send(b"data")
        tls.peer.end()
        tls.turn(3)
        assert witness.names == ["data", "lost"]

    @pytest.mark.parametrize("fault", [ssl.SSLWantWriteError(), InterruptedError()])
    def test_a_read_that_has_to_wait_is_no_error(
        self, tls: TLSCase, witness: Witness, fault: Exception
    ) -> None:
        tls.peer.send(b"data")
        tls.sock.faults["recv"] = fault
        tls.turn()
        assert witness.events == []
        tls.turn()
        assert witness.events == [("data", b"data")]

    def test_close_notify_is_the_end_of_the_peer(self, tls: TLSCase, witness: Witness) -> None:
        tls.peer.send(b"last")
        tls.peer.end()
        tls.turn(4)
        assert witness.events == [("data", b"last"), ("eof",)]
        tls.stream.write(b"still here")
        assert tls.peer.look() == b"still here"

    @pytest.mark.parametrize(
        "tls",
        [{"suppress_ragged_eofs": True}, {"suppress_ragged_eofs": False}],
        indirect=True,
        ids=["suppressed", "raised"],
    )
    def test_so_is_the_end_of_the_transport(self, tls: TLSCase, witness: Witness) -> None:
        tls.peer.send(b"last")
        tls.peer.close()
        tls.turn(4)
        assert witness.events == [("data", b"last"), ("eof",)]

    def test_a_reset(self, tls: TLSCase, witness: Witness) -> None:
        tls.sock.faults["recv"] = error = ConnectionResetError(errno.ECONNRESET, "reset")
        tls.peer.send(b"data")
        tls.turn(3)
        assert witness.events == [("lost", error)]

    def test_what_is_not_tls(self, tls: TLSCase, witness: Witness) -> None:
        tls.peer.send(b"data")
        tls.peer.send_raw(b"this is no record of any kind")
        tls.turn(4)
        assert witness.names == ["data", "lost"]
        assert isinstance(witness.losses[0], ssl.SSLError)

    def test_what_came_before_an_error_is_handed_up_first(
        self, tls: TLSCase, witness: Witness
    ) -> None:
        full = bytes(16384)
        tls.peer.send(full)
        tls.peer.send_raw(b"this is no record of any kind")
        tls.turn(3)
        assert witness.names == ["data", "lost"]
        assert witness.data == full

    def test_a_read_can_be_made_at_once(self, tls: TLSCase, witness: Witness) -> None:
        assert tls.stream.read_now() is False
        tls.peer.send(b"data")
        assert tls.stream.read_now() is True
        tls.peer.end()
        assert tls.stream.read_now() is True
        assert witness.names == ["data", "eof"]

    def test_an_error_counts_as_something_that_was_read(
        self, tls: TLSCase, witness: Witness
    ) -> None:
        tls.sock.faults["recv"] = ConnectionResetError()
        assert tls.stream.read_now() is True
        tls.turn()
        assert witness.names == ["lost"]


class TestTLSWriting:
    def test_a_large_write_arrives_whole(self, tls: TLSCase, witness: Witness) -> None:
        data = bytes(range(256)) * 8192
        tls.stream.write(data)
        tls.stream.write(b"and more")
        assert tls.stream.queued > 0
        while tls.stream.queued:
            tls.peer.look()
            tls.turn()
        tls.peer.look()
        assert tls.peer.received == data + b"and more"
        assert witness.names == ["drained"]
        assert not tls.loop.poller.writers

    def test_a_dropped_queue_leaves_what_openssl_has_begun(
        self, tls: TLSCase, witness: Witness
    ) -> None:
        block = bytes(1 << 20)
        for _ in range(4):
            tls.stream.write(block)
        tls.stream.drop_queue()
        tls.stream.write(b"last")
        received = b""
        while tls.stream.queued:
            received += tls.peer.look()
            tls.turn()
        received += tls.peer.look()
        assert len(received) % len(block) == len(b"last")
        assert received.endswith(b"\0last")

    @pytest.mark.parametrize("fault", [ssl.SSLWantWriteError(), ssl.SSLWantReadError()])
    def test_what_openssl_cannot_take_now_is_queued(
        self, tls: TLSCase, witness: Witness, fault: Exception
    ) -> None:
        tls.sock.faults["send"] = fault
        tls.stream.write(b"data")
        assert tls.stream.queued == 4
        tls.turn()
        assert tls.peer.look() == b"data"
        assert witness.events == []

    def test_an_error(self, tls: TLSCase, witness: Witness) -> None:
        tls.sock.faults["send"] = error = ssl.SSLEOFError("gone")
        tls.stream.write(b"data")
        assert witness.events == []
        tls.turn(2)
        assert witness.events == [("lost", error)]


class TestTLSEnding:
    def test_close_says_close_notify_and_waits_for_the_peer_s(
        self, tls: TLSCase, witness: Witness
    ) -> None:
        tls.stream.write(b"bye")
        tls.stream.close()
        assert tls.peer.look() == b"bye"
        assert tls.peer.ended == "close_notify"  # RFC 8446 section 6.1, not just EOF
        tls.turn(2)
        tls.peer.send(b"late")
        tls.turn()
        assert witness.events == [("data", b"late")]
        tls.peer.end()
        tls.turn(3)
        assert witness.events == [("data", b"late"), ("lost", None)]
        assert tls.sock.fileno() == -1

    def test_close_lets_the_queue_go_out_first(self, tls: TLSCase, witness: Witness) -> None:
        data = bytes(1 << 20)
        tls.stream.write(data)
        tls.stream.close()
        while not tls.peer.ended:
            tls.peer.look()
            tls.turn()
        assert tls.peer.received == data
        tls.peer.end()
        tls.turn(2)
        assert witness.losses == [None]

    def test_close_after_the_peer_s_close_notify(self, tls: TLSCase, witness: Witness) -> None:
        tls.peer.end()
        tls.turn()
        assert witness.events == [("eof",)]
        tls.stream.close()
        tls.turn(2)
        assert witness.events == [("eof",), ("lost", None)]
        assert tls.peer.look() == b""
        assert tls.peer.ended == "close_notify"

    def test_close_with_unread_data_in_the_kernel(self, tls: TLSCase, witness: Witness) -> None:
        tls.peer.send(b"unread")
        tls.stream.close()
        tls.peer.look()
        assert tls.peer.ended == "close_notify"
        tls.peer.end()
        tls.peer.close()
        tls.turn(4)
        assert witness.losses == [None]

    @pytest.mark.parametrize(
        "fault",
        [ssl.SSLWantWriteError(), ssl.SSLWantReadError(), ssl.SSLError("data behind it")],
        ids=["want write", "want read", "ssl error"],
    )
    def test_a_close_notify_that_does_not_go_out_leaves_the_wait_for_the_peer(
        self, tls: TLSCase, witness: Witness, fault: Exception
    ) -> None:
        tls.stream.pause_reading()
        tls.sock.faults["unwrap"] = fault
        tls.stream.close()
        assert tls.stream.reading
        tls.peer.end()
        tls.turn(3)
        assert witness.events == [("lost", None)]

    @pytest.mark.parametrize(
        "fault", [BrokenPipeError(errno.EPIPE, "gone"), ValueError("no TLS any more")]
    )
    def test_close_when_the_connection_is_gone_already(
        self, tls: TLSCase, witness: Witness, fault: Exception
    ) -> None:
        tls.sock.faults["unwrap"] = fault
        tls.stream.close()
        tls.turn(2)
        assert witness.events == [("lost", None)]

    def test_abort(self, tls: TLSCase, witness: Witness) -> None:
        tls.stream.write(b"data")
        tls.stream.abort()
        assert tls.sock.fileno() == -1
        assert tls.peer.look() == b"data"
        assert tls.peer.ended == "EOF"
        tls.turn(2)
        assert witness.events == [("lost", None)]
