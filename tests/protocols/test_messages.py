"""Messages out of frames: RFC 6455 sections 5.4 (fragments), 5.6 and 8.1 (UTF-8), 10.4 (limits)."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.exceptions import (
    WebSocketMessageTooBigException,
    WebSocketPayloadException,
    WebSocketProtocolException,
)
from reactor.protocols import messages
from reactor.protocols.frames import OP_BINARY, OP_CONT, OP_TEXT
from reactor.protocols.messages import (
    MessageAssembler,
    MessageLimits,
    bytes_per_character,
    check_decoded_size,
    decode_text,
    decoded_size,
)

#: Well-formed, at the edges of what UTF-8 can say; noncharacters are allowed in text.
GOOD = {
    "empty": "",
    "first of one octet": "\0",
    "last of one octet": "\x7f",
    "first of two octets": "\x80",
    "last of two octets": "\u07ff",
    "first of three octets": "\u0800",
    "last of three octets": "\uffff",
    "first of four octets": "\U00010000",
    "last of all": "\U0010ffff",
    "before the surrogates": "\ud7ff",
    "after the surrogates": "\ue000",
    "replacement character": "\ufffd",
    "byte order mark": "\ufeff",
    "noncharacter FFFE": "\ufffe",
    "noncharacter FDD0": "\ufdd0",
    "noncharacters of every plane": "".join(chr(plane << 16 | 0xFFFE) for plane in range(17)),
    "Greek": "κόσμε",
    "mixed": "Hello-µ@ßöäüàá-UTF-8!!€\U0001d11e",
}

#: Ill-formed: what could still become UTF-8, and then the octet that makes it impossible.
BAD = {
    "lone continuation, first": (b"", b"\x80"),
    "lone continuation, last": (b"", b"\xbf"),
    "continuation too many": ("κ".encode(), b"\x80"),
    "overlong in two octets C0": (b"", b"\xc0"),
    "overlong in two octets C1": (b"", b"\xc1"),
    "overlong slash in three octets": (b"\xe0", b"\x80"),
    "overlong 7FF in three octets": (b"\xe0", b"\x9f"),
    "overlong slash in four octets": (b"\xf0", b"\x80"),
    "overlong FFFF in four octets": (b"\xf0", b"\x8f"),
    "overlong in five octets": (b"", b"\xf8"),
    "overlong in six octets": (b"", b"\xfc"),
    "high surrogate, first": (b"\xed", b"\xa0"),
    "low surrogate, last": (b"\xed", b"\xbf"),
    "beyond 10FFFF": (b"\xf4", b"\x90"),
    "far beyond 10FFFF": (b"", b"\xf5"),
    "seven-octet leader FE": (b"", b"\xfe"),
    "FF": (b"", b"\xff"),
    "ASCII after leader of two": (b"\xc3", b"("),
    "ASCII after leader of three": (b"\xe2", b"("),
    "ASCII as third octet": (b"\xe2\x82", b"("),
    "ASCII as second of four": (b"\xf0", b"("),
    "ASCII as third of four": (b"\xf0\x9d", b"("),
    "ASCII as fourth octet": (b"\xf0\x9d\x84", b"("),
    "leader after leader": (b"\xe2\x82", b"\xe2"),
    "Autobahn 6.3": (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed", b"\xa0"),
    "Autobahn 6.4": (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4", b"\x90"),
}

#: Ends in the middle of a character: wrong only when nothing follows.
CUT_SHORT = [b"\xc3", b"\xe2", b"\xe2\x82", b"\xf0", b"\xf0\x9d", b"\xf0\x9d\x84", b"ab\xf4\x8f"]

#: The well-formed sequences (RFC 3629 section 4): a range for each octet.
TAIL = (0x80, 0xBF)
WELL_FORMED = [
    ((0x00, 0x7F),),
    ((0xC2, 0xDF), TAIL),
    ((0xE0, 0xE0), (0xA0, 0xBF), TAIL),
    ((0xE1, 0xEC), TAIL, TAIL),
    ((0xED, 0xED), (0x80, 0x9F), TAIL),
    ((0xEE, 0xEF), TAIL, TAIL),
    ((0xF0, 0xF0), (0x90, 0xBF), TAIL, TAIL),
    ((0xF1, 0xF3), TAIL, TAIL, TAIL),
    ((0xF4, 0xF4), (0x80, 0x8F), TAIL, TAIL),
]


def first_wrong_octet(data: bytes) -> int | None:
    """Return where *data* stops being the beginning of any UTF-8; None if it never does."""
    candidates: list[tuple[tuple[int, int], ...]] = []
    place = 0
    for position, octet in enumerate(data):
        if not candidates:
            candidates, place = list(WELL_FORMED), 0
        candidates = [
            sequence for sequence in candidates if sequence[place][0] <= octet <= sequence[place][1]
        ]
        if not candidates:
            return position
        place += 1
        if len(candidates[0]) == place:
            candidates = []
    return None


def assembler_with(**limits: int) -> MessageAssembler:
    return MessageAssembler(MessageLimits(**limits))


def take(assembler: MessageAssembler, opcode: int, fragments: Iterable[bytes]) -> str | bytes:
    """Assemble one message out of fragments that each come in one piece."""
    parts = list(fragments)
    for i, part in enumerate(parts):
        assembler.begin_frame(opcode if i == 0 else OP_CONT, len(part))
        assembler.add(part, i == len(parts) - 1)
    return assembler.finish()


def octets(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


class TestMessageLimits:
    def test_defaults(self):
        limits = MessageLimits()
        assert limits.max_message_size == 16 * 1024 * 1024
        assert limits.max_fragments == 65536

    def test_cannot_be_changed_since_connections_share_them(self):
        limits = MessageLimits()
        with pytest.raises(dataclasses.FrozenInstanceError):
            limits.max_fragments = 1  # type: ignore[misc]


class TestDecodeText:
    @pytest.mark.parametrize("name", GOOD)
    def test_well_formed_text(self, name):
        assert decode_text(GOOD[name].encode()) == GOOD[name]

    @pytest.mark.parametrize("name", BAD)
    def test_ill_formed_text_has_close_code_1007(self, name):
        start, wrong = BAD[name]
        with pytest.raises(WebSocketPayloadException, match="UTF-8") as caught:
            decode_text(start + wrong + b"and more")
        assert caught.value.close_code == 1007

    @pytest.mark.parametrize("data", CUT_SHORT)
    def test_a_character_that_is_cut_short_is_ill_formed(self, data):
        with pytest.raises(WebSocketPayloadException, match="UTF-8"):
            decode_text(data)


@pytest.mark.parametrize(
    ("character", "width"),
    [
        *[("a", 1), ("\x7f", 1), ("\x80", 1), ("\xff", 1)],
        *[("\u0100", 2), ("\uffff", 2), ("\U00010000", 4), ("\U0010ffff", 4)],
    ],
)
@pytest.mark.parametrize("length", [1, 2, 3, 1000])
def test_bytes_of_memory_for_each_character(character: str, width: int, length: int) -> None:
    assert bytes_per_character("a" * (length - 1) + character) == width
    assert bytes_per_character((character * length).encode().decode()) == width
    assert bytes_per_character("") == 1


class TestSequence:
    @pytest.mark.parametrize(("opcode", "empty"), [(OP_TEXT, ""), (OP_BINARY, b"")])
    def test_an_empty_message_has_its_type(self, opcode, empty):
        assembler = assembler_with()
        for fragments in ([b""], [b"", b""], [b"", b"", b""]):
            message = take(assembler, opcode, fragments)
            assert message == empty
            assert type(message) is type(empty)

    def test_fragments_are_put_together_in_order(self):
        assembler = assembler_with()
        assert take(assembler, OP_TEXT, [b"one ", b"", b"two ", b"three"]) == "one two three"
        message = take(assembler, OP_BINARY, [b"\xff", b"", b"\xfe\xfd"])
        assert message == b"\xff\xfe\xfd"
        assert type(message) is bytes

    def test_a_frame_may_come_in_pieces(self):
        assembler = assembler_with()
        assembler.begin_frame(OP_BINARY, 4)
        assembler.add(b"a", False)
        assembler.add(b"", False)
        assembler.add(b"bcd", False)
        assembler.begin_frame(OP_CONT, 2)
        assembler.add(b"e", False)
        assembler.add(b"f", True)
        assert assembler.finish() == b"abcdef"

    @pytest.mark.parametrize("opcode", [OP_TEXT, OP_BINARY])
    @pytest.mark.parametrize("count", [1, 1023, 1024, 1025, 2048, 5000])
    def test_any_number_of_pieces(self, count, opcode):
        assembler = assembler_with()
        for first in (b"a", b"b"):  # nothing of a message may get into the next
            pieces = [first] + [b"x"] * (count - 1)
            message = b"".join(pieces)
            expected = message.decode() if opcode == OP_TEXT else message
            assert take(assembler, opcode, pieces) == expected

    def test_in_progress_from_the_first_header_to_the_finish(self):
        assembler = assembler_with()
        assert not assembler.in_progress
        for _ in range(2):
            assembler.begin_frame(OP_TEXT, 1)
            assert assembler.in_progress
            assembler.add(b"a", False)
            assert assembler.in_progress
            assembler.begin_frame(OP_CONT, 0)
            assembler.add(b"", True)
            assembler.finish()
            assert not assembler.in_progress

    def test_a_continuation_needs_a_beginning(self):
        assembler = assembler_with()
        with pytest.raises(WebSocketProtocolException) as caught:
            assembler.begin_frame(OP_CONT, 1)
        assert caught.value.close_code == 1002

    def test_a_continuation_after_a_finished_message_needs_a_new_beginning(self):
        assembler = assembler_with()
        take(assembler, OP_TEXT, [b"a", b"b"])
        with pytest.raises(WebSocketProtocolException):
            assembler.begin_frame(OP_CONT, 1)

    @pytest.mark.parametrize("second", [OP_TEXT, OP_BINARY])
    @pytest.mark.parametrize("first", [OP_TEXT, OP_BINARY])
    def test_a_new_message_inside_a_fragmented_one_is_refused(self, first, second):
        for fragments in (1, 2):
            assembler = assembler_with()
            for i in range(fragments):
                assembler.begin_frame(OP_CONT if i else first, 1)
                assembler.add(b"a", False)
            with pytest.raises(WebSocketProtocolException) as caught:
                assembler.begin_frame(second, 1)
            assert caught.value.close_code == 1002

    def test_a_new_message_after_an_empty_first_fragment_is_refused(self):
        assembler = assembler_with()
        assembler.begin_frame(OP_BINARY, 0)
        assembler.add(b"", False)
        with pytest.raises(WebSocketProtocolException):
            assembler.begin_frame(OP_BINARY, 0)


class TestUTF8:
    @pytest.mark.parametrize("name", GOOD)
    def test_a_character_may_be_split_anywhere(self, name):
        data = GOOD[name].encode()
        assembler = assembler_with()
        for position in range(len(data) + 1):
            fragments = [data[:position], data[position:]]
            assert take(assembler, OP_TEXT, fragments) == GOOD[name]
        assert take(assembler, OP_TEXT, [*octets(data), b""]) == GOOD[name]

    @pytest.mark.parametrize("name", BAD)
    @pytest.mark.parametrize("fragmented", [False, True], ids=["one frame", "fragments"])
    def test_fails_at_the_exact_octet(self, fragmented, name):
        start, wrong = BAD[name]
        for before in (b"", b"valid ", "ö€".encode()):
            assembler = assembler_with()
            assembler.begin_frame(OP_TEXT, 1 if fragmented else 100)
            for octet in octets(before + start):
                assembler.add(octet, False)
                if fragmented:
                    assembler.begin_frame(OP_CONT, 1)
            with pytest.raises(WebSocketPayloadException, match="UTF-8") as caught:
                assembler.add(wrong, False)
            assert caught.value.close_code == 1007

    @pytest.mark.parametrize("name", BAD)
    def test_fails_in_the_piece_that_has_the_wrong_octet(self, name):
        start, wrong = BAD[name]
        assembler = assembler_with()
        assembler.begin_frame(OP_TEXT, 100)
        with pytest.raises(WebSocketPayloadException):
            assembler.add(b"valid " + start + wrong, False)

    @pytest.mark.parametrize("data", CUT_SHORT)
    def test_a_character_that_is_cut_short_fails_at_the_end_only(self, data):
        for pieces in ([data, b""], [*octets(data), b""], [b"", data]):
            assembler = assembler_with()
            assembler.begin_frame(OP_TEXT, len(data))
            for piece in pieces[:-1]:
                assembler.add(piece, False)
            with pytest.raises(WebSocketPayloadException, match="UTF-8"):
                assembler.add(pieces[-1], True)

    def test_binary_is_never_decoded(self):
        assembler = assembler_with()
        for start, wrong in BAD.values():
            assert take(assembler, OP_BINARY, [start, wrong]) == start + wrong
        for data in CUT_SHORT:
            assert take(assembler, OP_BINARY, [data]) == data

    @given(
        st.lists(
            st.sampled_from([b"a", b"\x80", b"\x8f", b"\x90", b"\x9f", b"\xa0", b"\xbf", b"\xc0"])
            | st.sampled_from([b"\xc2", b"\xdf", b"\xe0", b"\xe1", b"\xed", b"\xef", b"\xf0"])
            | st.sampled_from([b"\xf3", b"\xf4", b"\xf5", b"\xff"])
            | st.characters(exclude_categories=["Cs"]).map(str.encode),
            max_size=12,
        ).map(b"".join),
        st.lists(st.integers(0, 50), max_size=6),
    )
    def test_agrees_with_the_table_of_rfc_3629_however_it_is_cut(self, data, cuts):
        borders = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        wrong = first_wrong_octet(data)
        assembler = assembler_with()
        assembler.begin_frame(OP_TEXT, len(data))
        for start, end in pairwise(borders):
            if wrong is not None and wrong < end:
                with pytest.raises(WebSocketPayloadException):
                    assembler.add(data[start:end], False)
                return
            assembler.add(data[start:end], False)
        if first_wrong_octet(data + b"a") is not None:  # ends inside a character
            with pytest.raises(WebSocketPayloadException):
                assembler.add(b"", True)
        else:
            assembler.add(b"", True)
            assert assembler.finish() == data.decode()


class TestUndecodedText:
    def test_a_text_comes_as_its_bytes_whatever_they_are(self):
        assembler = MessageAssembler(MessageLimits(), decode_text=False)
        for start, wrong in BAD.values():
            message = take(assembler, OP_TEXT, [start, wrong])
            assert message == start + wrong
            assert type(message) is bytes
        assert take(assembler, OP_TEXT, [b"", b""]) == b""

    def test_what_kind_of_message_is_in_progress(self):
        for decoding in (True, False):
            assembler = MessageAssembler(MessageLimits(), decoding)
            for opcode in (OP_TEXT, OP_BINARY):
                assembler.begin_frame(opcode, 0)
                assert assembler.is_text is (opcode == OP_TEXT)
                assembler.add(b"", True)
                assembler.finish()
                assert not assembler.is_text


class TestTaking:
    """Fragments may be taken before their message has ended."""

    def test_each_piece_is_taken_once(self):
        assembler = assembler_with()
        for opcode in (OP_TEXT, OP_BINARY):
            taken = []
            for i in range(3):
                assembler.begin_frame(OP_CONT if i else opcode, 2)
                assembler.add(b"a", False)
                assembler.add(b"b", i == 2)
                taken.append(assembler.finish() if i == 2 else assembler.take())
            assert taken == (["ab"] * 3 if opcode == OP_TEXT else [b"ab"] * 3)

    def test_a_character_stays_until_it_is_complete(self):
        assembler = assembler_with()
        assembler.begin_frame(OP_TEXT, 5)
        assembler.add(b"a\xf0\x9d", False)
        assert assembler.take() == "a"
        assembler.add(b"\x84", False)
        assert assembler.take() == ""
        assembler.add(b"\x9e", True)
        assert assembler.finish() == "\U0001d11e"

    def test_the_limits_count_what_was_taken(self):
        assembler = assembler_with(max_message_size=3)
        assembler.begin_frame(OP_TEXT, 2)
        assembler.add(b"ab", False)
        assert assembler.take() == "ab"
        with pytest.raises(WebSocketMessageTooBigException):
            assembler.begin_frame(OP_CONT, 2)


class TestLimits:
    @pytest.mark.parametrize("opcode", [OP_TEXT, OP_BINARY])
    def test_exactly_the_limit_is_allowed(self, opcode):
        assembler = assembler_with(max_message_size=10)
        for _ in range(3):  # each message begins with the whole allowance
            assert len(take(assembler, opcode, [b"a" * 10])) == 10
            assert len(take(assembler, opcode, [b"a" * 4, b"", b"a" * 6])) == 10

    @pytest.mark.parametrize("opcode", [OP_TEXT, OP_BINARY])
    def test_a_longer_frame_is_refused_when_it_is_announced(self, opcode):
        for length in (11, 2**32, 2**63 - 1):
            assembler = assembler_with(max_message_size=10)
            with pytest.raises(WebSocketMessageTooBigException, match="10") as caught:
                assembler.begin_frame(opcode, length)
            assert caught.value.close_code == 1009

    def test_the_fragment_that_passes_the_limit_is_refused_when_it_is_announced(self):
        assembler = assembler_with(max_message_size=10)
        assembler.begin_frame(OP_BINARY, 4)
        assembler.add(b"aaaa", False)
        assembler.begin_frame(OP_CONT, 6)
        assembler.add(b"aaaaaa", False)
        with pytest.raises(WebSocketMessageTooBigException):
            assembler.begin_frame(OP_CONT, 1)

    def test_the_limit_counts_octets_not_characters(self):
        assembler = assembler_with(max_message_size=6)
        assert take(assembler, OP_TEXT, ["€€".encode()]) == "€€"
        with pytest.raises(WebSocketMessageTooBigException):
            assembler.begin_frame(OP_TEXT, len("€€a".encode()))

    def test_a_limit_of_zero_allows_empty_messages(self):
        assembler = assembler_with(max_message_size=0)
        assert take(assembler, OP_TEXT, [b"", b""]) == ""
        with pytest.raises(WebSocketMessageTooBigException):
            assembler.begin_frame(OP_TEXT, 1)

    def test_exactly_as_many_fragments_as_the_limit_are_allowed(self):
        for messages_before in (0, 1, 2):
            assembler = assembler_with(max_fragments=3)
            for _ in range(messages_before):
                assert take(assembler, OP_TEXT, [b"a", b"b", b"c"]) == "abc"
            for part in (b"a", b"", b"c"):
                assembler.begin_frame(OP_CONT if assembler.in_progress else OP_TEXT, len(part))
                assembler.add(part, False)
            with pytest.raises(WebSocketMessageTooBigException, match="3") as caught:
                assembler.begin_frame(OP_CONT, 0)
            assert caught.value.close_code == 1009

    def test_one_fragment_means_no_fragmentation(self):
        assembler = assembler_with(max_fragments=1)
        assert take(assembler, OP_TEXT, [b"a"]) == "a"
        assembler.begin_frame(OP_TEXT, 1)
        assembler.add(b"a", False)
        with pytest.raises(WebSocketMessageTooBigException):
            assembler.begin_frame(OP_CONT, 1)

    def test_the_pieces_of_a_frame_are_not_fragments(self):
        assembler = assembler_with(max_fragments=1)
        assembler.begin_frame(OP_TEXT, 5)
        for piece in octets(b"piece"):
            assembler.add(piece, False)
        assembler.add(b"", True)
        assert assembler.finish() == "piece"


class TestMemory:
    SIZE = 120_000

    @pytest.mark.parametrize(
        ("opcode", "piece"),
        [(OP_BINARY, b"ab"), (OP_TEXT, b"ab"), (OP_TEXT, "€".encode()), (OP_TEXT, "ö".encode())],
    )
    def test_small_pieces_cost_what_they_hold(self, opcode, piece):
        # An object per piece would be more than 20 times the payload.
        count = self.SIZE // len(piece)
        assembler = assembler_with()
        tracemalloc.start()
        try:
            assembler.begin_frame(opcode, count * len(piece))
            for i in range(count):
                assembler.add(bytes(piece), i == count - 1)
            _, peak = tracemalloc.get_traced_memory()
            message = assembler.finish()
        finally:
            tracemalloc.stop()
        assert peak < 4 * self.SIZE
        whole = piece * count
        assert message == (whole if opcode == OP_BINARY else whole.decode())

    @pytest.mark.parametrize("opcode", [OP_BINARY, OP_TEXT])
    def test_empty_fragments_cost_nothing(self, opcode):
        assembler = assembler_with()
        tracemalloc.start()
        try:
            assembler.begin_frame(opcode, 0)
            assembler.add(b"", False)
            for _ in range(30_000):
                assembler.begin_frame(OP_CONT, 0)
                assembler.add(b"", False)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 100_000

    def test_nothing_is_kept_of_a_finished_message(self):
        assembler = assembler_with()
        tracemalloc.start()
        try:
            for opcode in (OP_BINARY, OP_TEXT):
                take(assembler, opcode, [b"a" * self.SIZE, b"a" * self.SIZE])
            left, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert left < 10_000


@pytest.mark.parametrize(
    "text",
    ["", "ascii", "caf\xe9", "\xe9" * 10, "\u0100x", "\uffff" * 5, "x\U0001f600" * 3, "\U0010ffff"],
)
def test_the_size_of_a_str_is_known_before_it_is_made(text: str) -> None:
    assert decoded_size(text.encode()) == bytes_per_character(text) * len(text)


# --- limits that are none ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max_message_size", "max_fragments"])
@pytest.mark.parametrize("value", [-1, 1.5, True, None, 1 << 63])
def test_a_limit_that_cannot_be_one(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be an int from 0 to"):
        MessageLimits(**{name: value})  # type: ignore[arg-type]


def test_a_text_that_takes_too_much_memory_as_a_str(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "LARGE_TEXT", 100)
    check_decoded_size(b"a" * 100, 10)  # one byte for each
    wide = "\U0001f600" + "a" * 30  # four bytes for each
    with pytest.raises(WebSocketMessageTooBigException, match="takes 124 bytes of memory"):
        check_decoded_size(wide.encode(), 10)


def test_an_assembler_says_whether_its_message_is_compressed() -> None:
    assert not MessageAssembler(MessageLimits()).compressed
