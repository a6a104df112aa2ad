"""zlib called directly, and compressed messages; compared with Python's zlib and Python's way."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from reactor import Deflate, Reactor
from reactor.compiled import replace
from reactor.protocols.deflate import Agreement, Compression
from reactor.protocols.session import Role

from ..support.sockets import Sockets, received
from ..support.websocket_frames import BINARY, CLOSE, KEY, PING, TEXT, build_frame, read_frames
from ..support.zlib_peer import MEGABYTE, RSV1, TAIL, ZlibPeer
from .acting import BUILT, TAKEOVER, Act, echo
from .test_explain import run
from .test_scripts import compare
from .twins import Script, attach

pytestmark = [
    BUILT,
    pytest.mark.skipif(bool(replace.python_zlib), reason="zlib is not called directly"),
]

if replace.compiled:
    from reactor.compiled.deflate import Deflater, Inflater


def noise(size: int, of: bytes = b"abcdefgh", seed: int = 1) -> bytes:
    source = random.Random(seed)
    return bytes(source.choice(of) for _ in range(size))


PIECES = [b"", b"a", b"abcabcabc" * 50, noise(900), noise(20_000), noise(300_000), bytes(70_000)]

both_ways = pytest.mark.parametrize("way", ["both"], indirect=True)
compiled = pytest.mark.parametrize("way", ["compiled"], indirect=True)


# --- zlib's objects -----------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("flush", [zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_NO_FLUSH])
@pytest.mark.parametrize("parameters", [(5, 8, -12, 5), (1, 8, -15, 9), (9, 8, -9, 1)])
def test_a_deflater_puts_out_what_pythons_compressor_does(
    flush: int, parameters: tuple[int, int, int, int]
) -> None:
    ours, pythons = Deflater(*parameters), zlib.compressobj(*parameters)
    for piece in PIECES:
        assert ours.compress(piece) == pythons.compress(piece)
        assert ours.flush(flush) == pythons.flush(flush)


def inflated_by(inflater: Any, data: bytes, most: int) -> Iterator[Any]:
    """Everything that can be seen of an inflater, step by step."""
    try:
        while True:
            yield inflater.decompress(data, most)
            yield inflater.eof, inflater.unused_data, inflater.unconsumed_tail
            data = inflater.unconsumed_tail
            if not data:
                break
        yield inflater.decompress(TAIL)
    except zlib.error as exc:
        yield str(exc)


@both_ways
@pytest.mark.parametrize("most", [0, 50, 10_000, 1 << 20])
def test_an_inflater_does_what_pythons_does(most: int) -> None:
    peer = ZlibPeer()
    streams = [peer.compress(piece or b"not empty") for piece in PIECES]
    ours, pythons = Inflater(-15), zlib.decompressobj(-15)
    for stream in streams:
        assert list(inflated_by(ours, stream, most)) == list(inflated_by(pythons, stream, most))


@both_ways
@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff",  # no block has this type
        b"\x01",  # a final block, whose end is that of the message
        b"\x01\x00\x00\xff\xff" + b"behind it",
        zlib.compress(b"with a header"),
        ZlibPeer().compress(b"cut off")[:-3],
        b"\x03\x00",  # a final block without content
    ],
)
def test_an_inflater_ends_and_fails_as_pythons_does(data: bytes) -> None:
    for most in (1, 1000):
        ours, pythons = Inflater(-15), zlib.decompressobj(-15)
        for _ in range(2):
            assert list(inflated_by(ours, data, most)) == list(inflated_by(pythons, data, most))


@both_ways
def test_a_new_inflater_knows_nothing_of_the_one_before_it() -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = compressor.compress(b"a secret of one peer") + compressor.flush(zlib.Z_SYNC_FLUSH)
    second = compressor.compress(b"a secret of one peer") + compressor.flush(zlib.Z_SYNC_FLUSH)
    inflater = Inflater(-15)
    assert inflater.decompress(first) == b"a secret of one peer"
    del inflater
    with pytest.raises(zlib.error, match="too far back"):
        Inflater(-15).decompress(second)


@both_ways
@pytest.mark.parametrize("make", [lambda: Deflater(5, 8, -99, 5), lambda: Inflater(-99)])
def test_parameters_that_zlib_refuses(make: Any) -> None:
    with pytest.raises(ValueError, match="Invalid initialization option"):
        make()


# --- compressed messages ------------------------------------------------------------------------


def ending(data: bytes) -> bytes:
    """A message in a final block (RFC 7692 section 7.2.3.4)."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush() + b"\x00"


