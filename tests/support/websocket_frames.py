"""Frames built and read byte by byte from RFC 6455 section 5.2, knowing nothing of `reactor`.

Slow and plain on purpose: what the package parses and serializes is compared with this. The
builder can also build what no endpoint may send.
"""

from __future__ import annotations

from typing import NamedTuple

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

#: The key of masked frames whose key does not matter. No byte is zero: each must be applied.
KEY = b"\x37\xfa\x21\x3d"


class Frame(NamedTuple):
    """A frame as it was read; the payload is unmasked."""

    fin: bool
    rsv: int
    opcode: int
    mask: bytes | None
    payload: bytes


def mask_naively(data: bytes, key: bytes) -> bytes:
    """Mask or unmask, octet i with key octet i modulo 4 (section 5.3)."""
    return bytes(octet ^ key[i % 4] for i, octet in enumerate(data))


def build_header(
    opcode: int,
    length: int,
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = None,
    length_bits: int | None = None,
) -> bytes:
    """Return the octets before the payload.

    `length_bits` (7, 16 or 64) chooses the form of the length; default: the shortest.
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
    """Return a whole frame, masked when there is a key."""
    header = build_header(opcode, len(payload), fin=fin, rsv=rsv, key=key, length_bits=length_bits)
    return header + (payload if key is None else mask_naively(payload, key))


def close_payload(code: int, reason: bytes = b"") -> bytes:
    """Return the payload of a close frame (section 5.5.1)."""
    return bytes([code >> 8, code & 255]) + reason


def read_frames(data: bytes) -> list[Frame]:
    """Read whole frames, and insist on the shortest form of each length."""
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
