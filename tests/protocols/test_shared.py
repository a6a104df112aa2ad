"""A message for many: serialized once for each way in which it is sent."""

from __future__ import annotations

import zlib

from reactor import Deflate
from reactor.protocols.frames import OP_TEXT
from reactor.protocols.shared import SharedMessage
from reactor.testing import read_frames

from ..support.zlib_peer import RSV1, agreements

PAYLOAD = b"the same for everyone " * 40


def test_the_plain_frame_is_made_once() -> None:
    message = SharedMessage(OP_TEXT, PAYLOAD)
    assert message.plain is message.plain
    (frame,) = read_frames(message.plain)
    assert (frame.opcode, frame.fin, frame.rsv, frame.mask) == (OP_TEXT, True, 0, None)
    assert frame.payload == PAYLOAD


def test_the_compressed_frame_is_made_once_for_each_compressor() -> None:
    message = SharedMessage(OP_TEXT, PAYLOAD, True)
    _, server = agreements()
    frame = message.compressed(server)
    assert message.compressed(server) is frame
    (read,) = read_frames(frame)
    assert read.rsv == RSV1
    inflate = zlib.decompressobj(-15)
    assert inflate.decompress(read.payload + b"\x00\x00\xff\xff") == PAYLOAD


def test_connections_with_other_compressors_get_frames_of_their_own() -> None:
    message = SharedMessage(OP_TEXT, PAYLOAD, True)
    _, usual = agreements()
    _, same = agreements(server=Deflate(threshold=1))
    _, other = agreements(server=Deflate(level=1))
    assert message.compressed(same) is message.compressed(usual)
    assert message.compressed(other) is not message.compressed(usual)