SQUEEZED = {
    "ascii": [ZlibPeer().compress(b"plain " * 40)],
    "wide": [ZlibPeer().compress("wide \U0001f600".encode() * 40)],
    "empty": [b"\x00", b""],
    "no payload": [b""],
    "at the limit": [ZlibPeer().compress(b"x" * 5000)],
    "above the limit": [ZlibPeer().compress(b"x" * 5001)],
    "far above it": [MEGABYTE[:-4]],
    "as large as the room": [ZlibPeer().compress(b"x" * (1 << 18))],
    "not UTF-8": [ZlibPeer().compress(b"ab\xff")],
    "half a character": [ZlibPeer().compress("é".encode()[:1])],
    "ends within a block": [ZlibPeer().compress(b"cut off" * 10)[:-3]],
    "ends in the last symbol": [ZlibPeer().compress(noise(500))[:-1]],
    "garbage": [b"\xff\xff"],
    "final": [ending(b"the end" * 9)],
    "final by the tail": [b"\x01"],
    "final, with more behind": [ending(b"the end") + ZlibPeer().compress(b"no, not yet")],
    "many final ones": [b"\x01\x00\x00\xff\xff" * 100],
    "too far back": [b"\x1a\x03\x02\x00"],
    "many": [ZlibPeer().compress(b"one of many")] * 300,
}


@both_ways
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("payloads", SQUEEZED.values(), ids=SQUEEZED)
def test_what_comes_is_the_same_both_ways(payloads: list[bytes], opcode: int, role: Role) -> None:
    """Alone, and between messages of the same read; and what comes after it."""
    key = KEY if role is Role.SERVER else None
    squeezed = b"".join(build_frame(opcode, payload, rsv=RSV1, key=key) for payload in payloads)
    peer = ZlibPeer()
    before, behind, later = (
        build_frame(TEXT, peer.compress(b"context " * count), rsv=RSV1, key=key)
        for count in (3, 4, 5)
    )
    plain = build_frame(TEXT, b"plain", key=key)
    for options in (
        {"max_message_size": 5000},
        {"max_message_size": 1 << 24},
        {"fragments": True, "fragment_size": 100},
        {"decode_text": False},
    ):
        for data in (
            squeezed,
            before + squeezed + behind,
            before + plain + squeezed + plain + behind,
        ):
            steps: list[tuple[Any, ...]] = [("peer", 0, data), ("turn",), ("turn",)]
            steps += [("peer", 0, later), ("turn",), ("look", 0, None)]
            for agreement in (TAKEOVER, Agreement(Deflate(), 12, 15, True, False)):
                compare(Script(role, dict(options), agreement=agreement, steps=steps))


@both_ways
@pytest.mark.parametrize("size", [1 << 18, (1 << 18) - 1, (1 << 18) + 1, 700_000])
def test_several_long_messages_in_one_read(size: int) -> None:
    """No more is inflated in one turn than Python would, in characters of any width."""
    peer = ZlibPeer()
    texts = [b"x" * size, "é".encode() + b"y" * (size - 2), "\u20ac".encode() + b"z" * (size - 3)]
    data = b"".join(build_frame(TEXT, peer.compress(text), rsv=RSV1) for text in [*texts, *texts])
    steps: list[tuple[Any, ...]] = [("peer", 0, data), *[("turn",)] * 12]
    compare(Script(Role.CLIENT, {}, agreement=TAKEOVER, steps=steps))


