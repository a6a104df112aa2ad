"""permessage-deflate: what it does to messages (RFC 7692 section 7.2).

The other side is the standard library's zlib (tests/support/zlib_peer.py).
"""

from __future__ import annotations

import gc
import random
import sys
import threading
import tracemalloc
import zlib
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor import CloseCode, Deflate
from reactor.exceptions import (
    WebSocketMessageTooBigException,
    WebSocketPayloadException,
    WebSocketPeerException,
)
from reactor.protocols import deflate
from reactor.protocols.deflate import (
    Agreement,
    Compression,
    compress_alone,
)
from tests.support.session_end import cut
from tests.support.zlib_peer import MEGABYTE, TAIL, ZlibPeer, agreements

NAME = "permessage-deflate"
BITS = range(8, 16)
NO_LIMIT = 1 << 40


class TestDeflate:
    @pytest.mark.parametrize("name", ["server_max_window_bits", "client_max_window_bits"])
    @pytest.mark.parametrize("value", [7, 16, 0, -8, 150, "10", 10.0, False])
    def test_window_bits_are_eight_to_fifteen(self, name: str, value: Any) -> None:
        with pytest.raises(ValueError, match=name):
            Deflate(**{name: value})

    def test_true_is_a_value_for_the_clients_window_only(self) -> None:
        Deflate(client_max_window_bits=True)
        with pytest.raises(ValueError, match="server_max_window_bits"):
            Deflate(server_max_window_bits=True)

    @pytest.mark.parametrize(
        ("name", "good", "bad"),
        [
            ("level", [None, -1, 0, 9], [-2, 10, "6", True]),
            ("engine", ["zlib"], ["gzip", None, 5]),
            ("mem_level", [1, 9], [0, 10, "8", None]),
            ("threshold", [0, 1 << 20], [-1, "0", None]),
            ("server_max_window_bits", [None, *BITS], []),
            ("client_max_window_bits", [None, True, *BITS], []),
        ],
    )
    def test_the_other_numbers(self, name: str, good: list[Any], bad: list[Any]) -> None:
        for value in good:
            assert getattr(Deflate(**{name: value}), name) == value
        for value in bad:
            with pytest.raises(ValueError, match=name):
                Deflate(**{name: value})

    def test_each_engine_has_its_levels(self) -> None:
        pytest.importorskip("isal")
        for level in (None, 0, 1, 2, 3):
            assert Deflate(engine="isal", level=level).level == level
        for level in (-1, 4, 5):
            with pytest.raises(ValueError, match="level must be 0 to 3"):
                Deflate(engine="isal", level=level)

    def test_an_engine_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "isal", None)
        with pytest.raises(ImportError, match=r"needs the package isal.*pip install"):
            Deflate(engine="isal")

    def test_an_unknown_parameter_is_a_type_error(self) -> None:
        with pytest.raises(TypeError, match="window"):
            Deflate(window=15)  # type: ignore[call-arg]

    def test_what_the_option_may_be(self) -> None:
        own = Deflate(level=1)
        assert Deflate.of(None) is None
        assert Deflate.of("deflate") == Deflate()
        assert Deflate.of(own) is own

    @pytest.mark.parametrize("value", ["", "gzip", "Deflate", NAME])
    def test_another_name_is_a_value_error(self, value: str) -> None:
        with pytest.raises(ValueError, match="compression"):
            Deflate.of(value)

    @pytest.mark.parametrize("value", [True, False, 1, b"deflate", Deflate, {}])
    def test_another_type_is_a_type_error(self, value: object) -> None:
        with pytest.raises(TypeError, match="compression"):
            Deflate.of(value)


class TestAgreement:
    def test_the_threshold(self) -> None:
        agreement, _ = agreements(Deflate(threshold=10))
        assert not agreement.wants(bytes(9), None)
        assert agreement.wants(bytes(10), None)

    def test_a_demand_of_the_message_s_own(self) -> None:
        agreement, _ = agreements(Deflate(threshold=10))
        assert agreement.wants(b"x", True)
        assert not agreement.wants(bytes(1000), False)

    def test_without_a_threshold_everything_is_compressed_but_nothing_at_all(self) -> None:
        agreement, _ = agreements(Deflate(threshold=0))
        assert agreement.wants(b"x", None)
        assert not agreement.wants(b"", None)
        assert not agreement.wants(b"", True)  # it could only grow


