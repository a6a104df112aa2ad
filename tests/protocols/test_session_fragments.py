"""Messages in fragments: how a session sends them, and how it divides what comes.

With compression they are in test_session_compression.py.
"""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor import CloseCode
from reactor.exceptions import (
    WebSocketConnectionClosedException,
    WebSocketStateException,
)
from reactor.protocols.session import Close, Data, Event, Ping, Role, WebSocketSession
from reactor.protocols.shared import SharedMessage
from tests.support.session_end import End, cut, failure_in, octets, receive_pieces
from tests.support.websocket_frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload


@pytest.fixture(params=list(Role), ids=["client", "server"])
def role(request: pytest.FixtureRequest) -> Role:
    role: Role = request.param
    return role


@pytest.fixture
def end(role: Role) -> End:
    return End(role)


def put_out(end: End) -> list[tuple[int, bytes, bool]]:
    """Clear the output; return opcode, payload and FIN of its frames."""
    return [(frame.opcode, frame.payload, frame.fin) for frame in end.put_out()]


class TestSending:
    def test_a_text(self, end: End) -> None:
        end.session.send_fragment("eins", fin=False)
        end.session.send_fragment("zwö", fin=False)
        end.session.send_fragment("", fin=False)
        end.session.send_fragment("drei", fin=True)
        assert put_out(end) == [
            (TEXT, b"eins", False),
            (CONT, "zwö".encode(), False),
            (CONT, b"", False),
            (CONT, b"drei", True),
        ]

    def test_a_binary_message_of_all_types(self, end: End) -> None:
        end.session.send_fragment(b"1", fin=False)
        end.session.send_fragment(bytearray(b"2"), fin=False)
        end.session.send_fragment(memoryview(b"3"), fin=True)
        assert put_out(end) == [(BINARY, b"1", False), (CONT, b"2", False), (CONT, b"3", True)]

    def test_a_single_fragment_is_a_whole_message(self, end: End) -> None:
        end.session.send_fragment("all", fin=True)
        end.session.send_fragment(b"all", fin=True)
        assert put_out(end) == [(TEXT, b"all", True), (BINARY, b"all", True)]

    def test_the_end_on_its_own(self, end: End) -> None:
        end.session.send_fragment(b"1", fin=False)
        end.session.end_fragments()
        end.session.send_fragment("2", fin=False)
        end.session.end_fragments()
        assert put_out(end) == [
            (BINARY, b"1", False),
            (CONT, b"", True),
            (TEXT, b"2", False),
            (CONT, b"", True),
        ]

    def test_the_end_of_nothing_is_an_empty_text(self, end: End) -> None:
        end.session.end_fragments()
        assert put_out(end) == [(TEXT, b"", True)]

    def test_whether_a_message_is_being_sent(self, end: End) -> None:
        session = end.session
        seen = [session.sending]
        for fin in (False, False, True, True, False):
            session.send_fragment("x", fin)
            seen.append(session.sending)
        session.end_fragments()
        seen.append(session.sending)
        assert seen == [False, True, True, False, False, True, False]

    @pytest.mark.parametrize("size", [0, 125, 126, 65536])
    def test_the_number_of_bytes_is_returned(self, end: End, size: int) -> None:
        for fin in (False, False, True):
            count = end.session.send_fragment(bytes(size), fin)
            assert count == len(b"".join(end.session.output))
            end.session.output.clear()
        end.session.send_fragment(b"", fin=False)
        end.session.output.clear()
        assert end.session.end_fragments() == len(b"".join(end.session.output))

    @pytest.mark.parametrize("message", ["x", b"x"])
    def test_no_other_message_comes_between(self, end: End, message: Any) -> None:
        """RFC 6455 section 5.4."""
        end.session.send_fragment("1", fin=False)
        with pytest.raises(WebSocketStateException):
            end.session.send(message)
        with pytest.raises(WebSocketStateException):
            end.session.send_payload(BINARY, b"x")
        with pytest.raises(WebSocketStateException):
            end.session.send_shared(SharedMessage(TEXT, b"x"))
        end.session.send_fragment("2", fin=True)
        end.session.send(message)
        end.session.send_payload(BINARY, b"x")
        assert [payload for _, payload, _ in put_out(end)] == [b"1", b"2", b"x", b"x"]

    def test_control_frames_do(self, end: End) -> None:
        end.session.send_fragment("1", fin=False)
        end.session.ping(b"p")
        end.session.pong(b"q")
        end.take(end.frame(PING, b"r"))
        end.session.send_fragment("2", fin=True)
        opcodes = [(opcode, payload) for opcode, payload, _ in put_out(end)]
        assert opcodes == [(TEXT, b"1"), (PING, b"p"), (PONG, b"q"), (PONG, b"r"), (CONT, b"2")]

    @pytest.mark.parametrize(
        ("first", "wrong"),
        [
            ("text", b"binary"),
            ("text", bytearray()),
            (b"binary", "text"),
            (b"binary", ""),
            ("text", None),
            (b"binary", 1),
            (b"binary", [1]),
        ],
    )
    @pytest.mark.parametrize("fin", [True, False])
    def test_a_fragment_of_another_type(self, end: End, first: Any, wrong: Any, fin: bool) -> None:
        """The message can go on as if nothing had been."""
        end.session.send_fragment(first, fin=False)
        end.session.output.clear()
        with pytest.raises(TypeError):
            end.session.send_fragment(wrong, fin)
        assert end.session.output == []
        assert end.session.sending
        end.session.send_fragment(first, fin=True)
        assert [(opcode, fin) for opcode, _, fin in put_out(end)] == [(CONT, True)]

    @pytest.mark.parametrize("wrong", [None, 1, ["x"], object()])
    @pytest.mark.parametrize("fin", [True, False])
    def test_a_first_fragment_that_is_none(self, end: End, wrong: Any, fin: bool) -> None:
        with pytest.raises(TypeError, match=type(wrong).__name__):
            end.session.send_fragment(wrong, fin)
        assert end.session.output == []
        assert not end.session.sending
        end.session.send("whole")
        assert put_out(end) == [(TEXT, b"whole", True)]

    def test_a_text_that_has_no_utf8(self, end: End) -> None:
        """A lone surrogate; the message goes on without it."""
        end.session.send_fragment("1", fin=False)
        with pytest.raises(UnicodeEncodeError):
            end.session.send_fragment("\ud800", fin=True)
        end.session.send_fragment("2", fin=True)
        assert put_out(end) == [(TEXT, b"1", False), (CONT, b"2", True)]

    def test_before_the_connection_is_open(self, role: Role) -> None:
        session = WebSocketSession(role)
        for call in self.calls(session):
            with pytest.raises(WebSocketStateException):
                call()
        assert session.output == []
        assert not session.sending

    @pytest.mark.parametrize("how", ["close", "peer", "lost"])
    @pytest.mark.parametrize("within", [True, False])
    def test_once_it_is_closing_or_closed(self, end: End, how: str, within: bool) -> None:
        if within:
            end.session.send_fragment("1", fin=False)
        if how == "close":
            end.session.close()
        elif how == "peer":
            end.session.take_last_word(Close(1000, ""))
        else:
            end.session.lost()
        end.session.output.clear()
        for call in self.calls(end.session):
            with pytest.raises(WebSocketConnectionClosedException):
                call()
        assert end.session.output == []

    def calls(self, session: WebSocketSession) -> list[Callable[[], object]]:
        return [
            lambda: session.send_fragment("2", fin=False),
            lambda: session.send_fragment("2", fin=True),
            session.end_fragments,
        ]

    def test_a_close_frame_cuts_a_message(self, end: End) -> None:
        end.session.send_fragment("1", fin=False)
        end.session.close(1001)
        assert put_out(end) == [(TEXT, b"1", False), (CLOSE, close_payload(1001), True)]

    @pytest.mark.parametrize("kind", [bytearray, memoryview])
    def test_a_buffer_may_be_changed_afterwards(self, end: End, kind: Any) -> None:
        buffer = bytearray(b"good")
        end.session.send_fragment(kind(buffer), fin=True)
        buffer[:] = b"evil"
        assert put_out(end) == [(BINARY, b"good", True)]


