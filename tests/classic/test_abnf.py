"""ABNF, frame_buffer and continuous_frame.

A test with the fixture ``library`` runs on websocket-client as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reactor
from reactor import (
    ABNF,
    WebSocketConnectionClosedException,
    WebSocketMessageTooBigException,
    WebSocketPayloadException,
    WebSocketProtocolException,
    WebSocketTimeoutException,
    continuous_frame,
    frame_buffer,
)
from reactor.classic.frame import VALID_CLOSE_STATUS
from reactor.protocols.deflate import Agreement, Compression, Deflate
from reactor.protocols.http.negotiation import check_answer
from reactor.protocols.messages import MessageLimits

from ..support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    build_frame,
    build_header,
    close_payload,
    mask_naively,
    read_frames,
)


class Source:
    """A function for ``frame_buffer``: gives these pieces, each at most as far as it is asked for.

    An exception among the pieces is raised. Attributes: asked (the numbers of bytes).
    """

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = list(pieces)
        self.asked: list[int] = []

    def __call__(self, bufsize: int) -> bytes:
        self.asked.append(bufsize)
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        if len(piece) > bufsize:
            self._pieces.insert(0, piece[bufsize:])
        return piece[:bufsize]

    @property
    def rest(self) -> bytes:
        return b"".join(piece for piece in self._pieces if isinstance(piece, bytes))


def reader(*pieces: bytes | Exception, **options: Any) -> frame_buffer:
    return frame_buffer(Source(*pieces), options.pop("skip", False), **options)


# -- constants ----------------------------------------------------------------------------------

STATUSES = {
    "STATUS_NORMAL": 1000,
    "STATUS_GOING_AWAY": 1001,
    "STATUS_PROTOCOL_ERROR": 1002,
    "STATUS_UNSUPPORTED_DATA_TYPE": 1003,
    "STATUS_STATUS_NOT_AVAILABLE": 1005,
    "STATUS_ABNORMAL_CLOSED": 1006,
    "STATUS_INVALID_PAYLOAD": 1007,
    "STATUS_POLICY_VIOLATION": 1008,
    "STATUS_MESSAGE_TOO_BIG": 1009,
    "STATUS_INVALID_EXTENSION": 1010,
    "STATUS_UNEXPECTED_CONDITION": 1011,
    "STATUS_SERVICE_RESTART": 1012,
    "STATUS_TRY_AGAIN_LATER": 1013,
    "STATUS_BAD_GATEWAY": 1014,
    "STATUS_TLS_HANDSHAKE_ERROR": 1015,
}


@pytest.mark.parametrize(("name", "code"), STATUSES.items())
def test_the_close_codes_have_names(library: Any, name: str, code: int) -> None:
    assert getattr(library, name) == code
    assert name in dir(library)


def test_the_names_of_this_package_include_the_close_codes() -> None:
    assert set(STATUSES) <= set(reactor.classic.__all__)


def test_codes_that_are_only_for_programs_are_not_valid_on_the_wire() -> None:
    assert set(STATUSES.values()) - set(VALID_CLOSE_STATUS) == {1005, 1006, 1015}


def test_the_opcodes(library: Any) -> None:
    abnf = library.ABNF
    assert abnf.OPCODES == (0, 1, 2, 8, 9, 10)
    assert [abnf.OPCODE_CONT, abnf.OPCODE_TEXT, abnf.OPCODE_BINARY] == [0, 1, 2]
    assert [abnf.OPCODE_CLOSE, abnf.OPCODE_PING, abnf.OPCODE_PONG] == [8, 9, 10]
    names = {0: "cont", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
    assert names == abnf.OPCODE_MAP
    assert (abnf.LENGTH_7, abnf.LENGTH_16, abnf.LENGTH_63) == (126, 65536, 2**63)


# -- frames -------------------------------------------------------------------------------------


def test_a_frame_has_what_it_was_made_of(library: Any) -> None:
    frame = library.ABNF(1, 0, 1, 0, 9, 0, b"data")
    assert (frame.fin, frame.rsv1, frame.rsv2, frame.rsv3) == (1, 0, 1, 0)
    assert (frame.opcode, frame.mask_value, frame.data) == (9, 0, b"data")
    assert len(frame.get_mask_key(4)) == 4


def test_the_default_frame_is_an_empty_masked_fragment_of_text(library: Any) -> None:
    frame = library.ABNF()
    assert (frame.fin, frame.opcode, frame.mask_value, frame.data) == (0, 1, 1, "")
    assert library.ABNF(data=None).data == ""


@pytest.mark.parametrize(
    ("data", "shown"),
    [(b"Hello", "fin=1 opcode=1 data=b'Hello'"), ("Hello", "fin=1 opcode=1 data=Hello")],
)
def test_a_frame_as_text_is_what_the_trace_shows(library: Any, data: Any, shown: str) -> None:
    assert str(library.ABNF(fin=1, opcode=1, data=data)) == shown


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("mask", [0, 1])
@pytest.mark.parametrize("fin", [0, 1])
def test_a_formatted_frame_is_that_of_the_standard(
    library: Any, length: int, mask: int, fin: int
) -> None:
    data = bytes(range(256)) * (length // 256 + 1)
    frame = library.ABNF(fin, 0, 0, 0, BINARY, mask, data[:length])
    frame.get_mask_key = lambda size: KEY[:size]
    expected = build_frame(BINARY, data[:length], fin=bool(fin), key=KEY if mask else None)
    assert frame.format() == expected


def test_reserved_bits_go_out(library: Any) -> None:
    frame = library.ABNF(1, 1, 0, 1, TEXT, 0, b"x")
    assert read_frames(frame.format())[0].rsv == 0b101


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"fin": 2}, "not 0 or 1"),
        ({"rsv3": 2}, "not 0 or 1"),
        ({"opcode": 3}, "Invalid OPCODE"),
        ({"opcode": 77}, "Invalid OPCODE"),
    ],
)
def test_what_cannot_be_formatted_is_named(library: Any, frame: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        library.ABNF(**frame).format()


@pytest.mark.parametrize("data", [3, {"a": 1}, ["a"], 1.5])
def test_data_must_be_text_or_bytes(data: Any) -> None:
    with pytest.raises(TypeError, match=f"str or bytes, not {type(data).__name__}"):
        ABNF.create_frame(data, BINARY).format()


@pytest.mark.parametrize("data", [b"abc", bytearray(b"abc"), memoryview(b"abc")])
def test_any_kind_of_bytes_can_be_sent(library: Any, data: Any) -> None:
    raw = library.ABNF.create_frame(data, BINARY).format()
    assert read_frames(raw)[0].payload == b"abc"


def test_created_frames_are_final_and_masked_with_a_new_key_each(library: Any) -> None:
    frame = library.ABNF.create_frame("Grüße", TEXT)
    assert (frame.fin, frame.mask_value, frame.data) == (1, 1, "Grüße".encode())
    first, second = (read_frames(frame.format())[0] for _ in range(2))
    assert first.payload == second.payload == "Grüße".encode()
    assert first.mask != second.mask
    assert library.ABNF.create_frame("a", TEXT, 0).fin == 0


@pytest.mark.parametrize("opcode", [BINARY, CONT, PING])
def test_text_is_sent_as_utf_8_whatever_the_opcode(opcode: int) -> None:
    frame = read_frames(ABNF.create_frame("Ω", opcode).format())[0]
    assert frame.payload == "Ω".encode()
    assert read_frames(ABNF(1, opcode=opcode, data="Ω").format())[0].payload == "Ω".encode()


@pytest.mark.parametrize("key", ["abcd", b"abcd", "\x00\x00\x00\x00"])
def test_masking_keys_are_text_or_bytes(library: Any, key: Any) -> None:
    frame = library.ABNF.create_frame("Hello", TEXT)
    frame.get_mask_key = lambda _size: key
    octets = key.encode() if isinstance(key, str) else key
    assert frame.format() == build_frame(TEXT, b"Hello", key=octets)


def test_masking_keys_of_text_are_octets() -> None:
    frame = ABNF.create_frame("Hello", TEXT)
    frame.get_mask_key = lambda _size: "\xff\x80\xe4\x00"
    assert frame.format() == build_frame(TEXT, b"Hello", key=b"\xff\x80\xe4\x00")


@pytest.mark.parametrize("key", ["abc", b"abcde", ""])
def test_a_masking_key_of_another_length_is_refused(key: Any) -> None:
    frame = ABNF.create_frame("Hello", TEXT)
    frame.get_mask_key = lambda _size: key
    with pytest.raises(ValueError, match="a masking key is four bytes"):
        frame.format()


@pytest.mark.parametrize("data", [b"", b"abc", b"abcdefghi", bytearray(b"abcd"), None])
def test_mask_is_its_own_inverse(library: Any, data: Any) -> None:
    masked = library.ABNF.mask("abcd", data)
    assert masked == mask_naively(data or b"", b"abcd")
    assert library.ABNF.mask(b"abcd", masked) == (data or b"")


# -- validation ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"rsv1": 1}, "rsv is not implemented, yet"),
        ({"rsv2": 1}, "rsv is not implemented, yet"),
        ({"rsv3": 1}, "rsv is not implemented, yet"),
        ({"opcode": 3}, "Invalid opcode 3"),
        ({"opcode": 77}, "Invalid opcode 77"),
        ({"opcode": PING, "fin": 0}, "Invalid ping frame."),
        ({"opcode": CLOSE, "data": b"\x03"}, "Invalid close frame."),
        ({"opcode": CLOSE, "data": bytes(126)}, "Invalid close frame."),
        ({"opcode": CLOSE, "data": b"\x03\xe8\xff"}, "Invalid close frame."),
        ({"opcode": CLOSE, "data": b"\x03\xe7"}, "Invalid close opcode 999"),
        ({"opcode": CLOSE, "data": close_payload(1005)}, "Invalid close opcode 1005"),
        ({"opcode": CLOSE, "data": close_payload(2999)}, "Invalid close opcode 2999"),
        ({"opcode": CLOSE, "data": close_payload(5000)}, "Invalid close opcode 5000"),
    ],
)
def test_what_nobody_may_send_is_refused(library: Any, frame: Any, message: str) -> None:
    with pytest.raises(library.WebSocketProtocolException) as caught:
        library.ABNF(**{"fin": 1, **frame}).validate()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"opcode": PONG, "fin": 0}, "Invalid pong frame."),
        ({"opcode": CLOSE, "fin": 0}, "Invalid close frame."),
        ({"opcode": PING, "data": bytes(126)}, "Ping message is too long"),
        ({"opcode": PONG, "data": bytes(126)}, "Pong message is too long"),
    ],
)
def test_what_websocket_client_lets_through_is_refused(frame: Any, message: str) -> None:
    with pytest.raises(WebSocketProtocolException) as caught:
        ABNF(**{"fin": 1, **frame}).validate()
    assert str(caught.value) == message


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_a_good_close_frame_is_valid(library: Any, code: int) -> None:
    library.ABNF(1, opcode=CLOSE, data=close_payload(code, "tschüß".encode())).validate()
    library.ABNF(1, opcode=CLOSE, data=b"").validate()


def test_the_reason_is_not_looked_at_on_request(library: Any) -> None:
    frame = library.ABNF(1, opcode=CLOSE, data=b"\x03\xe8\xff")
    frame.validate(skip_utf8_validation=True)


def test_a_reason_that_is_not_utf_8_has_its_own_close_code() -> None:
    with pytest.raises(WebSocketProtocolException) as caught:
        ABNF(1, opcode=CLOSE, data=b"\x03\xe8\xff").validate()
    assert caught.value.close_code == 1007


# -- reading frames -----------------------------------------------------------------------------


def feed(library: Any, *pieces: bytes) -> Any:
    return library.frame_buffer(Source(*pieces), False)


def test_a_frame_is_read(library: Any) -> None:
    frame = feed(library, build_frame(TEXT, b"Hello")).recv_frame()
    assert (frame.fin, frame.rsv1, frame.rsv2, frame.rsv3) == (1, 0, 0, 0)
    assert (frame.opcode, frame.mask_value, frame.data) == (TEXT, 0, b"Hello")


def test_a_masked_frame_is_unmasked(library: Any) -> None:
    frame = feed(library, build_frame(BINARY, b"Hello", key=KEY)).recv_frame()
    assert (frame.mask_value, frame.data) == (1, b"Hello")


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536, 200_000])
@pytest.mark.parametrize("key", [None, KEY])
def test_frames_of_every_length_are_read(library: Any, length: int, key: bytes | None) -> None:
    data = bytes(range(256)) * (length // 256 + 1)
    raw = build_frame(BINARY, data[:length], key=key)
    buffer = feed(library, raw + build_frame(TEXT, b"next"))
    assert buffer.recv_frame().data == data[:length]
    assert buffer.recv_frame().data == b"next"


def test_no_byte_behind_a_frame_is_read(library: Any) -> None:
    source = Source(build_frame(TEXT, b"Hello") + b"behind")
    library.frame_buffer(source, False).recv_frame()
    assert source.rest == b"behind"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([TEXT, BINARY, PING, PONG, CONT]),
            st.text(max_size=31).map(str.encode),
            st.booleans(),
        ),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.integers(1, 20), min_size=1, max_size=30),
)
def test_however_the_bytes_are_cut_the_frames_are_the_same(
    frames: list[tuple[int, bytes, bool]], sizes: list[int]
) -> None:
    raw = b"".join(build_frame(op, data, key=KEY if mask else None) for op, data, mask in frames)
    pieces, pos = [], 0
    while pos < len(raw):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(raw[pos : pos + size])
        pos += size
    buffer = reader(*pieces)
    for opcode, data, masked in frames:
        frame = buffer.recv_frame()
        assert (frame.opcode, frame.data, frame.mask_value) == (opcode, data, int(masked))


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_time_out_anywhere_in_a_frame_loses_nothing(library: Any, cut: int) -> None:
    raw = build_frame(TEXT, b"x" * 130, key=KEY)
    source = Source(raw[:cut], library.WebSocketTimeoutException("late"), raw[cut:])
    buffer = library.frame_buffer(source, False)
    with pytest.raises(library.WebSocketTimeoutException, match="late"):
        buffer.recv_frame()
    assert buffer.recv_frame().data == b"x" * 130


def test_many_time_outs_within_a_payload_lose_nothing() -> None:
    raw = build_frame(TEXT, "Grüße aus Köln".encode())
    late = WebSocketTimeoutException("late")
    buffer = reader(*(piece for octet in raw for piece in (late, bytes([octet]))))
    for _ in raw:
        with pytest.raises(WebSocketTimeoutException):
            buffer.recv_frame()
    assert buffer.recv_frame().data == "Grüße aus Köln".encode()


@pytest.mark.parametrize("length", [5, 130, 70_000])
def test_a_time_out_anywhere_in_a_message_loses_nothing(library: Any, length: int) -> None:
    data = b"x" * length
    raw = build_frame(TEXT, data)
    late = library.WebSocketTimeoutException("late")
    for cut in range(min(len(raw), 15)):
        begun = [raw[:cut]] if cut else []
        source = Source(*begun, late, raw[cut:], build_frame(TEXT, b"next") + b"behind")
        buffer = library.frame_buffer(source, False)
        with pytest.raises(library.WebSocketTimeoutException, match="late"):
            buffer.recv_frame()
        assert [buffer.recv_frame().data for _ in range(2)] == [data, b"next"]
        assert source.rest == b"behind"


def test_a_message_takes_no_more_reads_than_it_must(library: Any) -> None:
    for length, asked in [(5, [2, 5]), (125, [2, 125]), (126, [2, 2, 126]), (150, [2, 2, 150])]:
        source = Source(build_frame(BINARY, bytes(length)))
        library.frame_buffer(source, False).recv_frame()
        assert source.asked == asked


def test_an_interrupted_message_is_known_as_far_as_it_has_come() -> None:
    raw = build_frame(TEXT, b"x" * 130)
    late = WebSocketTimeoutException("late")
    buffer = reader(raw[:2], late, raw[2:4], late, raw[4:10], late, raw[10:])
    for length, mask in [(None, None), (130, ""), (130, "")]:
        with pytest.raises(WebSocketTimeoutException):
            buffer.recv_frame()
        assert buffer.header == (1, 0, 0, 0, TEXT, 0, 126)
        assert (buffer.length, buffer.mask_value) == (length, mask)
    assert buffer.recv_frame().data == b"x" * 130
    assert (buffer.header, buffer.length, buffer.mask_value) == (None, None, None)


@pytest.mark.parametrize("cut", [1, 2, 4, 50, 133, 134, 135, 137])
def test_what_was_read_before_belongs_to_the_first_frames(cut: int) -> None:
    """As bytes that came with the answer to the handshake do."""
    raw = build_frame(TEXT, b"x" * 130) + build_frame(BINARY, b"next")
    source = Source(raw[cut:])
    buffer = frame_buffer(source, False)
    buffer.recv_buffer = [raw[: cut // 2], raw[cut // 2 : cut]]
    assert [buffer.recv_frame().data for _ in range(2)] == [b"x" * 130, b"next"]
    assert buffer.recv_buffer == []


def test_wrong_text_is_found_in_what_came_at_once_and_in_what_was_read_before() -> None:
    raw = build_frame(TEXT, b"ab\xff")
    at_once, before = reader(raw), reader()
    before.recv_buffer = [raw]
    for buffer in (at_once, before):
        with pytest.raises(WebSocketPayloadException) as caught:
            buffer.recv_frame()
        assert str(caught.value) == "cannot decode: b'ab\\xff'"


def test_a_source_that_gives_no_bytes_has_ended() -> None:
    for pieces in ([None], [b"\x81\x05", None], [b"\x81\x7e", None], [b"\x81\x05", b"ab", None]):
        answers: list[Any] = list(pieces)
        buffer = frame_buffer(lambda _size, answers=answers: answers.pop(0), False)  # type: ignore[misc]
        with pytest.raises(WebSocketConnectionClosedException, match="remote host was lost"):
            buffer.recv_frame()


def test_a_source_may_give_more_than_it_was_asked_for() -> None:
    raw = build_frame(TEXT, b"Hello") + build_frame(TEXT, b"world")
    buffer = frame_buffer(lambda _size: raw, False)
    assert [buffer.recv_frame().data for _ in range(4)] == [b"Hello", b"world"] * 2


def test_the_parts_of_reading_can_be_overridden(library: Any) -> None:
    calls: list[str] = []

    class Watching(library.frame_buffer):  # type: ignore[misc]
        def recv_header(self) -> None:
            calls.append("header")
            super().recv_header()

        def recv_length(self) -> None:
            calls.append("length")
            super().recv_length()

        def recv_mask(self) -> None:
            calls.append("mask")
            super().recv_mask()

        def recv_strict(self, bufsize: int) -> bytes:
            calls.append(f"strict {bufsize}")
            return super().recv_strict(bufsize)  # type: ignore[no-any-return]

    buffer = Watching(Source(build_frame(TEXT, b"x" * 130)), False)
    assert buffer.recv_frame().data == b"x" * 130
    assert calls[:5] == ["header", "strict 2", "length", "strict 2", "mask"]


def test_what_is_known_of_a_frame_can_be_asked(library: Any) -> None:
    raw = build_frame(TEXT, b"x" * 130, key=KEY)
    late = library.WebSocketTimeoutException
    buffer = library.frame_buffer(
        Source(raw[:2], late(), raw[2:4], late(), raw[4:8], late()), False
    )
    assert buffer.needs_header()
    assert not buffer.has_mask()
    expected = [(True, True), (False, True), (False, False)]
    for needs_length, needs_mask in expected:
        with pytest.raises(late):
            buffer.recv_frame()
        assert buffer.header == (1, 0, 0, 0, TEXT, 1, 126)
        assert buffer.has_mask()
        assert (buffer.needs_length(), buffer.needs_mask()) == (needs_length, needs_mask)
    assert (buffer.length, buffer.mask_value) == (130, KEY)
    buffer.clear()
    assert (buffer.header, buffer.length, buffer.mask_value) == (None, None, None)


def test_recv_strict_keeps_what_is_too_much(library: Any) -> None:
    buffer = library.frame_buffer(lambda _size: b"abcdef", True)
    assert buffer.recv_strict(4) == b"abcd"
    assert buffer.recv_buffer == [b"ef"]
    assert buffer.recv_strict(2) == b"ef"
    assert buffer.recv_buffer == []


def test_recv_strict_puts_what_was_left_before_what_comes() -> None:
    buffer = frame_buffer(lambda _size: b"bc", True)
    buffer.recv_buffer = [b"a"]
    assert buffer.recv_strict(2) == b"ab"
    assert buffer.recv_buffer == [b"c"]


def test_recv_strict_stops_where_there_are_no_bytes(library: Any) -> None:
    answers = [b"ab", None, b"cd"]
    buffer = library.frame_buffer(lambda _size: answers.pop(0), True)
    assert buffer.recv_strict(4) == b"ab"
    assert buffer.recv_strict(2) == b"cd"


def test_recv_strict_wants_a_number(library: Any) -> None:
    with pytest.raises(ValueError, match="bufsize must be an integer"):
        feed(library).recv_strict("2")


def test_the_parts_of_a_frame_come_in_order(library: Any) -> None:
    with pytest.raises(library.WebSocketProtocolException, match=r"^Header not received$"):
        feed(library).recv_length()


@pytest.mark.parametrize("cut", range(8))
def test_an_end_within_a_frame_is_the_end_of_the_connection(cut: int) -> None:
    buffer = reader(build_frame(TEXT, b"Hello", key=KEY)[:cut])
    with pytest.raises(WebSocketConnectionClosedException) as caught:
        buffer.recv_frame()
    assert str(caught.value) == "Connection to remote host was lost."


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (build_frame(TEXT, b"x", rsv=4), "rsv is not implemented, yet"),
        (build_frame(3, b"x"), "Invalid opcode 3"),
        (build_frame(11, b"x"), "Invalid opcode 11"),
        (build_frame(PING, b"x", fin=False), "Invalid ping frame."),
        (build_frame(CLOSE, b"x"), "Invalid close frame."),
        (build_frame(CLOSE, close_payload(999)), "Invalid close opcode 999"),
        (build_frame(CLOSE, b"\x03\xe8\xff"), "Invalid close frame."),
    ],
)
def test_a_frame_that_nobody_may_send_is_refused(library: Any, raw: bytes, message: str) -> None:
    with pytest.raises(library.WebSocketProtocolException) as caught:
        feed(library, raw).recv_frame()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (build_header(TEXT, 10**9, rsv=1), "rsv is not implemented, yet"),
        (build_header(5, 10**9), "Invalid opcode 5"),
        (build_header(PING, 126), "Ping message is too long"),
        (build_header(PONG, 126), "Pong message is too long"),
        (build_header(CLOSE, 126), "Invalid close frame."),
        (build_header(PONG, 1, fin=False), "Invalid pong frame."),
        (build_header(CLOSE, 2, fin=False), "Invalid close frame."),
        (build_header(TEXT, 5, length_bits=16), "Illegal frame: the length is not in its shortest"),
        (build_header(TEXT, 5, length_bits=64), "Illegal frame: the length is not in its shortest"),
        (build_header(TEXT, 2**63), "Illegal frame: the length is not in its shortest"),
    ],
)
def test_a_wrong_header_is_refused_before_the_payload_comes(header: bytes, message: str) -> None:
    buffer = reader(header, AssertionError("the payload is waited for"))
    buffer.lenient = False
    with pytest.raises(WebSocketProtocolException) as caught:
        buffer.recv_frame()
    assert str(caught.value).startswith(message)


def test_a_masked_frame_is_refused_on_request() -> None:
    buffer = reader(build_frame(TEXT, b"x", key=KEY))
    buffer.lenient = False
    with pytest.raises(WebSocketProtocolException, match="Illegal frame: it must not be masked"):
        buffer.recv_frame()


@pytest.mark.parametrize("bits", [16, 64])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING])
def test_a_length_may_be_longer_than_it_must_be(library: Any, bits: int, opcode: int) -> None:
    frame = feed(library, build_frame(opcode, b"hello", length_bits=bits)).recv_frame()
    assert (frame.opcode, frame.data) == (opcode, b"hello")


def test_a_message_that_is_too_big_is_refused_before_it_comes() -> None:
    limits = MessageLimits(max_message_size=100)
    buffer = reader(build_header(TEXT, 101), AssertionError("waited for"), limits=limits)
    with pytest.raises(WebSocketMessageTooBigException, match="max_message_size=100"):
        buffer.recv_frame()
    assert reader(build_frame(TEXT, bytes(100)), limits=limits).recv_frame().data == bytes(100)


def test_fragments_count_together() -> None:
    limits = MessageLimits(max_message_size=100)
    buffer = reader(
        build_frame(BINARY, bytes(60), fin=False), build_header(CONT, 60), limits=limits
    )
    buffer.recv_frame()
    with pytest.raises(WebSocketMessageTooBigException, match="120 bytes"):
        buffer.recv_frame()


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (MessageLimits(max_fragments=0), "max_fragments=0"),
        (MessageLimits(max_message_size=0), "max_message_size=0"),
    ],
)
def test_a_limit_of_nothing_lets_nothing_pass(limits: MessageLimits, message: str) -> None:
    with pytest.raises(WebSocketMessageTooBigException, match=message):
        reader(build_frame(TEXT, b"x"), limits=limits).recv_frame()


def test_a_message_between_fragments_is_left_to_continuous_frame() -> None:
    limits = MessageLimits(max_message_size=4)
    buffer = reader(
        build_frame(TEXT, b"a\xc3", fin=False),
        build_frame(TEXT, b"\xff"),
        build_frame(CONT, b"\xbc"),
        build_frame(TEXT, b"next"),
        limits=limits,
    )
    assert [buffer.recv_frame().data for _ in range(4)] == [b"a\xc3", b"\xff", b"\xbc", b"next"]


def test_a_message_has_so_many_fragments_and_no_more() -> None:
    limits = MessageLimits(max_fragments=2)
    part = build_frame(CONT, b"x", fin=False)
    buffer = reader(build_frame(BINARY, b"x", fin=False), part, part, limits=limits)
    buffer.recv_frame()
    buffer.recv_frame()
    with pytest.raises(WebSocketMessageTooBigException, match="max_fragments=2"):
        buffer.recv_frame()


BAD_TEXTS = [b"\xff", b"a\xc3(", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\xaf"]


@pytest.mark.parametrize("bad", BAD_TEXTS)
def test_wrong_text_is_found_before_the_rest_of_its_frame_comes(bad: bytes) -> None:
    waited = AssertionError("the rest is waited for")
    buffer = reader(build_header(TEXT, 1000), b"fine so far ", bad, waited)
    with pytest.raises(WebSocketPayloadException) as caught:
        buffer.recv_frame()
    assert str(caught.value) == f"cannot decode: {b'fine so far ' + bad!r}"


def test_wrong_text_is_found_in_a_later_fragment() -> None:
    buffer = reader(
        build_frame(TEXT, b"fine\xe2\x82", fin=False),
        build_frame(CONT, b"\xac", fin=False),
        build_header(CONT, 100),
        b"\x80",
        AssertionError("the rest is waited for"),
    )
    assert buffer.recv_frame().data == b"fine\xe2\x82"
    assert buffer.recv_frame().data == b"\xac"
    with pytest.raises(WebSocketPayloadException, match=r"cannot decode: b'\\x80'"):
        buffer.recv_frame()


def test_text_that_ends_within_a_character_is_wrong() -> None:
    with pytest.raises(WebSocketPayloadException, match="cannot decode"):
        reader(build_frame(TEXT, b"abc\xe2\x82")).recv_frame()
    buffer = reader(build_frame(TEXT, b"abc\xe2\x82", fin=False), build_frame(CONT, b""))
    buffer.recv_frame()
    with pytest.raises(WebSocketPayloadException, match="cannot decode"):
        buffer.recv_frame()


def test_the_message_of_an_error_shows_only_so_much_of_the_text() -> None:
    with pytest.raises(WebSocketPayloadException) as caught:
        reader(build_frame(TEXT, b"a" * 5000 + b"\xff")).recv_frame()
    assert len(str(caught.value)) < 200
    assert "5001 bytes" in str(caught.value)


def test_text_is_not_looked_at_on_request(library: Any) -> None:
    buffer = library.frame_buffer(Source(build_frame(TEXT, b"\xff")), True)
    assert buffer.recv_frame().data == b"\xff"


def test_binary_is_not_taken_for_text() -> None:
    buffer = reader(
        build_frame(BINARY, b"\xff", fin=False), build_frame(CONT, b"\xff"), build_frame(TEXT, b"a")
    )
    assert [buffer.recv_frame().data for _ in range(3)] == [b"\xff", b"\xff", b"a"]


def test_a_reset_forgets_an_unfinished_message() -> None:
    source = Source(build_frame(TEXT, b"abc\xe2", fin=False), build_frame(TEXT, b"new") + b"rest")
    buffer = frame_buffer(source, False)
    buffer.recv_frame()
    buffer.recv_buffer = [b"left over"]
    buffer.reset()
    assert buffer.recv_frame().data == b"new"


# -- making messages ----------------------------------------------------------------------------


def collect(assembler: Any, frames: Iterable[Any]) -> list[tuple[int, bytes]]:
    messages = []
    for frame in frames:
        assembler.validate(frame)
        assembler.add(frame)
        if assembler.is_fire(frame):
            opcode, whole = assembler.extract(frame)
            assert whole is frame
            messages.append((opcode, whole.data))
    return messages


def frames(library: Any, *parts: tuple[int, bytes, int]) -> list[Any]:
    return [library.ABNF(fin=fin, opcode=opcode, data=data) for opcode, data, fin in parts]


def test_fragments_become_messages(library: Any) -> None:
    parts = frames(
        library,
        (TEXT, b"gr\xc3", 0),
        (CONT, b"\xbc", 0),
        (CONT, b"n", 1),
        (BINARY, b"\xff", 1),
        (BINARY, b"", 0),
        (CONT, b"", 1),
    )
    messages = collect(library.continuous_frame(False, False), parts)
    assert messages == [(TEXT, "grün".encode()), (BINARY, b"\xff"), (BINARY, b"")]


def test_fragments_are_messages_by_themselves_on_request(library: Any) -> None:
    parts = frames(library, (TEXT, b"gr\xc3", 0), (CONT, b"\xbc", 0), (CONT, b"n", 1))
    assembler = library.continuous_frame(True, False)
    assert assembler.fire_cont_frame is True
    assert collect(assembler, parts) == [(TEXT, b"gr\xc3"), (CONT, b"\xbc"), (CONT, b"n")]


def test_what_is_there_of_a_message_can_be_asked(library: Any) -> None:
    assembler = library.continuous_frame(False, False)
    assert (assembler.cont_data, assembler.recving_frames) == (None, None)
    collect(assembler, frames(library, (TEXT, b"a", 0), (CONT, b"b", 0)))
    assert assembler.cont_data == [TEXT, b"ab"]
    assert assembler.recving_frames == TEXT
    collect(assembler, frames(library, (CONT, b"c", 1)))
    assert (assembler.cont_data, assembler.recving_frames) == (None, None)


@pytest.mark.parametrize(
    "parts",
    [
        [(CONT, b"x", 1)],
        [(TEXT, b"x", 0), (TEXT, b"y", 1)],
        [(TEXT, b"x", 0), (BINARY, b"y", 1)],
        [(TEXT, b"x", 1), (CONT, b"y", 1)],
    ],
)
@pytest.mark.parametrize("fire", [False, True])
def test_fragments_out_of_order_are_refused(library: Any, parts: Any, fire: bool) -> None:
    assembler = library.continuous_frame(fire, False)
    with pytest.raises(library.WebSocketProtocolException, match=r"^Illegal frame$"):
        collect(assembler, frames(library, *parts))


@pytest.mark.parametrize("bad", BAD_TEXTS)
def test_a_text_message_must_be_utf_8(library: Any, bad: bytes) -> None:
    parts = frames(library, (TEXT, b"ok", 0), (CONT, bad, 1))
    with pytest.raises(library.WebSocketPayloadException) as caught:
        collect(library.continuous_frame(False, False), parts)
    assert str(caught.value) == f"cannot decode: {b'ok' + bad!r}"
    parts = frames(library, (TEXT, b"ok", 0), (CONT, bad, 1))
    assert collect(library.continuous_frame(False, True), parts) == [(TEXT, b"ok" + bad)]


def test_there_must_be_something_to_extract(library: Any) -> None:
    assembler = library.continuous_frame(False, False)
    with pytest.raises(library.WebSocketProtocolException, match="No continuation data available"):
        assembler.extract(library.ABNF())


def test_fragments_are_appended_and_not_copied_together_again_and_again() -> None:
    assembler = continuous_frame(False, False)
    parts = frames(reactor, (BINARY, b"a", 0), (CONT, b"b", 0))
    collect(assembler, parts)
    assert assembler.cont_data is not None
    growing = assembler.cont_data[1]
    collect(assembler, frames(reactor, (CONT, b"c", 0)))
    assert assembler.cont_data[1] is growing
    assert collect(assembler, frames(reactor, (CONT, b"d", 1))) == [(BINARY, b"abcd")]


def test_a_masking_key_and_what_is_masked_with_it(library: Any) -> None:
    frame = library.ABNF(opcode=library.ABNF.OPCODE_TEXT, data="ab")
    assert frame._get_masked(b"\x01\x02\x03\x04") == b"\x01\x02\x03\x04\x60\x60"


def test_recv_strict_asks_for_no_more_than_a_record_of_tls(library: Any) -> None:
    asked: list[int] = []

    def recv(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    assert library.frame_buffer(recv, True).recv_strict(40_000) == bytes(40_000)
    assert max(asked) <= 16384


# -- permessage-deflate -------------------------------------------------------------------------

LONG = b"again and " * 1000


def agreed() -> Agreement:
    agreement = check_answer(Deflate(), ["permessage-deflate"])
    assert agreement is not None
    return agreement


def inflating(*frames: bytes, **options: Any) -> frame_buffer:
    return reader(*frames, compression=Compression(agreed()), **options)


def compressed(data: bytes) -> bytes:
    return Compression(agreed()).compress(data)


def test_a_compressed_frame_is_read_inflated_and_without_its_bit() -> None:
    buffer = inflating(build_frame(TEXT, compressed(LONG), rsv=4), build_frame(TEXT, b"plain"))
    frames = [buffer.recv_frame(), buffer.recv_frame()]
    assert [(frame.data, frame.rsv1) for frame in frames] == [(LONG, 0), (b"plain", 0)]


def test_a_frame_that_inflates_to_much_is_inflated_bit_by_bit() -> None:
    huge = bytes(3 << 20)
    assert inflating(build_frame(BINARY, compressed(huge), rsv=4)).recv_frame().data == huge


def test_the_limit_is_for_what_is_inflated() -> None:
    limits = MessageLimits(max_message_size=9_999)
    buffer = inflating(build_frame(BINARY, compressed(LONG), rsv=4), limits=limits)
    with pytest.raises(WebSocketMessageTooBigException, match="max_message_size=9999"):
        buffer.recv_frame()


def test_compressed_text_that_is_not_utf_8_is_found() -> None:
    buffer = inflating(build_frame(TEXT, compressed(b"wrong: \xff"), rsv=4))
    with pytest.raises(WebSocketPayloadException):
        buffer.recv_frame()


def test_what_cannot_be_inflated_is_found() -> None:
    buffer = inflating(build_frame(TEXT, b"\xff\xff\xff", rsv=4))
    with pytest.raises((WebSocketPayloadException, WebSocketProtocolException)):
        buffer.recv_frame()