def texts_for_windows() -> list[bytes]:
    """Messages with repetitions at all distances about the size of each window."""
    source = random.Random(7692)
    messages = [b"Hello", b"Hello", b"", b"x", "Grüße ".encode() * 50]
    for size in (256, 512, 1024, 4096, 32768):
        for distance in (size - 262, size - 6, size - 1, size, size + 1, size + 6):
            if 0 < distance < 6000:
                block = source.randbytes(distance)
                messages.append(block + block[:20])
    messages.append(source.randbytes(300) * 4)
    return messages


WINDOW_TEXTS = texts_for_windows()

#: Longer than any window, with repetitions at every distance.
LONG_TEXT = b"".join(WINDOW_TEXTS) * 4

ENGINES: tuple[Literal["zlib", "isal"], ...] = ("zlib", "isal")

#: Levels: none at all, the fast algorithm, and the two lazy ones.
LEVELS = (0, 1, 6, 9)


def one_sided(bits: int, takeover: bool, level: int = 6, mem_level: int = 5) -> Agreement:
    """Our end, where both directions are agreed to be alike."""
    config = Deflate(level=level, mem_level=mem_level)
    return Agreement(config, bits, bits, takeover, takeover)


class TestRoundTrips:
    @pytest.mark.parametrize("level", LEVELS)
    @pytest.mark.parametrize("takeover", [True, False])
    @pytest.mark.parametrize("bits", BITS)
    def test_zlib_inflates_what_we_compress(self, bits: int, takeover: bool, level: int) -> None:
        """With a window of the agreed size and no more, 8 bits as well."""
        compression = Compression(one_sided(bits, takeover, level))
        peer = ZlibPeer(their_bits=bits, their_takeover=takeover)
        sample = WINDOW_TEXTS if bits < 10 else WINDOW_TEXTS[::4]
        for message in sample:
            assert peer.inflate(compression.compress(message)) == message

    def test_the_strict_peer_is_strict(self) -> None:
        """What zlib compresses with 10 bits must be too much for a window of 8."""
        far = random.Random(8).randbytes(300) * 2
        with pytest.raises(zlib.error):
            ZlibPeer(their_bits=8).inflate(ZlibPeer(bits=10).compress(far))

    @pytest.mark.parametrize("level", LEVELS)
    @pytest.mark.parametrize("takeover", [True, False])
    @pytest.mark.parametrize("bits", BITS)
    def test_we_inflate_what_zlib_compresses(self, bits: int, takeover: bool, level: int) -> None:
        compression = Compression(one_sided(bits, takeover))
        peer = ZlibPeer(bits=max(bits, 9), takeover=takeover, level=level)
        for message in WINDOW_TEXTS:
            if bits == 8:  # zlib has no such compressor: what it can refer to is less
                message = message[:256]
                peer = ZlibPeer(bits=9, level=level)
                compression = Compression(one_sided(8, takeover))
            assert inflate(compression, peer.compress(message)) == message

    @pytest.mark.parametrize("mem_level", range(1, 10))
    def test_every_level_of_memory(self, mem_level: int) -> None:
        for bits in BITS:
            compression = Compression(one_sided(bits, True, mem_level=mem_level))
            peer = ZlibPeer(their_bits=bits)
            for message in WINDOW_TEXTS[:10]:
                assert peer.inflate(compression.compress(message)) == message

    @pytest.mark.parametrize("level", [None, *range(4)])
    @pytest.mark.parametrize("takeover", [True, False])
    @pytest.mark.parametrize("bits", BITS)
    def test_zlib_inflates_what_isal_compresses(
        self, bits: int, takeover: bool, level: int | None
    ) -> None:
        """With a window of the agreed size and no more; 8 bits are compressed by zlib."""
        pytest.importorskip("isal")
        config = Deflate(engine="isal", level=level)
        compression = Compression(Agreement(config, bits, bits, takeover, takeover))
        peer = ZlibPeer(their_bits=bits, their_takeover=takeover)
        for message in WINDOW_TEXTS:
            assert peer.inflate(compression.compress(message)) == message
        half = len(LONG_TEXT) // 2
        begin, end = LONG_TEXT[:half], LONG_TEXT[half:]
        fragments = compression.compress_fragment(begin, False)
        fragments += compression.compress_fragment(end, True)
        assert peer.inflate(fragments) == LONG_TEXT
        assert peer.inflate(compression.compress(LONG_TEXT)) == LONG_TEXT

    def test_isal_makes_text_smaller(self) -> None:
        pytest.importorskip("isal")
        text = b"the same over and over, " * 30
        sizes = {
            engine: len(
                Compression(Agreement(Deflate(engine=engine), 12, 12, True, True)).compress(text)
            )
            for engine in ENGINES
        }
        assert sizes["isal"] < len(text) / 10
        assert sizes["isal"] != sizes["zlib"]  # it is another compressor

    @pytest.mark.parametrize("level", range(-1, 10))
    def test_every_level(self, level: int) -> None:
        compression = Compression(one_sided(12, True, level))
        peer = ZlibPeer(their_bits=12)
        text = b"the same over and over, " * 30
        for message in (text, text, b"", b"end"):
            assert peer.inflate(compression.compress(message)) == message

    def test_what_is_said_twice_costs_little_with_takeover(self) -> None:
        text = random.Random(1).randbytes(1000)
        with_it = Compression(one_sided(12, True))
        without = Compression(one_sided(12, False))
        assert len(with_it.compress(text)) > 1000 < len(without.compress(text))
        assert len(with_it.compress(text)) < 50
        assert len(without.compress(text)) > 1000

    @given(
        messages=st.lists(st.binary(max_size=300) | st.sampled_from(WINDOW_TEXTS), max_size=8),
        cuts=st.lists(st.integers(0, 1 << 16), max_size=4),
        bits=st.sampled_from(BITS),
        takeover=st.booleans(),
        data=st.data(),
    )
    def test_two_of_ours(
        self,
        messages: list[bytes],
        cuts: list[int],
        bits: int,
        takeover: bool,
        data: st.DataObject,
    ) -> None:
        """In fragments or not, cut anywhere on its way."""
        sender = Compression(one_sided(bits, takeover))
        receiver = Compression(one_sided(bits, takeover))
        for message in messages:
            if data.draw(st.booleans()):
                payload = sender.compress(message)
            else:
                *parts, last = cut(message, cuts)
                pieces = [sender.compress_fragment(part, False) for part in parts]
                payload = b"".join(pieces) + sender.compress_fragment(last, True)
            pieces = cut(payload, data.draw(st.lists(st.integers(0, 1 << 16), max_size=5)))
            assert inflate(receiver, *pieces) == message


