"""pcapng: the blocks of the file format, written and read.

What it is: pure functions for the blocks that a recording is made of, and :func:`read_packets`,
which takes the packets out of a file, whoever has written it.

What it must not know: what is in a packet; where files are, and how they are compressed.

How it works. A file is a sequence of blocks, each with its length at both ends, so that a torn one
is found at once (draft-ietf-opsawg-pcapng). We write one section, with one interface for Ethernet,
in little-endian, and times in nanoseconds. We read any number of sections and interfaces, in
either byte order, and skip the blocks that are not about packets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple, Protocol

from ...base.printable import quoted
from ...exceptions import WebSocketRecordingException

__all__ = [
    "ETHERNET",
    "INBOUND",
    "MARK",
    "OUTBOUND",
    "Packet",
    "Source",
    "beginning",
    "packet",
    "read_packets",
    "statistics",
]

SECTION, INTERFACE, SIMPLE, STATISTICS, ENHANCED = 0x0A0D0D0A, 1, 3, 5, 6
BYTE_ORDER = 0x1A2B3C4D

#: The first bytes of every file.
MARK = SECTION.to_bytes(4, "little")

#: The link type of what we write.
ETHERNET = 1

#: The direction of a packet, as seen by who has recorded it (option epb_flags).
INBOUND, OUTBOUND = 1, 2

#: Bytes of the longest block that is read: a packet of ours has some 64 KiB.
MAX_BLOCK = 64 * 1024 * 1024

#: The first bytes of the older format.
PCAP = {0xA1B2C3D4, 0xD4C3B2A1, 0xA1B23C4D, 0x4D3CB2A1}

_pack_enhanced = Struct("<IIIIIII").pack
_pack_pair = Struct("<HH").pack
_pack_long = Struct("<I").pack
_pack_flags = Struct("<HHI").pack

#: By byte order: the beginning of a block, that of a packet, of an option, and a number.
_READ = {
    order: (
        Struct(order + "II").unpack,
        Struct(order + "IIIII").unpack_from,
        Struct(order + "HH").unpack_from,
        Struct(order + "I").unpack,
    )
    for order in "<>"
}


# --- writing ----------------------------------------------------------------------------------


def _option(code: int, value: bytes) -> bytes:
    return _pack_pair(code, len(value)) + value + bytes(-len(value) & 3)


def _block(kind: int, body: bytes) -> bytes:
    length = _pack_long(len(body) + 12)
    return _pack_long(kind) + length + body + length


def beginning(application: str) -> bytes:
    """Return what a file begins with: a section, and one interface.

    Args:
        application: the name of the program that writes it.
    """
    section = Struct("<IHHq").pack(BYTE_ORDER, 1, 0, -1) + _option(4, application.encode())
    interface = Struct("<HHI").pack(ETHERNET, 0, 0)
    interface += _option(2, b"reactor") + _option(9, b"\x09")  # if_name; if_tsresol: 10 ** -9 s
    end = bytes(4)
    return _block(SECTION, section + end) + _block(INTERFACE, interface + end)


def packet(time: int, data: bytes, direction: int, comments: Sequence[str] = ()) -> bytes:
    """Return the block of a packet.

    Args:
        time: nanoseconds since 1970.
        data: the packet, from its link header on.
        direction: INBOUND or OUTBOUND.
        comments: what is to be shown beside it; each of at most 65,535 bytes.
    """
    size = len(data)
    padding = -size & 3
    options = _pack_flags(2, 4, direction)
    for comment in comments:
        options += _option(1, comment.encode(errors="replace"))
    length = 36 + size + padding + len(options)
    head = _pack_enhanced(ENHANCED, length, 0, time >> 32, time & 0xFFFFFFFF, size, size)
    return b"".join((head, data, bytes(padding), options, bytes(4), _pack_long(length)))


def statistics(time: int, received: int, dropped: int) -> bytes:
    """Return the block that a file ends with.

    Args:
        time: nanoseconds since 1970.
        received: packets that were to be recorded.
        dropped: how many of them are not in the file.
    """
    body = Struct("<III").pack(0, time >> 32, time & 0xFFFFFFFF)
    for code, count in ((4, received), (5, dropped)):
        body += _option(code, count.to_bytes(8, "little"))
    return _block(STATISTICS, body + bytes(4))


# --- reading ----------------------------------------------------------------------------------


class Packet(NamedTuple):
    """A packet of a file.

    Attributes:
        offset: where its block begins in the file, in bytes.
        time: nanoseconds since 1970.
        link: the link type.
        data: the packet.
        cut: how many of its bytes were not captured.
        direction: INBOUND, OUTBOUND, or 0 for unknown.
        comments: those of the packet.
    """

    offset: int
    time: int
    link: int
    data: bytes
    cut: int
    direction: int
    comments: list[str]


class Source(Protocol):
    """A file to read from."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes: fewer than *size* only at the end."""


