"""The wire format: RFC 6455 sections 5.1 to 5.3."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.protocols import frames
from reactor.protocols.events import Ping, Pong
from reactor.protocols.frames import (
    OP_BINARY,
    OP_CLOSE,
    OP_CONT,
    OP_PING,
    OP_PONG,
    OP_TEXT,
    apply_mask,
    check_mask,
    new_mask,
    parse_header,
    parse_messages,
    parse_pings,
    serialize,
)
from tests.support.websocket_frames import (
    KEY,
    Frame,
    build_frame,
    build_header,
    mask_naively,
    read_frames,
)

#: Where the form of the length changes, and what stands next to it.
EDGE_LENGTHS = [0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 65537]
HUGE_LENGTHS = [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
FIRST_BYTES = list(product(range(16), range(8), (False, True)))
LIMIT = 2**20

keys = st.binary(min_size=4, max_size=4)


class TestOpcodes:
    def test_the_numbers_are_those_of_section_5_2(self):
        opcodes = (OP_CONT, OP_TEXT, OP_BINARY, OP_CLOSE, OP_PING, OP_PONG)
        assert opcodes == (0x0, 0x1, 0x2, 0x8, 0x9, 0xA)


@pytest.fixture
def empty_pool() -> Iterator[None]:
    """No key is left that was drawn before the test, nor afterwards one that the test had drawn."""

    def forget() -> None:
        frames._masks.clear()
        if frames.compiled:
            importlib.import_module("reactor.compiled.frames")._forget_masks()

    forget()
    yield
    forget()


class TestNewMask:
    def test_a_key_is_four_bytes(self):
        drawn = [new_mask() for _ in range(3000)]
        assert all(type(key) is bytes and len(key) == 4 for key in drawn)

    def test_keys_do_not_repeat_over_many_draws(self):
        drawn = [new_mask() for _ in range(5000)]
        assert len(set(drawn)) > 4990  # two of 2**32 may be equal by chance, hardly ten of 5000

    def test_every_byte_of_a_key_is_spread_over_its_range(self):
        drawn = [new_mask() for _ in range(5000)]
        for i in range(4):
            assert len({key[i] for key in drawn}) > 240

    @pytest.mark.parametrize("size", [4, 5, 7, 8, 100, 2047, 2048, 2050, 100_000])
    def test_a_generator_that_gives_another_number_of_bytes_is_good_for_its_keys(
        self, monkeypatch, empty_pool, size
    ):
        given = []

        def generator(_count: int) -> bytes:
            given.append(bytes(i % 251 for i in range(size)))
            return given[-1]

        monkeypatch.setattr(os, "urandom", generator)
        drawn = [new_mask() for _ in range(1500)]
        assert all(type(key) is bytes and len(key) == 4 for key in drawn)
        assert set(drawn) <= {given[0][i : i + 4] for i in range(0, size - 3, 4)}

    @pytest.mark.parametrize("pool", [b"", b"abc", None, "abcd" * 512, bytearray(2048), 2048])
    def test_a_generator_that_gives_no_key_is_an_error(self, monkeypatch, empty_pool, pool):
        monkeypatch.setattr(os, "urandom", lambda _count: pool)
        for _ in range(2):
            with pytest.raises(ValueError, match=r"os\.urandom must return at least four bytes"):
                new_mask()
        monkeypatch.undo()
        assert len(new_mask()) == 4

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
    def test_a_forked_child_draws_other_keys_than_its_parent(self):
        new_mask()  # keys that were drawn before the fork must not be used on both sides
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writer, b"".join(new_mask() for _ in range(100)))
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            written = stream.read()
        os.waitpid(child, 0)
        ours = {new_mask() for _ in range(2000)}
        theirs = [written[i : i + 4] for i in range(0, 400, 4)]
        assert len(written) == 400
        assert len(ours.intersection(theirs)) < 3

    def test_a_platform_without_fork_needs_no_hook(self, monkeypatch):
        monkeypatch.delattr(os, "register_at_fork", raising=False)
        spec = importlib.util.find_spec("reactor.protocols.frames")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert len(module.new_mask()) == 4


class TestApplyMask:
    @pytest.mark.parametrize("around", [0, 100, 16384, 32768])
    def test_is_the_xor_of_section_5_3_for_every_length(self, around):
        data = os.urandom(around + 100)
        masked = mask_naively(data, KEY)
        for length in range(max(around - 100, 0), around + 101):
            assert apply_mask(data[:length], KEY) == masked[:length]

    @pytest.mark.parametrize(
        "key", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x01", b"\x80\0\0\0"]
    )
    @pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 7, 8, 9, 16383, 16384, 16385, 70001])
    def test_keys_and_data_with_zero_bytes_keep_their_length(self, key, length):
        for data in (bytes(length), b"\xff" * length):
            assert apply_mask(data, key) == mask_naively(data, key)

    @given(st.binary(max_size=300), keys)
    def test_agrees_with_a_loop_over_the_octets(self, data, key):
        assert apply_mask(data, key) == mask_naively(data, key)

    @given(st.binary(min_size=1, max_size=50), st.integers(400, 1200), keys)
    def test_agrees_with_a_loop_over_the_octets_for_long_data(self, chunk, times, key):
        assert apply_mask(chunk * times, key) == mask_naively(chunk * times, key)

    @given(st.binary(max_size=300), keys)
    def test_is_its_own_inverse(self, data, key):
        assert apply_mask(apply_mask(data, key), key) == data

    def test_the_result_is_bytes(self):
        assert type(apply_mask(b"", KEY)) is bytes
        assert type(apply_mask(b"abc", KEY)) is bytes


class TestSerialize:
    def test_the_examples_of_section_5_7(self):
        assert serialize(OP_TEXT, b"Hello", None) == bytes.fromhex("810548656c6c6f")
        masked = bytes.fromhex("818537fa213d7f9f4d5158")
        assert serialize(OP_TEXT, b"Hello", bytes.fromhex("37fa213d")) == masked
        assert serialize(OP_TEXT, b"Hel", None, fin=False) == bytes.fromhex("010348656c")
        assert serialize(OP_CONT, b"lo", None) == bytes.fromhex("80026c6f")
        assert serialize(OP_PING, b"Hello", None) == bytes.fromhex("890548656c6c6f")
        pong = bytes.fromhex("8a8537fa213d7f9f4d5158")
        assert serialize(OP_PONG, b"Hello", bytes.fromhex("37fa213d")) == pong
        data = bytes(range(256))
        assert serialize(OP_BINARY, data, None) == bytes.fromhex("827e0100") + data
        data = bytes(65536)
        assert serialize(OP_BINARY, data, None) == bytes.fromhex("827f0000000000010000") + data

    @pytest.mark.parametrize("key", [None, KEY], ids=["unmasked", "masked"])
    @pytest.mark.parametrize("length", EDGE_LENGTHS)
    def test_lengths_take_the_shortest_form(self, length, key):
        payload = os.urandom(length)
        assert serialize(OP_BINARY, payload, key) == build_frame(OP_BINARY, payload, key=key)

    @pytest.mark.parametrize("key", [None, KEY], ids=["unmasked", "masked"])
    def test_every_first_byte(self, key):
        for opcode, rsv, fin in FIRST_BYTES:
            frame = serialize(opcode, b"payload", key, fin, rsv)
            assert frame == build_frame(opcode, b"payload", fin=fin, rsv=rsv, key=key)

    @given(
        st.integers(0, 15),
        st.binary(max_size=400),
        st.none() | keys,
        st.booleans(),
        st.integers(0, 7),
    )
    def test_is_read_back_by_another_reader(self, opcode, payload, key, fin, rsv):
        frame = serialize(opcode, payload, key, fin, rsv)
        assert read_frames(frame) == [Frame(fin, rsv, opcode, key, payload)]


class TestParseHeader:
    @pytest.mark.parametrize("key", [None, KEY], ids=["unmasked", "masked"])
    def test_every_first_byte(self, key):
        for opcode, rsv, fin in FIRST_BYTES:
            data = build_frame(opcode, b"payload", fin=fin, rsv=rsv, key=key)
            header = parse_header(data, 0)
            assert header == (fin, rsv, opcode, key, 7, True, len(data) - 7)

    @pytest.mark.parametrize("key", [None, KEY], ids=["unmasked", "masked"])
    @pytest.mark.parametrize("length", [*EDGE_LENGTHS, *HUGE_LENGTHS])
    def test_lengths_in_every_form(self, length, key):
        shortest = 7 if length < 126 else 16 if length < 2**16 else 64
        for bits in (7, 16, 64):
            if bits < shortest:
                continue  # cannot be written so
            data = build_header(OP_BINARY, length, key=key, length_bits=bits)
            expected = (True, 0, OP_BINARY, key, length, bits == shortest, len(data))
            assert parse_header(data, 0) == expected

    def test_the_names_of_the_fields(self):
        header = parse_header(build_header(OP_TEXT, 300, fin=False, rsv=5, key=KEY), 0)
        assert header is not None
        assert (header.fin, header.rsv, header.opcode) == (False, 5, OP_TEXT)
        assert (header.mask, header.length) == (KEY, 300)
        assert (header.minimal, header.start) == (True, 8)

    @pytest.mark.parametrize("key", [None, KEY], ids=["unmasked", "masked"])
    @pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536])
    def test_none_until_the_last_byte_of_the_header(self, length, key):
        data = build_header(OP_TEXT, length, key=key)
        for end in range(len(data)):
            assert parse_header(data[:end], 0) is None
        assert parse_header(data, 0) is not None

    def test_begins_at_the_position(self):
        before = build_frame(OP_BINARY, b"\x81\xff\x7e\x7f", key=KEY)
        data = before + build_frame(OP_PING, b"x" * 5, key=b"abcd")
        header = parse_header(data, len(before))
        assert header is not None
        assert (header.opcode, header.length, header.mask) == (OP_PING, 5, b"abcd")
        assert header.start == len(before) + 6

    @pytest.mark.parametrize("size", [0, 1, 3, 5, 9, 13])
    def test_bytes_before_the_position_do_not_complete_a_header(self, size):
        data = bytes(20) + build_header(OP_BINARY, 70000, key=KEY)[:size]
        assert parse_header(data, 20) is None

    @given(
        st.integers(0, 15),
        st.binary(max_size=400),
        st.none() | keys,
        st.booleans(),
        st.integers(0, 7),
        st.binary(max_size=20),
        st.binary(max_size=20),
    )
    def test_reads_what_serialize_wrote(self, opcode, payload, key, fin, rsv, before, after):
        frame = serialize(opcode, payload, key, fin, rsv)
        header = parse_header(before + frame + after, len(before))
        assert header is not None
        assert header[:6] == (fin, rsv, opcode, key, len(payload), True)
        assert header.start == len(before) + len(frame) - len(payload)


@pytest.fixture(params=[None, KEY], ids=["unmasked", "masked"])
def key(request):
    return request.param


def parse(data: bytes, key: bytes | None, pos: int = 0, limit: int = LIMIT):
    """Return the messages, and the position that parse_messages stopped at."""
    messages: list[str | bytes] = []
    end = parse_messages(data, pos, messages, key is not None, limit)
    return messages, end


class TestParseMessages:
    def test_text_is_str_and_binary_is_bytes(self, key):
        data = build_frame(OP_TEXT, "grün €".encode(), key=key)
        data += build_frame(OP_BINARY, b"\xff\0", key=key)
        messages, end = parse(data, key)
        assert messages == ["grün €", b"\xff\0"]
        assert [type(message) for message in messages] == [str, bytes]
        assert end == len(data)

    @pytest.mark.parametrize("opcode", [OP_TEXT, OP_BINARY])
    @pytest.mark.parametrize("length", EDGE_LENGTHS)
    def test_lengths_in_their_shortest_form(self, length, opcode, key):
        payload = bytes(ord("a") + i % 26 for i in range(length))
        data = build_frame(opcode, payload, key=key)
        messages, end = parse(data, key)
        assert messages == [payload.decode() if opcode == OP_TEXT else payload]
        assert end == len(data)

    def test_nothing_comes_of_nothing(self, key):
        assert parse(b"", key) == ([], 0)

    def test_begins_at_the_position_and_appends(self, key):
        first = build_frame(OP_TEXT, b"first", key=key)
        data = first + build_frame(OP_TEXT, b"second", key=key)
        messages = ["there"]
        end = parse_messages(data, len(first), messages, key is not None, LIMIT)
        assert messages == ["there", "second"]
        assert end == len(data)

    @pytest.mark.parametrize("opcode", [OP_TEXT, OP_BINARY])
    def test_stops_at_a_frame_that_is_not_whole(self, opcode, key):
        whole = build_frame(OP_TEXT, b"whole", key=key)
        for length in [0, 1, 125, 126, 300, 65535, 65536]:
            part = build_frame(opcode, b"x" * length, key=key)
            for end in {*range(min(20, len(part))), len(part) - 1}:
                assert parse(whole + part[:end], key) == (["whole"], len(whole))

    def untaken(self, key):
        """What the function must leave to others: (name, frame)."""
        for opcode in (OP_CLOSE, OP_PING, OP_PONG, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            yield f"opcode {opcode}", build_frame(opcode, b"", key=key)
        for opcode in (OP_TEXT, OP_BINARY, OP_CONT):
            yield f"fragment {opcode}", build_frame(opcode, b"a", fin=False, key=key)
        yield "last fragment", build_frame(OP_CONT, b"a", key=key)
        for opcode in (OP_TEXT, OP_BINARY):
            for rsv in range(1, 8):
                yield f"rsv {rsv}", build_frame(opcode, b"a", rsv=rsv, key=key)
            for length, bits in [(0, 16), (1, 16), (125, 16), (0, 64), (126, 64), (65535, 64)]:
                frame = build_frame(opcode, b"a" * length, key=key, length_bits=bits)
                yield f"{length} in {bits} bits", frame
            for shift in (32, 48, 56, 62, 63):  # no octet of the length may be overlooked
                header = build_header(opcode, (1 << shift) + 70_000, key=key)
                yield f"length 2**{shift} + 70000", header + b"a" * 70_000
            other = KEY if key is None else None
            yield "wrong mask bit", build_frame(opcode, b"abcd", key=other)
            yield "wrong mask bit, 16 bits", build_frame(opcode, b"a" * 126, key=other)
            yield "wrong mask bit, 64 bits", build_frame(opcode, b"a" * 65536, key=other)
            for length in (LIMIT + 1, 2**63 - 1, 2**63, 2**64 - 1):
                header = build_header(opcode, length, key=key)
                yield f"length {length}", header + b"a" * 100
        for size in (1, 5, 130, 65536):
            broken = b"a" * (size - 1) + b"\xff"
            yield f"not UTF-8, {size} bytes", build_frame(OP_TEXT, broken, key=key)
        yield "half a character", build_frame(OP_TEXT, "€".encode()[:2], key=key)
        yield "a surrogate", build_frame(OP_TEXT, b"\xed\xa0\x80", key=key)

    def test_stops_without_judging_at_anything_else(self, key):
        whole = build_frame(OP_TEXT, b"whole", key=key)
        for name, frame in self.untaken(key):
            result = parse(whole + frame + whole, key)
            assert result == (["whole"], len(whole)), name

    @pytest.mark.parametrize("opcode", [OP_TEXT, OP_BINARY])
    @pytest.mark.parametrize("limit", [0, 1, 124, 125, 126, 127, 65535, 65536])
    def test_a_message_of_exactly_the_limit_is_taken_and_no_longer_one(self, limit, opcode, key):
        exact = build_frame(opcode, b"a" * limit, key=key)
        longer = build_frame(opcode, b"a" * (limit + 1), key=key)
        messages, end = parse(exact + longer, key, limit=limit)
        assert [len(message) for message in messages] == [limit]
        assert end == len(exact)

    @given(
        st.lists(st.text(max_size=100) | st.binary(max_size=200), max_size=10),
        st.booleans(),
        st.data(),
    )
    def test_takes_the_whole_messages_of_any_prefix(self, expected, masked, data):
        ends = [0]
        stream = b""
        for message in expected:
            opcode = OP_TEXT if isinstance(message, str) else OP_BINARY
            payload = message.encode() if isinstance(message, str) else message
            stream += build_frame(opcode, payload, key=data.draw(keys) if masked else None)
            ends.append(len(stream))
        cut = data.draw(st.integers(0, len(stream)))
        whole = sum(end <= cut for end in ends) - 1
        messages: list[str | bytes] = []
        end = parse_messages(stream[:cut], 0, messages, masked, LIMIT)
        assert messages == expected[:whole]
        assert end == ends[whole]


@pytest.mark.parametrize("most", [0, 1, 2, 3, 9])
def test_no_more_messages_are_taken_than_wanted(key, most):
    frame = build_frame(OP_TEXT, b"a", key=key)
    messages: list[str | bytes] = ["before"]
    end = parse_messages(frame * 3, 0, messages, key is not None, LIMIT, most)
    taken = min(most, 3)
    assert (messages, end) == (["before"] + ["a"] * taken, taken * len(frame))


def take_pings(data: bytes, key: bytes | None, pos: int = 0, most: int = 100):
    """Return the events, and the position that parse_pings stopped at."""
    events: list[Ping | Pong] = []
    end = parse_pings(data, pos, events, key is not None, most)
    return events, end


class TestParsePings:
    def test_pings_and_pongs_in_a_run(self, key):
        payloads = [b"", b"p", bytes(range(125))]
        data = b"".join(
            build_frame(opcode, payload, key=key)
            for payload in payloads
            for opcode in (OP_PING, OP_PONG)
        )
        events, end = take_pings(b"before" + data, key, pos=6)
        assert events == [kind(payload) for payload in payloads for kind in (Ping, Pong)]
        assert [type(event) for event in events] == [Ping, Pong] * 3
        assert end == 6 + len(data)

    def test_stops_without_judging_at_anything_else(self, key):
        ping = build_frame(OP_PING, b"p", key=key)
        other = KEY if key is None else None
        for frame in (
            build_frame(OP_TEXT, b"t", key=key),
            build_frame(OP_CONT, key=key),
            build_frame(OP_CLOSE, key=key),
            build_frame(0xB, key=key),
            build_frame(OP_PING, fin=False, key=key),
            build_frame(OP_PONG, rsv=4, key=key),
            build_frame(OP_PING, bytes(126), key=key),
            build_frame(OP_PING, b"x", length_bits=16, key=key),
            build_frame(OP_PING, b"x", length_bits=64, key=key),
            build_frame(OP_PING, b"x", key=other),
        ):
            assert take_pings(ping + frame + ping, key) == ([Ping(b"p")], len(ping))

    def test_stops_at_a_frame_that_is_not_whole(self, key):
        first, second = (build_frame(OP_PING, payload, key=key) for payload in (b"1", b"22"))
        for size in range(len(second)):
            assert take_pings(first + second[:size], key) == ([Ping(b"1")], len(first))

    def test_no_more_are_taken_than_wanted(self, key):
        frame = build_frame(OP_PONG, key=key)
        for most in range(5):
            taken = min(most, 3)
            assert take_pings(frame * 3, key, most=most) == (
                [Pong(b"")] * taken,
                taken * len(frame),
            )


def test_large_payloads_are_masked_right_when_threads_begin_at_once() -> None:
    payload = bytes(range(256)) * 64
    expected = mask_naively(payload, b"mask")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(30):
            frames._xor_tables.clear()
            with ThreadPoolExecutor(4) as threads:
                begun = [
                    threads.submit(frames._apply_mask_by_tables, payload, b"mask") for _ in range(8)
                ]
            assert all(thread.result() == expected for thread in begun)
            assert frames._apply_mask_by_tables(payload, b"mask") == expected
    finally:
        sys.setswitchinterval(interval)


# --- masking keys of a user's function ------------------------------------------------------------


@pytest.mark.parametrize("key", [b"\x00\xff12", bytearray(b"\x00\xff12"), "\x00\xff12"])
def test_a_key_may_be_bytes_or_characters(key: str | bytes) -> None:
    assert check_mask(key) == b"\x00\xff12"


@pytest.mark.parametrize("key", [b"", b"123", b"12345", "\u01001234"[:4]])
def test_a_key_of_another_length_or_of_other_characters(key: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"four bytes|latin-1"):
        check_mask(key)


def test_a_key_that_is_none() -> None:
    with pytest.raises(TypeError, match="a masking key is four bytes, not 4"):
        check_mask(4)  # type: ignore[arg-type]