@both_ways
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("own_masks", [True, False])
@pytest.mark.parametrize(
    "agreement",
    [
        TAKEOVER,
        Agreement(Deflate(threshold=0), 15, 15, False, True),
        Agreement(Deflate(), 8, 8, True, True),
        Agreement(Deflate(engine="isal"), 12, 15, True, True),
    ],
)
def test_what_is_sent_is_the_same_both_ways(
    agreement: Agreement, own_masks: bool, role: Role
) -> None:
    values: list[Any] = ["", b"", "abcd", "abcde", "é" * 100, b"z" * 130, "y" * 127, "y" * 128]
    values += [noise(size).decode() for size in (1000, 16384, 16385, 70_000)]
    values += [noise(1000, bytes(range(256)))]
    steps: list[tuple[Any, ...]] = []
    for value in values:
        for compress in (None, None, True, False):
            steps += [("soon", 0, ("send", "plain", value, compress)), ("turn",)]
        steps.append(("look", 0, None))
    steps += [("soon", 0, ("fragment", "a" * 200, False)), ("turn",)]
    steps += [("soon", 0, ("fragment", "b" * 200, True)), ("soon", 0, ("send", "plain", "c" * 200))]
    steps += [("turn",), ("look", 0, None)]
    compare(Script(role, {}, own_masks=own_masks, agreement=agreement, steps=steps))


@compiled
@pytest.mark.parametrize("role", Role)
def test_an_echo_does_not_leave_the_compiled_way(
    loop: Reactor, sockets: Sockets, monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    near, far = sockets.pair()
    protocol = echo()
    connection = attach(loop, role, near, protocol, agreement=TAKEOVER)
    peer, key = ZlibPeer(), KEY if role is Role.SERVER else None
    for number in range(3):
        text = b"%d times" % number * 50
        far.send(build_frame(TEXT, peer.compress(text), rsv=RSV1, key=key))
        loop.run_once(1)
        [frame] = read_frames(received(far))
        assert frame.rsv == RSV1
        assert peer.inflate(frame.payload) == text
        # The first message makes what compresses.
        monkeypatch.delattr(Compression, "compress", raising=False)
    assert connection.session._assembler is None
    assert protocol.messages == [f"{number} times" * 50 for number in range(3)]


def test_pings_and_a_close_frame_between_compressed_messages(
    loop: Reactor, sockets: Sockets
) -> None:
    near, far = sockets.pair()
    protocol = Act()
    attach(loop, Role.CLIENT, near, protocol, agreement=TAKEOVER)
    peer = ZlibPeer()
    squeezed = [build_frame(TEXT, peer.compress(b"same " * 50), rsv=RSV1) for _ in range(3)]
    far.send(squeezed[0] + build_frame(PING, b"?") + squeezed[1])
    far.send(squeezed[2] + build_frame(CLOSE))
    loop.run_once(1)
    loop.run_once(0)
    assert protocol.names == ["open", "message", "ping", "message", "message", "close"]


# --- where zlib is not found --------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("zlib.__file__ = '/not/there'", "the library of Python's zlib was not found"),
        ("import _ctypes as other; zlib.__file__ = other.__file__", "does not show its function"),
        ("zlib.ZLIB_RUNTIME_VERSION = '0.1'", "which is not Python's"),
    ],
)
def test_without_zlibs_functions_pythons_objects_are_used(change: str, reason: str) -> None:
    done = run(
        f"import zlib\n{change}\n"
        "import reactor, reactor.protocols.deflate as m\n"
        "from reactor.compiled import replace\n"
        "print(reactor.compiled, m.new_compressor is zlib.compressobj, replace.python_zlib)"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True True ")
    assert reason in done.stdout