def inflate(compression: Compression, *pieces: bytes, limit: int = 1 << 20) -> bytes:
    """Inflate a message as the session does: what came out leaves less room for the rest."""
    result = b""
    last = len(pieces) - 1
    for i, piece in enumerate(pieces):
        result += compression.inflate(piece, i == last, limit - len(result), limit)
    return result


HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")


class TestExamples:
    """RFC 7692 section 7.2.3, octet for octet; compressed as in the RFC by zlib's defaults."""

    @pytest.fixture
    def compression(self) -> Compression:
        return Compression(one_sided(15, True, mem_level=8))

    def test_one_block(self, compression: Compression) -> None:
        assert compression.compress(b"Hello") == HELLO
        assert inflate(compression, HELLO) == b"Hello"

    def test_in_two_fragments(self, compression: Compression) -> None:
        assert inflate(compression, HELLO[:3], HELLO[3:]) == b"Hello"

    def test_octet_by_octet(self, compression: Compression) -> None:
        assert inflate(compression, *(HELLO[i : i + 1] for i in range(7))) == b"Hello"

    def test_sharing_the_window(self, compression: Compression) -> None:
        again = bytes.fromhex("f2 00 11 00 00")
        assert [compression.compress(b"Hello") for _ in range(2)] == [HELLO, again]
        assert [inflate(compression, data) for data in (HELLO, again)] == [b"Hello"] * 2

    def test_without_sharing_the_window(self) -> None:
        compression = Compression(one_sided(15, False))
        assert [compression.compress(b"Hello") for _ in range(2)] == [HELLO] * 2
        assert [inflate(compression, HELLO) for _ in range(2)] == [b"Hello"] * 2

    def test_a_reference_to_a_window_that_is_not_kept_is_refused(self) -> None:
        compression = Compression(one_sided(15, False))
        inflate(compression, HELLO)
        with pytest.raises(WebSocketPayloadException):
            inflate(compression, bytes.fromhex("f2 00 11 00 00"))

    def test_a_block_without_compression(self, compression: Compression) -> None:
        assert inflate(compression, bytes.fromhex("00 05 00 fa ff 48 65 6c 6c 6f 00")) == b"Hello"

    @pytest.mark.parametrize("takeover", [True, False])
    def test_a_block_with_bfinal(self, takeover: bool) -> None:
        compression = Compression(one_sided(15, takeover))
        final = bytes.fromhex("f3 48 cd c9 c9 07 00 00")
        for _ in range(3):
            assert inflate(compression, final) == b"Hello"
            assert inflate(compression, *(final[i : i + 1] for i in range(8))) == b"Hello"
            assert inflate(compression, HELLO) == b"Hello"

    def test_two_blocks(self, compression: Compression) -> None:
        two = bytes.fromhex("f2 48 05 00 00 00 ff ff ca c9 c9 07 00")
        assert inflate(compression, two) == b"Hello"

    @pytest.mark.parametrize("takeover", [True, False])
    def test_an_empty_message(self, takeover: bool) -> None:
        """Section 7.2.3.6: one octet."""
        compression = Compression(one_sided(15, takeover))
        for _ in range(3):
            assert compression.compress(b"") == b"\x00"
            assert inflate(compression, b"\x00") == b""
            assert inflate(compression, b"\x02\x00") == b""
        assert ZlibPeer().inflate(compression.compress(b"")) == b""


