"""Frames built and read byte by byte from RFC 6455 section 5.2, for peers and for checks.

What it is: functions. They are slow and plain on purpose. The builder can also build frames that no
endpoint may send.

What it must not know: how the package does it, so that a fault there is not repeated here.
"""

from __future__ import annotations

from itertools import cycle
from operator import xor
from typing import NamedTuple

__all__ = [
    "BINARY",
    "CLOSE",
    "CONT",
    "KEY",
    "PING",
    "PONG",
    "TEXT",
    "Frame",
    "build_frame",
    "build_header",
    "close_payload",
    "mask_naively",
    "read_frames",
]

#: Opcodes (RFC 6455 section 5.2).
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

#: The key of masked frames whose key does not matter. No byte is zero: each must be applied.
KEY = b"\x37\xfa\x21\x3d"


class Frame(NamedTuple):
    """A frame as it was read.

    Attributes:
        fin: whether it is the last of its message.
        rsv: the three reserved bits, as a number from 0 to 7.
        opcode: from 0 to 15.
        mask: the four bytes of the masking key; None: it was not masked.
        payload: unmasked.
    """

    fin: bool
    rsv: int
    opcode: int
    mask: bytes | None
    payload: bytes


def mask_naively(data: bytes, key: bytes) -> bytes:
    """Mask or unmask: octet i with octet i modulo 4 of the key (RFC 6455 section 5.3).

    Args:
        data: the payload.
        key: four bytes.
    """
    return bytes(map(xor, data, cycle(key)))


def build_header(
    opcode: int,
    length: int,
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = None,
    length_bits: int | None = None,
) -> bytes:
    """Return the octets before the payload (RFC 6455 section 5.2).

    Args:
        opcode: from 0 to 15.
        length: what is said to be the length of the payload, in bytes.
        fin: whether this is the last frame of its message (default True).
        rsv: the three reserved bits, as a number from 0 to 7 (default 0).
        key: the four bytes to mask with, as clients must; None (default): not masked.
        length_bits: 7, 16 or 64, the form of the length; None (default): the shortest.
    """
    if length_bits is None:
        length_bits = 7 if length < 126 else 16 if length < 65536 else 64
    masked = 0 if key is None else 1
    octets = [fin << 7 | rsv << 4 | opcode]
    if length_bits == 7:
        octets.append(masked << 7 | length)
    elif length_bits == 16:
        octets.append(masked << 7 | 126)
        octets += [length >> shift & 255 for shift in (8, 0)]
    else:
        octets.append(masked << 7 | 127)
        octets += [length >> shift & 255 for shift in (56, 48, 40, 32, 24, 16, 8, 0)]
    return bytes(octets) + (key or b"")


def build_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = None,
    length_bits: int | None = None,
) -> bytes:
    """Return a whole frame.

    Args:
        opcode: from 0 to 15.
        payload: the application data, not masked.
        fin, rsv, key, length_bits: as for :func:`build_header`.
    """
    header = build_header(opcode, len(payload), fin=fin, rsv=rsv, key=key, length_bits=length_bits)
    return header + (payload if key is None else mask_naively(payload, key))


def close_payload(code: int, reason: bytes = b"") -> bytes:
    """Return the payload of a close frame (RFC 6455 section 5.5.1).

    Args:
        code: from 0 to 65535, also one that may not be sent.
        reason: the reason in UTF-8 (default empty).
    """
    return bytes([code >> 8, code & 255]) + reason


def read_frames(data: bytes) -> list[Frame]:
    """Return the frames that *data* consists of.

    Raises:
        AssertionError: A length is not in its shortest form, or the last frame is not whole.
    """
    frames = []
    while data:
        first, second = data[0], data[1]
        length, size = second & 127, 2
        if length == 126:
            length, size = int.from_bytes(data[2:4], "big"), 4
            assert length > 125, "a length in a longer form than needed"
        elif length == 127:
            length, size = int.from_bytes(data[2:10], "big"), 10
            assert length > 65535, "a length in a longer form than needed"
        key = None
        if second & 128:
            key = data[size : size + 4]
            size += 4
        payload = data[size : size + length]
        assert len(payload) == length, "the last frame is not whole"
        if key is not None:
            payload = mask_naively(payload, key)
        frames.append(Frame(first >= 128, first >> 4 & 7, first & 15, key, payload))
        data = data[size + length :]
    return frames
