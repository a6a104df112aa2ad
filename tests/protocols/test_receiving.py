"""What one call of receive() takes is bounded, whatever has come; the rest follows in order.

What comes of the frames is in test_session.py and its neighbours.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from sys import getsizeof
from typing import Any

import pytest

from reactor.protocols.receiving import MAX_FRAMES, MAX_INFLATED
from reactor.protocols.session import Close, Data, Event, Failure, Ping, Pong, Role
from reactor.transports.stream import READ_SIZE
from tests.support.session_end import End, receive
from tests.support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    close_payload,
)
from tests.support.zlib_peer import MEGABYTE, RSV1, ZlibPeer, agreements, compressed_frames


@pytest.fixture(params=list(Role), ids=["client", "server"])
def role(request: pytest.FixtureRequest) -> Role:
    role: Role = request.param
    return role


def steps(end: End, data: bytes) -> Iterator[list[Event]]:
    """What each call returns, from the one that is given the data on."""
    yield end.session.receive(data)
    while end.session.unfinished:
        yield end.session.receive(b"")


#: By name: what comes over and over again, and the events of it.
FLOODS: dict[str, tuple[Callable[[End], list[bytes]], list[Event]]] = {
    "empty texts": (lambda end: [end.frame(TEXT)], [""]),
    "short binary messages": (lambda end: [end.frame(BINARY, b"b")], [b"b"]),
    "empty pings": (lambda end: [end.frame(PING)], [Ping(b"")]),
    "pongs": (lambda end: [end.frame(PONG, b"pong")], [Pong(b"pong")]),
    "messages of two fragments": (lambda end: end.fragments(TEXT, b"a", b"b"), ["ab"]),
    "pings between fragments": (
        lambda end: [end.frame(TEXT, fin=False), end.frame(PING), end.frame(CONT)],
        [Ping(b""), ""],
    ),
    "messages and pongs": (
        lambda end: [end.frame(TEXT, b"a"), end.frame(PONG)],
        ["a", Pong(b"")],
    ),
}


class TestABoundedPiece:
    @pytest.mark.parametrize("options", [{}, {"decode_text": False}, {"fragments": True}])
    @pytest.mark.parametrize("name", FLOODS)
    def test_so_many_frames_at_most(self, role: Role, name: str, options: dict[str, Any]) -> None:
        make, events = FLOODS[name]
        end = End(role, **options)
        frames = make(end)
        times = 3 * MAX_FRAMES
        pieces = list(steps(end, b"".join(frames) * times))
        assert len(pieces) >= len(frames) * times / MAX_FRAMES
        assert max(map(len, pieces)) <= MAX_FRAMES
        assert not end.session.unfinished
        if not options:
            assert [event for piece in pieces for event in piece] == events * times

    def test_fragments_without_end_are_no_exception(self, role: Role) -> None:
        """There is no event that could be counted."""
        end = End(role)
        data = end.frame(TEXT, fin=False) + end.frame(CONT, fin=False) * (4 * MAX_FRAMES)
        assert len(list(steps(end, data))) > 4
        assert end.take(end.frame(CONT, b"end")) == ["end"]

    @pytest.mark.parametrize("takeover", [True, False])
    def test_nor_are_compressed_messages(self, role: Role, takeover: bool) -> None:
        agreement = agreements()[role]
        end = End(role, agreement=agreement)
        data = end.frame(TEXT, b"\x00", rsv=RSV1) * (4 * MAX_FRAMES)
        pieces = list(steps(end, data))
        assert len(pieces) > 4
        assert [event for piece in pieces for event in piece] == [""] * (4 * MAX_FRAMES)

    def test_a_read_full_of_ordinary_messages_is_one_piece(self, role: Role) -> None:
        end = End(role)
        frame = end.frame(TEXT, b"x" * 150)
        count = READ_SIZE // len(frame)
        assert len(end.session.receive(frame * count)) == count
        assert not end.session.unfinished

    def test_what_ends_with_the_last_frame_of_a_piece_leaves_nothing(self, role: Role) -> None:
        end = End(role)
        assert len(end.session.receive(end.frame(TEXT) * MAX_FRAMES)) == MAX_FRAMES
        assert not end.session.unfinished
        assert end.session.receive(b"") == []

    def test_what_was_taken_off_the_same_read_before_counts(self, role: Role) -> None:
        end = End(role)
        taken: list[Event] = ["before"] * (MAX_FRAMES - 2)
        assert end.session.receive(end.frame(TEXT, b"a") * 3, taken) is taken
        assert taken[-3:] == ["before", "a", "a"]
        assert end.session.unfinished
        assert end.session.receive(b"") == ["a"]


class TestTheRest:
    def test_it_comes_before_what_comes_later(self, role: Role) -> None:
        end = End(role)
        count = MAX_FRAMES + 10
        first = end.session.receive(end.frame(TEXT, b"earlier") * count)
        rest = list(receive(end.session, end.frame(TEXT, b"later")))
        assert first + rest == ["earlier"] * count + ["later"]

    def test_a_frame_that_is_cut_in_it_is_put_together(self, role: Role) -> None:
        end = End(role)
        frame = end.frame(TEXT, b"in two parts")
        end.session.receive(end.frame(PONG) * (2 * MAX_FRAMES) + frame[:5])
        while end.session.unfinished:
            end.session.receive(b"")
        assert end.take(frame[5:]) == ["in two parts"]

    @pytest.mark.parametrize("last", ["close", "fault"])
    def test_the_peers_last_word_ends_it(self, role: Role, last: str) -> None:
        end = End(role)
        word = end.frame(CLOSE, close_payload(1000)) if last == "close" else end.frame(3)
        data = end.frame(TEXT) * (MAX_FRAMES + 1) + word + end.frame(TEXT) * MAX_FRAMES
        events = end.take(data)
        assert events[:-1] == [""] * (MAX_FRAMES + 1)
        assert type(events[-1]) is (Close if last == "close" else Failure)
        assert not end.session.unfinished
        assert end.session.ended

    def test_a_fault_comes_behind_what_is_right(self, role: Role) -> None:
        """The answers to pings behind it are not sent."""
        end = End(role)
        pings = end.frame(PING, b"p") * (MAX_FRAMES + 1)
        first = end.session.receive(pings + end.frame(3) + end.frame(PING, b"behind"))
        assert len(first) == len(end.said()) == MAX_FRAMES
        ping, fault = end.session.receive(b"")
        assert (ping, type(fault)) == (Ping(b"p"), Failure)
        assert end.said() == [(PONG, b"p")]

    def test_the_parts_of_a_long_compressed_frame_are_bounded_too(self, role: Role) -> None:
        payload = bytes(range(256)) * 40
        end = End(role, fragments=True, fragment_size=1, agreement=agreements()[role])
        pieces = list(
            steps(end, *compressed_frames(BINARY, *ZlibPeer().fragments(payload), key=end.key))
        )
        parts = [event for piece in pieces for event in piece if isinstance(event, Data)]
        assert (
            b"".join(part.payload for part in parts if isinstance(part.payload, bytes)) == payload
        )
        assert max(map(len, pieces)) <= MAX_FRAMES


#: Texts of a megabyte, by the width of their characters in memory.
MEGABYTES = {
    1: "a" * (1 << 20),
    2: "a" * ((1 << 20) - 2) + "я",
    4: "\U0001f600" + "a" * ((1 << 20) - 4),
}


class TestWhatIsInflated:
    """A kilobyte can come to megabytes: what it takes in memory is bounded, too."""

    @pytest.mark.parametrize("width", MEGABYTES)
    def test_many_messages(self, role: Role, width: int) -> None:
        end = End(role, agreement=agreements()[role])
        peer = ZlibPeer()
        payloads = [peer.compress(MEGABYTES[width].encode()) for _ in range(8)]
        frames = [compressed_frames(TEXT, payload, key=end.key)[0] for payload in payloads]
        pieces = list(steps(end, b"".join(frames)))
        assert [event for piece in pieces for event in piece] == [MEGABYTES[width]] * 8
        for piece in pieces:
            taken = sum(getsizeof(event) for event in piece)
            assert taken <= MAX_INFLATED + 4 * (1 << 20) + 1000
        assert len(pieces) >= 8

    def test_one_message_comes_in_steps(self, role: Role) -> None:
        end = End(role, agreement=agreements()[role])
        payload = MEGABYTE * 6 + b"\x00"
        pieces = list(steps(end, *compressed_frames(BINARY, payload, key=end.key)))
        assert pieces[:-1] == [[]] * (len(pieces) - 1)
        assert len(pieces) >= 6
        assert pieces[-1] == [bytes(6 << 20)]

    def test_fragments_come_in_steps(self, role: Role) -> None:
        end = End(role, agreement=agreements()[role], fragments=True)
        payloads = [MEGABYTE] * 6 + [b"\x00"]
        pieces = list(steps(end, b"".join(compressed_frames(BINARY, *payloads, key=end.key))))
        sizes = [sum(len(event.payload) for event in piece) for piece in pieces]  # type: ignore[union-attr]
        assert sum(sizes) == 6 << 20
        assert max(sizes) <= 2 * MAX_INFLATED

    def test_no_more_than_that_is_in_memory(self, role: Role) -> None:
        end = End(role, agreement=agreements()[role])
        data = b"".join(compressed_frames(BINARY, MEGABYTE + b"\x00", key=end.key)) * 50
        size = 0
        tracemalloc.start()
        try:
            for piece in steps(end, data):
                size += sum(map(len, piece))  # type: ignore[arg-type]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert size == 50 << 20
        assert peak < 6 << 20

    def test_what_is_not_compressed_has_cost_its_sender_as_much(self, role: Role) -> None:
        end = End(role)
        end.session.receive(end.frame(BINARY, bytes(3 << 20))[:-1])
        last = end.frame(BINARY, bytes(3 << 20))[-1:]
        assert end.session.receive(last + end.frame(TEXT, b"behind")) == [bytes(3 << 20), "behind"]
        assert not end.session.unfinished