class TestFragments:
    @pytest.mark.parametrize("takeover", [True, False])
    def test_zlib_inflates_them(self, takeover: bool) -> None:
        compression = Compression(one_sided(9, takeover))
        peer = ZlibPeer(their_bits=9, their_takeover=takeover)
        parts = [b"Hello", b"", b"Hello", bytes(1000), b""]
        for count in range(1, len(parts) + 1):
            pieces = [
                compression.compress_fragment(part, i == count - 1)
                for i, part in enumerate(parts[:count])
            ]
            assert peer.inflate(*pieces) == b"".join(parts[:count])
        assert peer.inflate(compression.compress(b"Hello")) == b"Hello"

    def test_a_fragment_can_be_inflated_when_it_comes(self) -> None:
        """Who reads a stream must not have to wait for the next fragment."""
        compression = Compression(one_sided(15, True))
        decompressor = zlib.decompressobj(-15)
        for part in (b"first ", b"second ", b"third"):
            sent = compression.compress_fragment(part, last=False)
            assert decompressor.decompress(sent) == part

    def test_what_has_come_of_a_message_is_inflated(self) -> None:
        compression = Compression(one_sided(15, True))
        first, second, third = ZlibPeer().fragments(b"first ", b"second ", b"third")
        assert compression.inflate(first, False, 100, 100) == b"first "
        assert compression.inflate(second, False, 94, 100) == b"second "
        assert compression.inflate(third, True, 87, 100) == b"third"

    @pytest.mark.parametrize("takeover", [True, False])
    def test_an_empty_message_in_fragments(self, takeover: bool) -> None:
        compression = Compression(one_sided(15, takeover))
        peer = ZlibPeer(their_takeover=takeover)
        for count in range(1, 5):
            pieces = [compression.compress_fragment(b"", i == count - 1) for i in range(count)]
            assert peer.inflate(*pieces) == b""
        assert peer.inflate(compression.compress(b"Hello")) == b"Hello"