@dataclass
class _Interface:
    """An interface of a section: its link type, and how its times are to be read."""

    link: int
    unit: int = 1_000_000  # of a second
    offset: int = 0  # seconds

    def nanoseconds(self, high: int, low: int) -> int:
        count = high << 32 | low
        return self.offset * 1_000_000_000 + count * 1_000_000_000 // self.unit


def read_packets(source: Source, name: str) -> Iterator[Packet]:
    """Yield the packets of a file, in their order.

    Args:
        source: the file, from its first byte on.
        name: its name, for errors.

    Raises:
        WebSocketRecordingException: the file is torn, or is no pcapng file. The message names the
            offset, and the reason.
    """
    order = "<"
    interfaces: list[_Interface] = []
    offset = 0

    def bad(reason: str) -> WebSocketRecordingException:
        return WebSocketRecordingException(reason, name, offset)

    while True:
        head = source.read(8)
        if not head and offset:
            return
        if not offset:
            _check_first(head, bad)
        if len(head) < 8:
            raise bad(f"the file is cut off: {len(head)} bytes of a block are there")
        if head[:4] == MARK:
            magic = source.read(4)
            if len(magic) < 4:
                raise bad("the file is cut off within its first block")
            order = _byte_order(magic, bad)
            interfaces = []
        else:
            magic = b""
        kind, length = _READ[order][0](head)
        if length < 12 or length & 3 or length > MAX_BLOCK:
            raise bad(f"a block cannot have {length} bytes")
        rest = magic + source.read(length - 8 - len(magic))
        if len(rest) < length - 8:
            raise bad(f"the file is cut off: {8 + len(rest)} of the {length} bytes of a block")
        if rest[-4:] != head[4:]:
            raise bad(f"a block has two lengths: {length} at its beginning, another at its end")
        body = rest[:-4]
        if kind == INTERFACE:
            interfaces.append(_read_interface(order, body, bad))
        elif kind == ENHANCED:
            yield _read_enhanced(order, body, interfaces, offset, bad)
        elif kind == SIMPLE:
            raise bad("it has packets without a time (simple packet blocks)")
        offset += length


def _check_first(head: bytes, bad: _Bad) -> None:
    if head[:4] == MARK[: len(head)] and head:
        return
    if int.from_bytes(head[:4], "little") in PCAP and len(head) >= 4:
        raise bad("this is a pcap file, not pcapng; this makes one: editcap -F pcapng OLD NEW")
    raise bad(f"this is no pcapng file: it begins with {quoted(head)}" if head else "it is empty")


def _byte_order(magic: bytes, bad: _Bad) -> str:
    for order in "<>":
        if magic == Struct(order + "I").pack(BYTE_ORDER):
            return order
    raise bad(f"no byte order is known by {quoted(magic)}")


def _read_interface(order: str, body: bytes, bad: _Bad) -> _Interface:
    if len(body) < 8:
        raise bad("the block of an interface is too short")
    interface = _Interface(Struct(order + "H").unpack_from(body)[0])
    for code, value in _options(order, body, 8, bad):
        if code == 9 and value:
            power = value[0] & 0x7F
            interface.unit = 2**power if value[0] & 0x80 else 10**power
        elif code == 14 and len(value) == 8:
            interface.offset = Struct(order + "q").unpack(value)[0]
    return interface


def _read_enhanced(
    order: str, body: bytes, interfaces: list[_Interface], offset: int, bad: _Bad
) -> Packet:
    if len(body) < 20:
        raise bad("the block of a packet is too short")
    _, unpack_head, _, unpack_number = _READ[order]
    number, high, low, size, whole = unpack_head(body)
    if number >= len(interfaces):
        raise bad(f"a packet is of interface {number}, and there are {len(interfaces)}")
    if 20 + size > len(body):
        raise bad(f"a packet of {size} bytes does not fit into its block")
    interface = interfaces[number]
    direction, comments = 0, []
    for code, value in _options(order, body, 20 + size + (-size & 3), bad):
        if code == 1:
            comments.append(value.decode(errors="replace"))
        elif code == 2 and len(value) == 4:
            direction = unpack_number(value)[0] & 3
    time = interface.nanoseconds(high, low)
    data = body[20 : 20 + size]
    return Packet(offset, time, interface.link, data, max(0, whole - size), direction, comments)


def _options(order: str, body: bytes, start: int, bad: _Bad) -> Iterator[tuple[int, bytes]]:
    unpack_pair = _READ[order][2]
    while start + 4 <= len(body):
        code, size = unpack_pair(body, start)
        if not code:
            return
        start += 4
        if start + size > len(body):
            raise bad(f"option {code} of {size} bytes does not fit into its block")
        yield code, body[start : start + size]
        start += size + (-size & 3)


class _Bad(Protocol):
    """Makes the exception for what is wrong with the block that is being read."""

    def __call__(self, reason: str, /) -> WebSocketRecordingException: ...
