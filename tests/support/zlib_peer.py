"""A peer's half of permessage-deflate, with nothing but RFC 7692 and the standard library's zlib.

Slow and plain on purpose: what the package compresses and inflates is compared with this.
"""

from __future__ import annotations

import zlib
from typing import Any

from reactor import Deflate
from reactor.protocols.deflate import Agreement
from reactor.protocols.http.negotiation import accept_offers, check_answer, make_offer

from .websocket_frames import CONT, build_frame

TAIL = b"\x00\x00\xff\xff"

RSV1 = 4

#: A kilobyte that inflates to a megabyte, on its own: it can be repeated (full flush).
_compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
MEGABYTE = _compressor.compress(bytes(1 << 20)) + _compressor.flush(zlib.Z_FULL_FLUSH)


class ZlibPeer:
    """Compresses what it sends, and inflates what it gets.

    Parameters:
        bits: of the window that it compresses with, 9 to 15; zlib makes no compressor with 8.
        takeover: whether what it sends refers to earlier messages.
        their_bits: of the window that it inflates with, 8 to 15.
        their_takeover: whether it keeps that window between messages.
        level: of compression.
    """

    def __init__(
        self,
        bits: int = 15,
        takeover: bool = True,
        their_bits: int = 15,
        their_takeover: bool = True,
        level: int = 6,
    ) -> None:
        self._bits = bits
        self._takeover = takeover
        self._their_bits = their_bits
        self._their_takeover = their_takeover
        self._level = level
        self._compressor: Any = None
        self._decompressor: Any = None

    def compress(self, data: bytes) -> bytes:
        """Compress a message (section 7.2.1)."""
        return self.fragments(data)[0]

    def fragments(self, *parts: bytes) -> list[bytes]:
        """Compress a message in fragments: each of them inflates to one of *parts*."""
        if self._compressor is None or not self._takeover:
            self._compressor = zlib.compressobj(self._level, zlib.DEFLATED, -self._bits)
        payloads = [
            self._compressor.compress(part) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
            for part in parts
        ]
        assert payloads[-1].endswith(TAIL)
        # zlib adds nothing to a flush that follows a flush.
        payloads[-1] = payloads[-1][:-4]
        return payloads

    def inflate(self, *fragments: bytes) -> bytes:
        """Inflate a message (section 7.2.2), with a window that is no larger than agreed.

        Octet by octet: zlib would find in its output what is not in its window any more.
        """
        if self._decompressor is None or not self._their_takeover:
            self._decompressor = zlib.decompressobj(-self._their_bits)
        rest = b"".join(fragments) + TAIL
        result = bytearray()
        while rest:
            piece, rest = rest[:512], rest[512:]
            while piece:
                result += self._decompressor.decompress(piece, 1)
                piece = self._decompressor.unconsumed_tail
        while last := self._decompressor.decompress(b"", 1):
            result += last
        return bytes(result)


def compressed_frames(opcode: int, *payloads: bytes, key: bytes | None = None) -> list[bytes]:
    """Return the frames of one message; the first of them says that it is compressed."""
    last = len(payloads) - 1
    return [
        build_frame(CONT if i else opcode, payload, fin=i == last, rsv=0 if i else RSV1, key=key)
        for i, payload in enumerate(payloads)
    ]


def parameters(extension: str) -> dict[str, str | None]:
    """Return the parameters of an element that is written plainly, without quotation marks."""
    name, *pairs = [part.strip() for part in extension.split(";")]
    assert name == "permessage-deflate"
    result: dict[str, str | None] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        assert key not in result, f"{key} comes twice"
        result[key] = value if equals else None
    return result


def agreements(
    client: Deflate | None = None, server: Deflate | None = None
) -> tuple[Agreement, Agreement]:
    """Return what a client and a server settle that want this; default: what Deflate() wants."""
    client = client or Deflate()
    answer, servers = accept_offers(server or Deflate(), [make_offer(client)])
    assert answer is not None
    assert servers is not None
    clients = check_answer(client, [answer])
    assert clients is not None
    return clients, servers