class TestBombs:
    @pytest.mark.parametrize("takeover", [True, False])
    def test_a_gigabyte_is_refused_before_it_is_in_memory(self, takeover: bool) -> None:
        bomb = MEGABYTE * 1024 + b"\x00"
        assert len(bomb) < 2 << 20
        compression = Compression(one_sided(15, takeover))
        limit = 100_000
        tracemalloc.start()
        try:
            with pytest.raises(WebSocketMessageTooBigException, match=f"{limit}"):
                compression.inflate(bomb, True, limit, limit)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 3_000_000  # the bomb itself may be copied

    def test_nor_is_it_in_pieces(self) -> None:
        compression = Compression(one_sided(15, True))
        limit = 5 << 20
        for came in range(0, limit, 1 << 20):
            assert len(compression.inflate(MEGABYTE, False, limit - came, limit)) == 1 << 20
        with pytest.raises(WebSocketMessageTooBigException):
            compression.inflate(MEGABYTE, False, 0, limit)

    @pytest.mark.parametrize("size", [1, 100, 65536, 100_000])
    @pytest.mark.parametrize("takeover", [True, False])
    def test_the_limit_is_exact(self, size: int, takeover: bool) -> None:
        peer = ZlibPeer(takeover=takeover)
        compression = Compression(one_sided(15, takeover))
        for message in (bytes(size), random.Random(size).randbytes(size)):
            payload = peer.compress(message)
            assert compression.inflate(payload, True, size, size) == message
        with pytest.raises(WebSocketMessageTooBigException) as caught:
            compression.inflate(peer.compress(bytes(size + 1)), True, size, size)
        assert caught.value.close_code == CloseCode.MESSAGE_TOO_BIG

    @pytest.mark.parametrize("takeover", [True, False])
    def test_where_there_is_no_room_left(self, takeover: bool) -> None:
        """For zlib itself, a limit of 0 means that there is none."""
        for payload in (b"\x00", b"", b"\x02\x00"):
            compression = Compression(one_sided(15, takeover))
            assert compression.inflate(payload, True, 0, 10) == b""
        compression = Compression(one_sided(15, takeover))
        assert compression.inflate(b"", False, 0, 10) == b""
        with pytest.raises(WebSocketMessageTooBigException):
            compression.inflate(HELLO, True, 0, 10)
        compression = Compression(one_sided(15, takeover))
        with pytest.raises(WebSocketMessageTooBigException):
            compression.inflate(MEGABYTE, False, 0, 10)

    def test_nor_is_a_gigabyte_behind_a_final_block(self) -> None:
        bomb = b"\x03\x00" + MEGABYTE * 200
        tracemalloc.start()
        try:
            with pytest.raises(WebSocketMessageTooBigException):
                Compression(one_sided(15, True)).inflate(bomb, True, 100_000, 100_000)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 3_000_000

    def test_a_final_block_does_not_let_more_in(self) -> None:
        """What follows a block with BFINAL counts with what came before it."""
        final = bytes.fromhex("f3 48 cd c9 c9 07 00")
        payload = final + final + b"\x00"
        compression = Compression(one_sided(15, False))
        assert compression.inflate(payload, True, 10, 10) == b"HelloHello"
        with pytest.raises(WebSocketMessageTooBigException):
            compression.inflate(payload, True, 9, 9)
        with pytest.raises(WebSocketMessageTooBigException):
            Compression(one_sided(15, False)).inflate(payload, True, 5, 5)


class TestCorruption:
    @pytest.mark.parametrize("takeover", [True, False])
    @pytest.mark.parametrize(
        "payload",
        [b"\xff" * 10, b"\x06", b"\x07", b"\x00\x05\x00\x05\x00Hello\x00", b"Hello", b"\x78\x9c"],
    )
    def test_what_is_not_deflated(self, payload: bytes, takeover: bool) -> None:
        compression = Compression(one_sided(15, takeover))
        with pytest.raises(WebSocketPayloadException) as caught:
            inflate(compression, payload + b"\xff" * 10)
        assert caught.value.close_code == CloseCode.INVALID_PAYLOAD

    @given(st.binary(max_size=200), st.booleans())
    def test_anything_may_come(self, payload: bytes, takeover: bool) -> None:
        """It is inflated as zlib would, or refused with one of our own exceptions."""
        compression = Compression(one_sided(15, takeover))
        try:
            result = inflate(compression, payload, limit=1000)
        except WebSocketPeerException:
            return
        assert len(result) <= 1000

    @given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
    def test_cuts_make_no_difference(self, payload: bytes, cuts: list[int]) -> None:
        outcomes = []
        for pieces in ([payload], cut(payload, cuts)):
            try:
                outcomes.append(inflate(Compression(one_sided(15, True)), *pieces, limit=1000))
            except WebSocketPeerException as exc:
                outcomes.append(type(exc).__name__.encode())
        assert outcomes[0] == outcomes[1]

    @pytest.mark.parametrize("takeover", [True, False])
    @pytest.mark.parametrize("cut_up", [False, True])
    def test_many_final_blocks_are_refused(self, takeover: bool, cut_up: bool) -> None:
        """Each costs us a new decompressor, and the peer two octets."""
        block = b"\x03\x00"
        few, many = block * 3 + b"\x00", block * 10_000 + b"\x00"
        compression = Compression(one_sided(15, takeover))
        for _ in range(100):
            assert inflate(compression, few) == b""
        pieces = [many[i : i + 10] for i in range(0, len(many), 10)] if cut_up else [many]
        with pytest.raises(WebSocketPeerException):
            inflate(compression, *pieces)