class TestShared:
    """A message that others get, too: see test_broadcast.py for connections."""

    @pytest.mark.parametrize(("opcode", "payload"), [(TEXT, b"text"), (BINARY, bytes(70_000))])
    def test_it_is_sent_as_any_other(self, end: End, opcode: int, payload: bytes) -> None:
        count = end.session.send_shared(SharedMessage(opcode, payload))
        assert count == len(b"".join(end.session.output))
        assert end.said() == [(opcode, payload)]

    def test_servers_put_out_the_same_bytes(self) -> None:
        message = SharedMessage(BINARY, bytes(1000))
        ends = [End(Role.SERVER) for _ in range(3)]
        for end in ends:
            end.session.send_shared(message)
        (first,), (second,), (third,) = (end.session.output for end in ends)
        assert first is second is third

    def test_clients_mask_it_each(self) -> None:
        message = SharedMessage(TEXT, b"hello")
        ends = [End(Role.CLIENT) for _ in range(3)]
        for end in ends:
            end.session.send_shared(message)
        assert len({b"".join(end.session.output) for end in ends}) == 3
        assert [end.said() for end in ends] == [[(TEXT, b"hello")]] * 3

    def test_where_it_cannot_be_sent(self, role: Role) -> None:
        message = SharedMessage(TEXT, b"x")
        session = WebSocketSession(role)
        with pytest.raises(WebSocketStateException):
            session.send_shared(message)
        session.opened()
        session.close()
        session.output.clear()
        with pytest.raises(WebSocketConnectionClosedException):
            session.send_shared(message)
        assert session.output == []


