"""Packets: Ethernet, IP and TCP around bytes, and the bytes taken out again.

What it is: :class:`Wrapping`, which makes the packets of one direction of a conversation, and
:func:`unwrap`, which reads a packet that somebody may really have captured.

What it must not know: files, connections, which packet follows which.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from .pcapng import ETHERNET

__all__ = ["ACK", "FIN", "MOST", "PSH", "RST", "SYN", "Endpoint", "Segment", "Wrapping", "unwrap"]

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

#: Bytes of TCP in a packet at most: the length of an IP packet has 16 bits.
MOST = 65_000

TCP = 6
IPV4, IPV6 = 0x0800, 0x86DD

#: The options of SYN: the largest segment, and a window scale of 14 (RFC 7323), so that nothing
#: looks as if a window were full.
SYN_OPTIONS = Struct("!BBHBBBB").pack(2, 4, MOST, 1, 3, 3, 14)

_pack_ipv4 = Struct("!BBHHHBBH4s4s").pack
_pack_ipv6 = Struct("!IHBB16s16s").pack
_pack_tcp = Struct("!HHIIBBHHH").pack
_unpack_tcp = Struct("!HHI").unpack_from

# Link types (https://www.tcpdump.org/linktypes.html): where the kind of what follows is, Ethernet
# and Linux's "any"; or where IP begins, the loopback of BSD, raw IP, Linux's "any" as of late.
_BEFORE = {ETHERNET: 12, 113: 14}
_FIXED = {0: 4, 108: 4, 12: 0, 101: 0, 228: 0, 229: 0, 276: 20}


class Endpoint(NamedTuple):
    """One end of a TCP connection: an IP address in its 4 or 16 bytes, and a port."""

    host: bytes
    port: int


def checksum_of(data: bytes) -> int:
    """Return the sum of the 16-bit words of *data*, modulo 65,535: see RFC 1071."""
    if len(data) & 1:
        data += b"\0"
    return int.from_bytes(data, "big") % 65535  # for the base 2 ** 16, as for 9s in decimal


def _finish(total: int) -> int:
    """Return what goes into a header for the sum of everything else."""
    rest = total % 65535
    return 65535 - rest if rest else 0


class Wrapping:
    """Makes the packets from one endpoint to another one.

    Args:
        source, target: of the same kind of IP.
        outbound: whether *source* is the end that records; the addresses of Ethernet tell.
    """

    __slots__ = ("_four", "_link", "_ports", "_source", "_sum", "_target")

    def __init__(self, source: Endpoint, target: Endpoint, outbound: bool) -> None:
        self._four = len(source.host) == 4
        # "Locally administered" addresses: the second bit (IEEE 802).
        ends = (b"\x02\0\0\0\0\x02", b"\x02\0\0\0\0\x01")
        to, of = ends if outbound else ends[::-1]
        self._link = to + of + (IPV4 if self._four else IPV6).to_bytes(2, "big")
        self._source, self._target = source, target
        self._sum = checksum_of(source.host + target.host) + TCP

    def segment(self, seq: int, ack: int, flags: int, payload: bytes = b"") -> bytes:
        """Return a packet.

        Args:
            seq, ack: the numbers, of 32 bits.
            flags: FIN, SYN, RST, PSH, ACK, added.
            payload: at most MOST bytes.
        """
        source, target = self._source, self._target
        options = SYN_OPTIONS if flags & SYN else b""
        size = 20 + len(options) + len(payload)
        words = (20 + len(options)) >> 2 << 4
        head = _pack_tcp(source.port, target.port, seq, ack, words, flags, 65535, 0, 0)
        head += options
        total = _finish(self._sum + size + checksum_of(head) + checksum_of(payload))
        head = b"".join((head[:16], total.to_bytes(2, "big"), head[18:]))
        if self._four:
            parts = (0x45, 0, 20 + size, 0, 0x4000, 64, TCP, 0, source.host, target.host)
            ip = _pack_ipv4(*parts)
            ip = ip[:10] + _finish(checksum_of(ip)).to_bytes(2, "big") + ip[12:]
        else:
            ip = _pack_ipv6(0x60000000, size, TCP, 64, source.host, target.host)
        return b"".join((self._link, ip, head, payload))


class Segment(NamedTuple):
    """What TCP says in a packet."""

    source: Endpoint
    target: Endpoint
    seq: int
    flags: int
    payload: bytes


def unwrap(link: int, data: bytes) -> Segment | None:
    """Return the TCP segment in a packet; None if there is none, or only part of its head.

    Args:
        link: the link type: Ethernet, raw IP, the loopback of BSD, or Linux's "any".
        data: the packet.
    """
    at = _begin_of_ip(link, data)
    if at is None or at >= len(data):
        return None
    version = data[at] >> 4
    if version == 4 and len(data) >= at + 20:
        start = at + (data[at] & 15) * 4
        stop = at + int.from_bytes(data[at + 2 : at + 4], "big")
        kind, fragment = data[at + 9], int.from_bytes(data[at + 6 : at + 8], "big") & 0x3FFF
        source, target = data[at + 12 : at + 16], data[at + 16 : at + 20]
        if fragment:
            return None
    elif version == 6 and len(data) >= at + 40:
        start = at + 40
        stop = start + int.from_bytes(data[at + 4 : at + 6], "big")
        kind, source, target = data[at + 6], data[at + 8 : at + 24], data[at + 24 : at + 40]
    else:
        return None
    if kind != TCP or len(data) < start + 20:
        return None
    if stop <= start:  # the network card was to fill it in
        stop = len(data)
    of, to, seq = _unpack_tcp(data, start)
    begin = start + (data[start + 12] >> 4) * 4
    return Segment(
        Endpoint(source, of), Endpoint(target, to), seq, data[start + 13], data[begin:stop]
    )


def _begin_of_ip(link: int, data: bytes) -> int | None:
    where = _BEFORE.get(link)
    if where is None:
        return _FIXED.get(link)
    while data[where : where + 2] in (b"\x81\x00", b"\x88\xa8"):  # VLAN tags
        where += 4
    return where + 2