def memory_of(made: Any) -> int:
    """Return how many bytes are held by what *made* returns when it is called."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = made()
        size, _ = tracemalloc.get_traced_memory()
        assert kept is not None
        return size
    finally:
        tracemalloc.stop()


TEXT_OF_1000 = b"a text that is long enough to be compressed. " * 23


class TestMemory:
    def test_nothing_is_made_before_the_first_message(self) -> None:
        agreement = one_sided(15, True)
        size = memory_of(lambda: [Compression(agreement) for _ in range(1000)])
        assert size < 200 * 1000

    def test_sending_without_takeover_keeps_nothing(self) -> None:
        """A compressor of this kind would be 256 KiB."""
        agreement = one_sided(15, False, mem_level=8)
        Compression(agreement).compress(TEXT_OF_1000)  # makes what is shared

        def made() -> list[Compression]:
            connections = [Compression(agreement) for _ in range(100)]
            for connection in connections:
                connection.compress(TEXT_OF_1000)
            return connections

        assert memory_of(made) < 100_000

    def test_receiving_without_takeover_keeps_nothing(self) -> None:
        agreement = one_sided(15, False)
        payload = ZlibPeer().compress(TEXT_OF_1000)

        def made() -> list[Compression]:
            connections = [Compression(agreement) for _ in range(100)]
            for connection in connections:
                assert inflate(connection, payload[:20], payload[20:]) == TEXT_OF_1000
            return connections

        assert memory_of(made) < 100_000

    def test_a_client_that_sends_by_default_holds_about_32_kib(self) -> None:
        agreement, _ = agreements()

        def made() -> list[Compression]:
            connections = [Compression(agreement) for _ in range(20)]
            for connection in connections:
                connection.compress(TEXT_OF_1000)
            return connections

        assert 10_000 < memory_of(made) / 20 < 48 * 1024

    def test_fragments_without_takeover_keep_nothing_after_the_last(self) -> None:
        agreement = one_sided(15, False, mem_level=8)
        Compression(agreement).compress(TEXT_OF_1000)

        def made() -> list[Compression]:
            connections = [Compression(agreement) for _ in range(50)]
            for connection in connections:
                connection.compress_fragment(TEXT_OF_1000, False)
                connection.compress_fragment(TEXT_OF_1000, True)
            return connections

        assert memory_of(made) < 100_000


SECRET = bytes(range(65, 91)) * 3


class TestSharing:
    """Without takeover, connections compress on the same scratch."""

    @pytest.mark.parametrize("engine", ENGINES)
    def test_one_connections_text_is_not_in_another_s(
        self, engine: Literal["zlib", "isal"]
    ) -> None:
        if engine == "isal":
            pytest.importorskip("isal")
        agreement = Agreement(Deflate(engine=engine), 15, 15, False, False)
        expected = Compression(agreement).compress(SECRET)
        for _ in range(3):
            Compression(agreement).compress(SECRET + b"!")
            assert Compression(agreement).compress(SECRET) == expected
            assert ZlibPeer().inflate(compress_alone(agreement, SECRET)) == SECRET

    def test_nor_within_a_message_that_is_not_complete(self) -> None:
        agreement = one_sided(15, False)
        one, other = Compression(agreement), Compression(agreement)
        begin = one.compress_fragment(SECRET, last=False)
        assert ZlibPeer().inflate(other.compress(SECRET)) == SECRET
        assert ZlibPeer().inflate(compress_alone(agreement, SECRET)) == SECRET
        middle = other.compress_fragment(b"of the other", last=False)
        end = one.compress_fragment(SECRET, last=True)
        last = other.compress_fragment(SECRET, last=True)
        assert ZlibPeer().inflate(begin, end) == SECRET * 2
        assert ZlibPeer().inflate(middle, last) == b"of the other" + SECRET

    def test_nor_after_one_that_was_given_up(self) -> None:
        agreement = one_sided(15, False)
        for _ in range(3):
            given_up = Compression(agreement)
            given_up.compress_fragment(SECRET, last=False)
            del given_up
            gc.collect()
            for _ in range(3):
                assert ZlibPeer().inflate(Compression(agreement).compress(SECRET)) == SECRET

    def test_a_takeover_keeps_to_its_connection(self) -> None:
        agreement = one_sided(12, True)
        one, other = Compression(agreement), Compression(agreement)
        one.compress(SECRET)
        assert ZlibPeer().inflate(other.compress(SECRET)) == SECRET

    def test_a_peer_cannot_refer_to_what_others_have_received(self) -> None:
        agreement = one_sided(15, False)
        peer = ZlibPeer()
        for _ in range(3):
            inflate(Compression(agreement), ZlibPeer().compress(SECRET))
            peer.compress(SECRET)
            with pytest.raises(WebSocketPayloadException):
                inflate(Compression(agreement), peer.compress(SECRET))

    def test_threads_do_not_get_into_each_other_s_way(self) -> None:
        """Reactors run on several threads, and zlib lets other threads run while it works."""
        agreement = one_sided(15, False)
        source = random.Random(3)
        texts = [source.randbytes(5000) * 6 for _ in range(4)]
        wrong: list[object] = []

        def work(text: bytes) -> None:
            try:
                for i in range(40):
                    connection = Compression(agreement)
                    if i % 2:
                        payload = connection.compress(text)
                    else:
                        payload = connection.compress_fragment(text[:9000], last=False)
                        payload += connection.compress_fragment(text[9000:], last=True)
                    if zlib.decompressobj(-15).decompress(payload + TAIL) != text:
                        wrong.append(i)
            except Exception as exc:
                wrong.append(exc)

        threads = [threading.Thread(target=work, args=(text,)) for text in texts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_another_thread_may_take_the_last_of_it(self, monkeypatch: Any) -> None:
        """Between the look whether there is one, and the taking."""

        class Taken(list[Any]):
            def __len__(self) -> int:
                return 1

        agreement = one_sided(15, False)
        monkeypatch.setattr(deflate, "_scratch", {agreement.compressor: Taken()})
        assert ZlibPeer().inflate(compress_alone(agreement, SECRET)) == SECRET


class TestAlone:
    """What is compressed once for many receivers."""

    @pytest.mark.parametrize("takeover", [True, False])
    @pytest.mark.parametrize("bits", BITS)
    def test_a_receiver_inflates_it_between_its_own_messages(
        self, bits: int, takeover: bool
    ) -> None:
        agreement = one_sided(bits, takeover)
        compression = Compression(agreement)
        peer = ZlibPeer(their_bits=bits, their_takeover=takeover)
        for message in WINDOW_TEXTS[:12]:
            assert peer.inflate(compression.compress(SECRET)) == SECRET
            assert peer.inflate(compress_alone(agreement, message)) == message
            compression.forget()
            assert peer.inflate(compression.compress(SECRET)) == SECRET

    def test_a_connection_that_has_sent_nothing_has_nothing_to_forget(self) -> None:
        compression = Compression(one_sided(12, True))
        compression.forget()
        assert ZlibPeer().inflate(compression.compress(SECRET)) == SECRET

    def test_after_forgetting_nothing_is_referred_to(self) -> None:
        compression = Compression(one_sided(12, True))
        compression.compress(SECRET)
        compression.forget()
        assert ZlibPeer().inflate(compression.compress(SECRET)) == SECRET

    def test_an_empty_message(self) -> None:
        assert ZlibPeer().inflate(compress_alone(one_sided(12, True), b"")) == b""


def test_of_a_message_that_ends_within_a_block_nothing_is_made_up() -> None:
    text = b"The quick brown fox jumps over the lazy dog and runs away from it."
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    whole = (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    agreement = one_sided(15, True)
    assert Compression(agreement).inflate(whole, True, 1000, 1000) == text
    refused = 0
    for size in range(1, len(whole) - 1):
        try:
            inflated = Compression(agreement).inflate(whole[:size], True, 1000, 1000)
        except WebSocketPayloadException:
            refused += 1
        else:
            assert text.startswith(inflated)
    assert refused > len(whole) / 2