def dividing(role: Role, size: int, **options: Any) -> End:
    return End(role, fragments=True, fragment_size=size, **options)


class TestReceivingInParts:
    """``fragment_size``: what has come of a frame is an event as soon as it has this size."""

    def test_nothing_is_divided_without_it(self, role: Role) -> None:
        end = End(role, fragments=True)
        assert end.take_octets(end.frame(BINARY, bytes(5000))) == [bytes(5000)]

    def test_short_messages_are_messages(self, role: Role) -> None:
        end = dividing(role, 10)
        frames = [end.frame(TEXT, b"x" * 9), end.frame(BINARY, b"y" * 9), end.frame(TEXT, b"")]
        assert end.take(*frames) == ["x" * 9, b"y" * 9, ""]
        assert end.take_octets(*frames) == ["x" * 9, b"y" * 9, ""]

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_a_long_frame_that_comes_in_pieces(self, role: Role, opcode: int) -> None:
        end = dividing(role, 10)
        frame = end.frame(opcode, b"x" * 100)
        start = len(frame) - 100
        x: Any = "x" if opcode == TEXT else b"x"
        assert end.take(frame[: start + 5]) == []
        assert end.take(frame[start + 5 : start + 12]) == [Data(opcode, x * 12, False)]
        assert end.take(frame[start + 12 : start + 21]) == []
        assert end.take(frame[start + 21 : start + 60]) == [Data(CONT, x * 48, False)]
        assert end.take(frame[start + 60 :]) == [Data(CONT, x * 40, True)]
        assert end.take(end.frame(opcode, b"x")) == [x]

    def test_the_last_part_may_be_short(self, role: Role) -> None:
        end = dividing(role, 10)
        frame = end.frame(BINARY, b"x" * 25)
        events = end.take_octets(frame)
        assert [len(event.payload) for event in events if isinstance(event, Data)] == [10, 10, 5]
        assert check_data(events, BINARY) == b"x" * 25

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("size", [9, 10, 11, 25])
    def test_how_long_it_is_decides_not_how_it_comes(
        self, role: Role, opcode: int, size: int
    ) -> None:
        frame = End(role).frame(opcode, b"x" * size)
        kinds = {
            tuple(type(event) is Data for event in dividing(role, 10).take(frame))[:1],
            tuple(type(event) is Data for event in dividing(role, 10).take_octets(frame))[:1],
        }
        assert kinds == {(size > 10,)}

    def test_a_part_ends_with_whole_characters(self, role: Role) -> None:
        end = dividing(role, 4)
        text = "€ö" * 20
        assert check_data(end.take_octets(end.frame(TEXT, text.encode())), TEXT) == text

    def test_invalid_utf8_is_found_at_once(self, role: Role) -> None:
        end = dividing(role, 4)
        frame = end.frame(TEXT, b"good" + b"\xff" + b"x" * 100)
        start = len(frame) - 105
        assert end.take(frame[: start + 4]) == [Data(TEXT, "good", False)]
        assert failure_in(end.take(frame[start + 4 : start + 5])).close_code == 1007

    def test_text_that_ends_within_a_character(self, role: Role) -> None:
        end = dividing(role, 4)
        assert failure_in(end.take_octets(end.frame(TEXT, b"good\xe2\x82"))).close_code == 1007

    def test_frames_of_a_message_in_fragments(self, role: Role) -> None:
        """Each frame is divided; the message ends once."""
        end = dividing(role, 3)
        events = end.take_octets(*end.fragments(TEXT, b"12345", b"6", b"", b"7890abc"))
        assert check_data(events, TEXT) == "1234567890abc"

    def test_control_frames_between(self, role: Role) -> None:
        end = dividing(role, 3)
        first, second = end.fragments(BINARY, b"12345", b"67890")
        ping = end.frame(PING, b"p")
        events = end.take_octets(first, ping, second)
        assert events.count(Ping(b"p")) == 1
        data: list[Event] = [event for event in events if not isinstance(event, Ping)]
        assert check_data(data, BINARY) == b"1234567890"

    def test_limits_hold_for_the_whole_message(self, role: Role) -> None:
        end = dividing(role, 10, max_message_size=50)
        assert failure_in(end.take(end.header(BINARY, 51))).close_code == CloseCode.MESSAGE_TOO_BIG
        end = dividing(role, 10, max_message_size=50)
        first, second = end.fragments(BINARY, b"x" * 30, b"x" * 21)
        assert check_data([*end.take_octets(first), Data(CONT, b"", True)], BINARY) == b"x" * 30
        assert failure_in(end.take(second)).close_code == CloseCode.MESSAGE_TOO_BIG

    def test_parts_do_not_count_as_fragments(self, role: Role) -> None:
        end = dividing(role, 1, max_fragments=2)
        assert check_data(end.take_octets(end.frame(BINARY, b"x" * 50)), BINARY) == b"x" * 50

    def test_a_message_is_never_whole_in_memory(self, role: Role) -> None:
        size = 32 << 20
        end = dividing(role, 65536, max_message_size=size)
        end.take(end.header(BINARY, size))
        piece = bytes(65536)
        came = 0
        tracemalloc.start()
        try:
            for _ in range(size // len(piece)):
                for event in end.session.receive(piece):
                    assert isinstance(event, Data)
                    came += len(event.payload)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert came == size
        assert peak < 2 << 20

    def test_a_part_is_unmasked_with_the_right_octets_of_the_key(self) -> None:
        """Parts need not be multiples of four octets."""
        payload = random.Random(1).randbytes(1000)
        for size in (1, 3, 5, 7):
            end = dividing(Role.SERVER, size)
            assert check_data(end.take_octets(end.frame(BINARY, payload)), BINARY) == payload

    @given(
        payload=st.binary(max_size=200),
        size=st.integers(1, 64),
        cuts=st.lists(st.integers(0, 1 << 16), max_size=3),
        pieces=st.lists(st.integers(0, 1 << 16), max_size=10),
        role=st.sampled_from(Role),
    )
    def test_any_cuts(
        self, payload: bytes, size: int, cuts: list[int], pieces: list[int], role: Role
    ) -> None:
        end = dividing(role, size)
        frames = end.fragments(BINARY, *cut(payload, cuts))
        stream = b"".join([*frames, end.frame(TEXT, b"")])
        *events, last = receive_pieces(end.session, cut(stream, pieces))
        assert last == ""
        assert check_data(events, BINARY) == payload


def check_data(events: list[Event], opcode: int) -> str | bytes:
    """Check that these are the parts of one message; return it."""
    if len(events) == 1 and isinstance(events[0], (str, bytes)):
        return events[0]
    data = [event for event in events if isinstance(event, Data)]
    assert len(data) == len(events), events
    assert [event.opcode for event in data] == [opcode] + [CONT] * (len(data) - 1)
    assert [event.fin for event in data] == [False] * (len(data) - 1) + [True]
    if opcode == TEXT:
        return "".join(event.payload for event in data if isinstance(event.payload, str))
    return b"".join(event.payload for event in data if isinstance(event.payload, bytes))


def test_the_octets_of_a_pair() -> None:
    """What one session sends in fragments, another one gets in parts."""
    client = WebSocketSession(Role.CLIENT)
    server = WebSocketSession(Role.SERVER, fragments=True, fragment_size=7)
    client.opened()
    server.opened()
    for part in ("one " * 10, "", "two " * 10):
        client.send_fragment(part, fin=False)
    client.end_fragments()
    events = receive_pieces(server, octets(b"".join(client.output)))
    assert check_data(events, TEXT) == "one " * 10 + "two " * 10
