"""Sessions that have agreed on permessage-deflate: RFC 7692 sections 6 and 7.2.

What compression itself does is in test_deflate.py. The peer is tests/support/zlib_peer.py, or
another session.
"""

from __future__ import annotations

import random
import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor import CloseCode, Deflate
from reactor.exceptions import (
    WebSocketConnectionClosedException,
    WebSocketMessageTooBigException,
    WebSocketPayloadException,
    WebSocketProtocolException,
    WebSocketStateException,
)
from reactor.protocols.deflate import Agreement
from reactor.protocols.session import Close, Data, Event, Ping, Pong, Role, WebSocketSession
from tests.support.session_end import End, cut, failure_in, octets, receive, receive_pieces
from tests.support.websocket_frames import (
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
from tests.support.zlib_peer import (
    MEGABYTE,
    RSV1,
    ZlibPeer,
    agreements,
    compressed_frames,
)

HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")

LONG = "a text that is worth it, "
LONG *= 40


@pytest.fixture(params=list(Role), ids=["client", "server"])
def role(request: pytest.FixtureRequest) -> Role:
    role: Role = request.param
    return role


def agreement_for(role: Role, **config: Any) -> Agreement:
    """What a side that wants this settles with one that wants nothing in particular."""
    own = Deflate(**config)
    clients, servers = agreements(own, own)
    return clients if role is Role.CLIENT else servers


class CompressedEnd(End):
    """An End with compression; its peer compresses with zlib."""

    def __init__(self, role: Role, deflate: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(role, agreement=agreement_for(role, **(deflate or {})), **options)
        self.peer = ZlibPeer()

    def compressed(self, opcode: int, *parts: bytes) -> list[bytes]:
        """The frames of a compressed message, a fragment for each part."""
        return compressed_frames(opcode, *self.peer.fragments(*parts), key=self.key)

    def sent(self) -> list[Frame]:
        """Clear the output; return its frames."""
        frames = read_frames(b"".join(self.session.output))
        self.session.output.clear()
        return frames


@pytest.fixture
def end(role: Role) -> CompressedEnd:
    return CompressedEnd(role)


class TestWhatIsAgreed:
    def test_a_session_knows_it(self, role: Role) -> None:
        agreement = agreement_for(role)
        assert WebSocketSession(role, agreement=agreement).agreement is agreement
        assert WebSocketSession(role).agreement is None


class TestReceiving:
    def test_messages(self, end: CompressedEnd) -> None:
        frames = end.compressed(TEXT, "Grüße".encode()) + end.compressed(BINARY, bytes(1000))
        assert end.take(*frames) == ["Grüße", bytes(1000)]

    def test_the_examples_of_the_rfc(self, end: CompressedEnd) -> None:
        """Section 7.2.3: whole, in two fragments, and sharing the window."""
        assert end.take(end.frame(TEXT, HELLO, rsv=RSV1)) == ["Hello"]
        first = end.frame(TEXT, bytes.fromhex("f2 48 cd"), fin=False, rsv=RSV1)
        assert end.take(first, end.frame(CONT, bytes.fromhex("c9 c9 07 00"))) == ["Hello"]
        assert end.take(end.frame(TEXT, bytes.fromhex("f2 00 11 00 00"), rsv=RSV1)) == ["Hello"]

    def test_with_bfinal_and_in_two_blocks(self, end: CompressedEnd) -> None:
        final = bytes.fromhex("f3 48 cd c9 c9 07 00 00")
        two = bytes.fromhex("f2 48 05 00 00 00 ff ff ca c9 c9 07 00")
        frames = [end.frame(TEXT, payload, rsv=RSV1) for payload in (final, two, final, HELLO)]
        assert end.take(*frames) == ["Hello"] * 4

    def test_octet_by_octet(self, end: CompressedEnd) -> None:
        frames = end.compressed(TEXT, "Grüße".encode(), b"", b"!")
        frames += end.compressed(BINARY, bytes(70_000))
        assert end.take_octets(*frames) == ["Grüße!", bytes(70_000)]

    def test_empty_messages(self, end: CompressedEnd) -> None:
        frames = end.compressed(TEXT, b"") + end.compressed(BINARY, b"")
        frames += end.compressed(TEXT, b"", b"", b"")
        assert end.take(*frames) == ["", b"", ""]
        assert end.take_octets(*end.compressed(TEXT, b"")) == [""]

    def test_fragments_without_payload(self, end: CompressedEnd) -> None:
        frames = end.frame(TEXT, b"", fin=False, rsv=RSV1), end.frame(CONT, HELLO)
        assert end.take(*frames) == ["Hello"]
        frames = end.frame(TEXT, HELLO, fin=False, rsv=RSV1), end.frame(CONT, b"")
        assert end.take(*frames) == ["Hello"]
        assert end.take(end.frame(TEXT, HELLO, rsv=RSV1)) == ["Hello"]

    def test_messages_without_compression_between(self, end: CompressedEnd) -> None:
        """The peer decides for each message (section 6); the window stays as it was."""
        frames = end.compressed(TEXT, b"one")
        frames += [end.frame(TEXT, b"plain")]
        frames += end.fragments(TEXT, b"in ", b"parts")
        frames += end.compressed(TEXT, b"one")
        assert end.take(*frames) == ["one", "plain", "in parts", "one"]
        assert end.take_octets(*frames[1:4]) == ["plain", "in parts"]

    def test_control_frames_within(self, end: CompressedEnd) -> None:
        first, second, third = end.compressed(TEXT, b"one ", b"two ", b"three")
        ping, pong = end.frame(PING, b"p"), end.frame(PONG, b"q")
        frames = (first, ping, second, pong, third)
        assert end.take(*frames) == [Ping(b"p"), Pong(b"q"), "one two three"]
        assert end.said() == [(PONG, b"p")]

    def test_a_character_in_two_fragments(self, end: CompressedEnd) -> None:
        euro = "€".encode()
        assert end.take(*end.compressed(TEXT, euro[:1], euro[1:2], euro[2:])) == ["€"]
        assert end.take_octets(*end.compressed(TEXT, euro[:2], euro[2:])) == ["€"]

    def test_without_takeover_the_peer_begins_anew(self, role: Role) -> None:
        end = CompressedEnd(
            role, {"server_no_context_takeover": True, "client_no_context_takeover": True}
        )
        for _ in range(3):
            assert end.take(end.frame(TEXT, HELLO, rsv=RSV1)) == ["Hello"]
        error = failure_in(end.take(end.frame(TEXT, bytes.fromhex("f2 00 11 00 00"), rsv=RSV1)))
        assert isinstance(error, WebSocketPayloadException)

    def test_text_that_is_not_decoded(self, role: Role) -> None:
        end = CompressedEnd(role, decode_text=False)
        frames = end.compressed(TEXT, b"\xff") + end.compressed(BINARY, b"\xfe")
        assert end.take(*frames) == [Data(TEXT, b"\xff", True), b"\xfe"]

    def test_fragments(self, role: Role) -> None:
        end = CompressedEnd(role, fragments=True)
        euro = "€".encode()
        first, second = end.compressed(TEXT, b"one" + euro[:1], euro[1:] + b"two")
        assert end.take(first) == [Data(TEXT, "one", False)]
        assert end.take(second) == [Data(CONT, "€two", True)]
        assert end.take(*end.compressed(BINARY, b"\x01", b"\x02")) == [
            Data(BINARY, b"\x01", False),
            Data(CONT, b"\x02", True),
        ]
        assert end.take(*end.compressed(TEXT, b"whole")) == ["whole"]


class TestRSV1:
    """RFC 7692 section 6, with RFC 6455 section 5.2."""

    @pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
    def test_on_a_control_frame(self, end: CompressedEnd, opcode: int) -> None:
        payload = close_payload(1000) if opcode == CLOSE else b""
        self.refused(end, end.frame(opcode, payload, rsv=RSV1))

    @pytest.mark.parametrize("opcode", [PING, PONG])
    def test_on_a_control_frame_within_a_message(self, end: CompressedEnd, opcode: int) -> None:
        first, _ = end.compressed(TEXT, b"one", b"two")
        self.refused(end, first, end.frame(opcode, b"", rsv=RSV1))

    @pytest.mark.parametrize("fin", [True, False])
    def test_on_a_further_fragment(self, end: CompressedEnd, fin: bool) -> None:
        first, second = end.compressed(TEXT, b"one", b"two")
        payload = read_frames(second)[0].payload
        self.refused(end, first, end.frame(CONT, payload, fin=fin, rsv=RSV1))

    def test_on_a_further_fragment_of_a_plain_message(self, end: CompressedEnd) -> None:
        first = end.frame(TEXT, b"one", fin=False)
        self.refused(end, first, end.frame(CONT, HELLO, rsv=RSV1))

    def test_on_a_further_fragment_without_a_message(self, end: CompressedEnd) -> None:
        self.refused(end, end.frame(CONT, HELLO, rsv=RSV1))

    def test_on_a_message_within_another(self, end: CompressedEnd) -> None:
        first, _ = end.compressed(TEXT, b"one", b"two")
        self.refused(end, first, end.frame(TEXT, HELLO, rsv=RSV1))

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_without_an_agreement(self, role: Role, opcode: int) -> None:
        end = End(role)
        self.refused(end, end.frame(opcode, HELLO, rsv=RSV1))

    @pytest.mark.parametrize("rsv", [1, 2, 3, 5, 6, 7])
    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_the_other_bits_mean_nothing(self, end: CompressedEnd, opcode: int, rsv: int) -> None:
        self.refused(end, end.frame(opcode, HELLO, rsv=rsv))

    @pytest.mark.parametrize("opcode", [3, 7, 11, 15])
    def test_on_a_frame_of_no_known_kind(self, end: CompressedEnd, opcode: int) -> None:
        self.refused(end, end.frame(opcode, HELLO, rsv=RSV1))

    def refused(self, end: End, *frames: bytes) -> None:
        error = failure_in(end.take(*frames))
        assert isinstance(error, WebSocketProtocolException)
        assert error.close_code == CloseCode.PROTOCOL_ERROR

    def test_a_fault_is_found_by_its_header(self, end: CompressedEnd) -> None:
        """The payload is not waited for."""
        first, _ = end.compressed(TEXT, b"one", b"two")
        assert end.take(first) == []
        assert failure_in(end.take(end.header(CONT, 100, rsv=RSV1))).close_code == 1002


class TestFaults:
    @pytest.mark.parametrize("payload", [b"\xff" * 10, b"\x07" * 10])
    def test_what_cannot_be_inflated(self, end: CompressedEnd, payload: bytes) -> None:
        error = failure_in(end.take(end.frame(BINARY, payload, rsv=RSV1)))
        assert isinstance(error, WebSocketPayloadException)
        assert error.close_code == CloseCode.INVALID_PAYLOAD

    def test_messages_before_it_are_delivered(self, end: CompressedEnd) -> None:
        frames = end.compressed(TEXT, b"good")
        events = end.take(*frames, end.frame(TEXT, b"\xff" * 10, rsv=RSV1), end.frame(TEXT, b"no"))
        assert events[:-1] == ["good"]
        assert failure_in(events).close_code == 1007
        assert end.take(*end.compressed(TEXT, b"never heard")) == []

    def test_text_that_is_not_utf8(self, end: CompressedEnd) -> None:
        assert failure_in(end.take(*end.compressed(TEXT, b"a\xff"))).close_code == 1007

    def test_text_that_ends_within_a_character(self, end: CompressedEnd) -> None:
        frames = end.compressed(TEXT, b"a", "€".encode()[:2])
        assert failure_in(end.take(*frames)).close_code == 1007

    def test_a_wrong_octet_ends_it_at_once_in_a_message_that_goes_on(
        self, end: CompressedEnd
    ) -> None:
        """Autobahn's cases 6.4: fail fast; also where it is compressed."""
        first, second, _ = end.compressed(TEXT, b"good", b"bad\xffbad", b"never sent")
        assert end.take(first) == []
        assert failure_in(end.take(second)).close_code == 1007

    def test_and_within_a_frame(self, end: CompressedEnd) -> None:
        begin, rest = end.peer.fragments(b"bad\xff", bytes(10_000))
        frame = end.frame(TEXT, begin + rest, rsv=RSV1)
        header = len(frame) - len(begin + rest)
        assert failure_in(end.take(frame[: header + len(begin)])).close_code == 1007

    def test_the_answer_to_a_fault_has_its_code(self, end: CompressedEnd) -> None:
        events = end.take(end.frame(BINARY, b"\xff" * 10, rsv=RSV1))
        last = events[-1]
        assert not isinstance(last, (str, bytes, Data, Ping, Pong))
        end.session.take_last_word(last)
        (frame,) = end.sent()
        assert (frame.opcode, frame.rsv, frame.payload[:2]) == (CLOSE, 0, close_payload(1007))


class TestLimits:
    @pytest.mark.parametrize("message", [bytes(1000), random.Random(1).randbytes(1000)])
    @pytest.mark.parametrize("pieces", [1, 3])
    def test_they_count_what_is_inflated(self, role: Role, message: bytes, pieces: int) -> None:
        """Also where compression makes the message larger than that."""
        end = CompressedEnd(role, max_message_size=1000)
        parts = cut(message, [300, 700][: pieces - 1])
        assert end.take(*end.compressed(BINARY, *parts)) == [message]
        assert end.take_octets(*end.compressed(BINARY, *parts)) == [message]
        error = failure_in(end.take(*end.compressed(BINARY, *parts, b"x")))
        assert isinstance(error, WebSocketMessageTooBigException)
        assert error.close_code == CloseCode.MESSAGE_TOO_BIG

    def test_stored_blocks_may_be_much_larger(self, role: Role) -> None:
        """Flushes cost five octets each, and come to nothing."""
        end = CompressedEnd(role, max_message_size=100)
        payload = b"\x00\x00\x00\xff\xff" * 1000 + HELLO
        assert end.take(end.frame(TEXT, payload, rsv=RSV1)) == ["Hello"]

    def test_each_message_has_the_whole_limit(self, role: Role) -> None:
        end = CompressedEnd(role, max_message_size=1000)
        for _ in range(5):
            assert end.take(*end.compressed(BINARY, bytes(600), bytes(400))) == [bytes(1000)]

    def test_the_limit_of_fragments(self, role: Role) -> None:
        end = CompressedEnd(role, max_fragments=3)
        assert end.take(*end.compressed(BINARY, b"1", b"2", b"3")) == [b"123"]
        frames = end.compressed(BINARY, b"1", b"2", b"3", b"4")
        assert failure_in(end.take(*frames)).close_code == CloseCode.MESSAGE_TOO_BIG

    @pytest.mark.parametrize("options", [{}, {"fragments": True, "fragment_size": 1000}])
    def test_a_bomb_is_not_inflated(self, role: Role, options: dict[str, Any]) -> None:
        """A gigabyte in a megabyte, in one frame that comes piece by piece."""
        end = CompressedEnd(role, max_message_size=100_000, **options)
        payload = MEGABYTE * 1024 + b"\x00"
        frame = end.frame(BINARY, payload, rsv=RSV1)
        for pieces in ([frame], [frame[i : i + 65536] for i in range(0, len(frame), 65536)]):
            end = CompressedEnd(role, max_message_size=100_000, **options)
            tracemalloc.start()
            try:
                events = receive_pieces(end.session, pieces)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert failure_in(events).close_code == CloseCode.MESSAGE_TOO_BIG
            assert peak < 5_000_000  # the megabyte that came may be there four times, no more

    @pytest.mark.parametrize(
        "text",
        ["\U0001f600" + "a" * 250, "a" * 250 + "\U0001f600", "a" * 498 + "\u0434\u0434\u0434"],
        ids=["four bytes, first", "four bytes, last", "two bytes"],
    )
    @pytest.mark.parametrize("parts", [1, 2, 5])
    def test_a_text_counts_what_it_takes_in_memory(
        self, role: Role, monkeypatch: pytest.MonkeyPatch, text: str, parts: int
    ) -> None:
        """One wide character makes all of them wide."""
        monkeypatch.setattr("reactor.protocols.messages.LARGE_TEXT", 1000)
        octets = text.encode()
        pieces = cut(octets, [len(octets) * i // parts for i in range(1, parts)])
        end = CompressedEnd(role, max_message_size=1000)
        error = failure_in(end.take(*end.compressed(TEXT, *pieces)))
        assert isinstance(error, WebSocketMessageTooBigException)
        assert re.search(r"at least 100[24] bytes of memory.* max_message_size=1000", str(error))

    @pytest.mark.parametrize("text", ["a" * 1000, "\xe9" * 500, "\u0434" * 500, "\U0001f600" * 250])
    def test_and_no_more(self, role: Role, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setattr("reactor.protocols.messages.LARGE_TEXT", 1000)
        end = CompressedEnd(role, max_message_size=1000)
        for _ in range(3):
            assert end.take(*end.compressed(TEXT, text.encode())) == [text]

    def test_that_is_for_large_texts_only(self, role: Role) -> None:
        text = "a" * 900 + "\U0001f600"
        end = CompressedEnd(role, max_message_size=1000)
        assert end.take(*end.compressed(TEXT, text.encode())) == [text]

    def test_and_for_compressed_ones(self, role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("reactor.protocols.messages.LARGE_TEXT", 1000)
        text = "a" * 900 + "\U0001f600"
        end = CompressedEnd(role, max_message_size=1000)
        assert end.take(*end.fragments(TEXT, text[:5].encode(), text[5:].encode())) == [text]

    def test_nothing_that_inflates_to_nothing_is_kept(self, role: Role) -> None:
        end = CompressedEnd(role, max_message_size=1000)
        empty = b"\x00\x00\x00\xff\xff" * 10_000
        end.take(end.header(BINARY, len(empty) * 50, rsv=RSV1))
        piece = build_frame(BINARY, empty, key=end.key)[-len(empty) :]
        tracemalloc.start()
        try:
            for _ in range(49):
                assert end.take(piece) == []
            size, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert size < 300_000


def octets_of(event: Data) -> bytes:
    return event.payload if isinstance(event.payload, bytes) else event.payload.encode()


class TestFragmentSize:
    """What has come of a long frame is an event of its own; here it counts what is inflated."""

    def test_a_frame_that_comes_at_once(self, role: Role) -> None:
        end = CompressedEnd(role, fragments=True, fragment_size=1000)
        text = LONG * 20
        events = end.take(*end.compressed(TEXT, text.encode()))
        self.is_the_message(events, TEXT, text)

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_a_frame_that_comes_in_pieces(self, role: Role, opcode: int) -> None:
        end = CompressedEnd(role, fragments=True, fragment_size=100)
        payload = "".join(chr(65 + n) for n in random.Random(1).choices(range(60), k=5000))
        frames = end.compressed(opcode, payload.encode())
        events = receive_pieces(end.session, octets(b"".join(frames)))
        assert len(events) > 10
        message = payload if opcode == TEXT else payload.encode()
        self.is_the_message(events, opcode, message)

    def is_the_message(self, events: list[Event], opcode: int, message: str | bytes) -> None:
        if events == [message]:
            return
        data = [event for event in events if isinstance(event, Data)]
        assert len(data) == len(events)
        assert [event.opcode for event in data] == [opcode] + [CONT] * (len(data) - 1)
        assert [event.fin for event in data] == [False] * (len(data) - 1) + [True]
        assert b"".join(map(octets_of, data)) == (
            message if isinstance(message, bytes) else message.encode()
        )

    def test_one_read_is_inflated_step_by_step(self, role: Role) -> None:
        end = CompressedEnd(role, fragments=True, fragment_size=1 << 16, max_message_size=1 << 27)
        frame = end.frame(BINARY, MEGABYTE * 50 + b"\x00", rsv=RSV1)
        first = end.session.receive(frame)
        came = sum(len(event.payload) for event in first if isinstance(event, Data))
        assert {len(event.payload) for event in first if isinstance(event, Data)} == {65537}
        assert came < 2 << 20
        assert end.session.unfinished
        rest = list(receive(end.session, b""))
        assert sum(len(event.payload) for event in rest if isinstance(event, Data)) == (
            (50 << 20) - came
        )
        assert not end.session.unfinished
        assert end.take(end.frame(PING, b"next")) == [Ping(b"next")]

    def test_what_comes_behind_waits_for_the_steps(self, role: Role) -> None:
        end = CompressedEnd(role, fragments=True, fragment_size=1000)
        frames = [*end.compressed(TEXT, b"x" * 5000), end.frame(PING, b"behind")]
        events = end.take(*frames)
        assert events[-1] == Ping(b"behind")
        self.is_the_message(events[:-1], TEXT, "x" * 5000)

    @pytest.mark.parametrize("size", [999, 1000, 1001])
    def test_how_long_it_is_decides_not_how_it_comes(self, role: Role, size: int) -> None:
        kinds = set()
        for pieces in (lambda frame: [frame], octets):
            end = CompressedEnd(role, fragments=True, fragment_size=1000)
            (frame,) = end.compressed(TEXT, b"xy" * 600 if size > 1000 else b"x" * size)
            kinds.add(type(receive_pieces(end.session, pieces(frame))[0]) is Data)
        assert kinds == {size > 1000}

    def test_it_is_not_whole_in_memory(self, role: Role) -> None:
        end = CompressedEnd(role, fragments=True, fragment_size=1 << 16, max_message_size=1 << 27)
        payload = MEGABYTE * 100 + b"\x00"
        frame = end.frame(BINARY, payload, rsv=RSV1)
        size, peak = 0, 0
        tracemalloc.start()
        try:
            for i in range(0, len(frame), 4096):
                for event in receive(end.session, frame[i : i + 4096]):
                    assert isinstance(event, Data)
                    size += len(event.payload)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert size == 100 << 20
        assert peak < 30 << 20


class TestSending:
    def test_the_first_frame_says_that_it_is_compressed(self, end: CompressedEnd) -> None:
        end.session.send(LONG)
        end.session.send(LONG.encode())
        text, binary = end.sent()
        assert (text.opcode, text.rsv, text.fin) == (TEXT, RSV1, True)
        assert (binary.opcode, binary.rsv, binary.fin) == (BINARY, RSV1, True)
        assert end.peer.inflate(text.payload) == LONG.encode()
        assert end.peer.inflate(binary.payload) == LONG.encode()
        assert len(binary.payload) < len(text.payload) < 100

    def test_short_ones_are_not_compressed(self, role: Role) -> None:
        end = CompressedEnd(role, {"threshold": 10})
        for message in ("x" * 9, b"x" * 9, "x" * 10, b"x" * 10, "€€€", "€€€€"):
            end.session.send(message)
        frames = end.sent()
        assert [frame.rsv for frame in frames] == [0, 0, RSV1, RSV1, 0, RSV1]
        assert frames[0].payload == b"x" * 9

    @pytest.mark.parametrize("kind", [bytearray, memoryview])
    def test_buffers(self, end: CompressedEnd, kind: Any) -> None:
        end.session.send(kind(LONG.encode()))
        (frame,) = end.sent()
        assert (frame.opcode, frame.rsv) == (BINARY, RSV1)
        assert end.peer.inflate(frame.payload) == LONG.encode()

    def test_each_message_can_be_compressed_or_not(self, end: CompressedEnd) -> None:
        end.session.send("short", compress=True)
        end.session.send(LONG, compress=False)
        end.session.send_payload(TEXT, b"short", True)
        end.session.send_payload(BINARY, LONG.encode(), False)
        first, second, third, fourth = end.sent()
        assert [first.rsv, second.rsv, third.rsv, fourth.rsv] == [RSV1, 0, RSV1, 0]
        assert end.peer.inflate(first.payload) == b"short" == end.peer.inflate(third.payload)
        assert second.payload == LONG.encode() == fourth.payload

    def test_without_an_agreement_nothing_is(self, role: Role) -> None:
        end = End(role)
        end.session.send(LONG, compress=True)
        assert end.said() == [(TEXT, LONG.encode())]

    def test_the_number_of_bytes_is_that_on_the_wire(self, end: CompressedEnd) -> None:
        for message in (LONG, LONG.encode(), "short"):
            count = end.session.send(message)
            assert count == len(b"".join(end.session.output))
            end.session.output.clear()

    def test_an_empty_message(self, end: CompressedEnd) -> None:
        end.session.send("", compress=True)
        end.session.send("x", compress=True)
        empty, other = end.sent()
        assert empty.opcode == TEXT
        assert (end.peer.inflate(empty.payload) if empty.rsv else empty.payload) == b""
        assert end.peer.inflate(other.payload) == b"x"

    def test_control_frames_and_frames_of_one_s_own_are_not_compressed(self, role: Role) -> None:
        end = CompressedEnd(role, {"threshold": 0})
        end.session.ping(b"p" * 100)
        end.session.pong(b"q" * 100)
        end.session.send_frame(TEXT, LONG.encode())
        end.session.close(1000, "r" * 100)
        assert [frame.rsv for frame in end.sent()] == [0, 0, 0, 0]

    def test_fragments(self, end: CompressedEnd) -> None:
        """Only the first has the bit, and the peer can inflate each when it comes."""
        end.session.send_fragment("one ", fin=False)
        end.session.send_fragment("two ", fin=False)
        end.session.send_fragment("three", fin=True)
        frames = end.sent()
        assert [frame.rsv for frame in frames] == [RSV1, 0, 0]
        assert [frame.opcode for frame in frames] == [TEXT, CONT, CONT]
        assert [frame.fin for frame in frames] == [False, False, True]
        assert end.peer.inflate(*(frame.payload for frame in frames)) == b"one two three"

    @pytest.mark.parametrize("compress", [True, False, None])
    def test_fragments_are_compressed_as_the_first_says(
        self, end: CompressedEnd, compress: bool | None
    ) -> None:
        """None: a message in fragments is, for nobody knows how long it will be."""
        end.session.send_fragment(b"one ", False, compress)
        end.session.send_fragment(b"two ", False, not compress)
        end.session.end_fragments()
        frames = end.sent()
        payloads = [frame.payload for frame in frames]
        if compress is False:
            assert [frame.rsv for frame in frames] == [0, 0, 0]
            assert payloads == [b"one ", b"two ", b""]
        else:
            assert [frame.rsv for frame in frames] == [RSV1, 0, 0]
            assert end.peer.inflate(*payloads) == b"one two "

    def test_an_answer_to_a_ping_within_fragments(self, end: CompressedEnd) -> None:
        end.session.send_fragment("one ", fin=False)
        end.take(end.frame(PING, b"p"))
        end.session.send_fragment("two", fin=True)
        first, pong, second = end.sent()
        assert (pong.opcode, pong.rsv, pong.payload) == (PONG, 0, b"p")
        assert end.peer.inflate(first.payload, second.payload) == b"one two"

    def test_a_message_that_is_refused_leaves_the_window_as_it_was(
        self, end: CompressedEnd
    ) -> None:
        end.session.send(LONG)
        with pytest.raises(TypeError):
            end.session.send(1)  # type: ignore[arg-type]
        end.session.send_fragment("one", fin=False)
        with pytest.raises(WebSocketStateException):
            end.session.send("refused" * 50)
        with pytest.raises(TypeError):
            end.session.send_fragment(b"refused" * 50, fin=False)
        end.session.end_fragments()
        end.session.send(LONG)
        whole, first, last, again = end.sent()
        assert end.peer.inflate(whole.payload) == LONG.encode()
        assert end.peer.inflate(first.payload, last.payload) == b"one"
        assert end.peer.inflate(again.payload) == LONG.encode()

    def test_nothing_is_sent_once_it_is_closing(self, end: CompressedEnd) -> None:
        end.session.close()
        end.session.output.clear()
        with pytest.raises(WebSocketConnectionClosedException):
            end.session.send(LONG)
        with pytest.raises(WebSocketConnectionClosedException):
            end.session.send_fragment(LONG, fin=True)
        assert end.session.output == []

    @pytest.mark.parametrize("bits", range(8, 16))
    @pytest.mark.parametrize("takeover", [True, False])
    def test_a_peer_with_a_window_of_the_size(self, role: Role, bits: int, takeover: bool) -> None:
        wanted = {
            "server_max_window_bits": bits,
            "client_max_window_bits": bits,
            "server_no_context_takeover": not takeover,
            "client_no_context_takeover": not takeover,
        }
        end = CompressedEnd(role, wanted)
        peer = ZlibPeer(their_bits=bits, their_takeover=takeover)
        block = random.Random(bits).randbytes((1 << bits if bits < 11 else 2000) - 3)
        for message in (block, block, block * 2, b"x" * 500):
            end.session.send(message)
            (frame,) = end.sent()
            assert peer.inflate(frame.payload) == message


def joined(events: list[Event]) -> list[Event]:
    """Make messages of fragments."""
    result: list[Event] = []
    parts: list[Any] = []
    for event in events:
        if isinstance(event, Data):
            assert (event.opcode == CONT) is bool(parts)
            parts.append(event.payload)
            if event.fin:
                result.append(type(parts[0])().join(parts))
                parts = []
        else:
            result.append(event)
    assert not parts
    return result


texts = st.text(max_size=60) | st.sampled_from([LONG, "x" * 127, "x" * 128, "€" * 60])
binaries = st.binary(max_size=60) | st.sampled_from([bytes(1000), bytes(range(256)) * 3])
positions = st.lists(st.integers(0, 1 << 16), max_size=6)

configs = st.builds(
    Deflate,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=st.none() | st.integers(8, 15),
    client_max_window_bits=st.just(True) | st.integers(8, 15),
    level=st.integers(-1, 9),
    mem_level=st.integers(1, 9),
    threshold=st.sampled_from([0, 1, 20, 128]),
)


class TestPairs:
    """A client and a server, with any configuration: what one sends, the other one gets."""

    @given(data=st.data(), client=configs, server=configs)
    def test_both_sides_agree(self, data: st.DataObject, client: Deflate, server: Deflate) -> None:
        ours, theirs = agreements(client, server)
        fragments = data.draw(st.booleans(), "fragments")
        options: dict[str, Any] = {"fragments": fragments}
        if fragments:
            options["fragment_size"] = data.draw(st.none() | st.integers(1, 50), "size")
        sessions = {
            Role.CLIENT: WebSocketSession(Role.CLIENT, agreement=ours, **options),
            Role.SERVER: WebSocketSession(Role.SERVER, agreement=theirs, **options),
        }
        sent: dict[Role, list[Event]] = {role: [] for role in Role}
        heard: dict[Role, list[Event]] = {role: [] for role in Role}
        for session in sessions.values():
            session.opened()
        for _ in range(data.draw(st.integers(1, 6), "steps")):
            role = data.draw(st.sampled_from(Role), "who")
            session = sessions[role]
            compress = data.draw(st.sampled_from([None, True, False]), "compress")
            message: Any = data.draw(texts | binaries, "message")
            if data.draw(st.booleans(), "in fragments"):
                for part in self.parts(message, data.draw(positions, "cuts")):
                    session.send_fragment(part, False, compress)
                    if data.draw(st.booleans(), "ping"):
                        session.ping(b"within")
                        sent[role].append(Ping(b"within"))
                session.end_fragments()
            else:
                session.send(message, compress)
            sent[role].append(message)
            other = sessions[Role(1 - role)]
            stream = b"".join(session.output)
            session.output.clear()
            heard[role] += receive_pieces(other, cut(stream, data.draw(positions, "pieces")))
        for role in Role:
            wanted = self.messages(sent[role])
            messages = joined(self.messages(heard[role]))
            assert messages == wanted
            assert [type(message) for message in messages] == [type(event) for event in wanted]
            assert self.pings(heard[role]) == self.pings(sent[role])

    def pings(self, events: list[Event]) -> int:
        return sum(isinstance(event, Ping) for event in events)

    def messages(self, events: list[Event]) -> list[Event]:
        return [event for event in events if not isinstance(event, (Ping, Pong))]

    def parts(self, message: str | bytes, cuts: list[int]) -> list[str] | list[bytes]:
        if isinstance(message, bytes):
            return cut(message, cuts)
        borders = sorted(position % (len(message) + 1) for position in cuts)
        return [message[a:b] for a, b in zip([0, *borders], [*borders, len(message)], strict=True)]

    def test_one_octet_at_a_time(self) -> None:
        ours, theirs = agreements(Deflate(threshold=0))
        client = WebSocketSession(Role.CLIENT, agreement=ours)
        server = WebSocketSession(Role.SERVER, agreement=theirs)
        client.opened()
        server.opened()
        for sender, receiver in ((client, server), (server, client)):
            sender.send(LONG)
            sender.send_fragment(b"one", fin=False)
            sender.ping(b"p")
            sender.send_fragment(b"two", fin=True)
            sender.send("")
            sender.send(LONG)
            stream = b"".join(sender.output)
            sender.output.clear()
            events = receive_pieces(receiver, octets(stream))
            receiver.output.clear()
            assert events == [LONG, Ping(b"p"), b"onetwo", "", LONG]
        client.close(1000, "bye")
        assert receive_pieces(server, octets(b"".join(client.output))) == [Close(1000, "bye")]
