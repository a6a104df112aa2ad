"""A catalogue of what no peer may send (RFC 6455), with the close code that must answer it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reactor.protocols.session import Role
from tests.support.session_end import End
from tests.support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    build_frame,
    close_payload,
)

RESERVED_OPCODES = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]

BROKEN_TEXTS = [
    b"\x80",  # a continuation octet without a beginning
    b"\xff",
    b"\xc0\xaf",  # overlong forms
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xed\xa0\x80",  # surrogates
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",  # beyond U+10FFFF
    b"\xe2\x28\xa1",  # interrupted
    b"\xe2\x82",  # cut short by the end
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
]


class Fault(NamedTuple):
    """Frames, of which the last is at fault."""

    name: str
    code: int
    frames: list[bytes]

    @property
    def size(self) -> int:
        """The length of all frames in bytes."""
        return sum(map(len, self.frames))


def faults_of_headers(end: End) -> Iterator[Fault]:
    """Reserved bits, reserved opcodes, masks and lengths (sections 5.1 and 5.2)."""
    begin = end.frame(TEXT, b"a", fin=False)
    for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
        for rsv in range(1, 8):
            frame = end.frame(opcode, rsv=rsv)
            yield Fault(f"reserved bits {rsv:03b}, opcode {opcode}", 1002, [frame])
    last = end.frame(CONT, b"b", rsv=4)
    yield Fault("reserved bits in the last fragment", 1002, [begin, last])

    for opcode in RESERVED_OPCODES:
        for payload in (b"", b"payload"):
            frame = end.frame(opcode, payload)
            yield Fault(f"opcode {opcode}, {len(payload)} bytes", 1002, [frame])
        frame = end.frame(opcode, fin=False)
        yield Fault(f"opcode {opcode} between fragments", 1002, [begin, frame])

    key = KEY if end.role is Role.CLIENT else None
    for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
        for payload in (b"", close_payload(1000, b"ok")):
            frame = build_frame(opcode, payload, key=key)
            yield Fault(f"wrongly masked, opcode {opcode}, {len(payload)} bytes", 1002, [frame])
    for length in (126, 70000):
        frame = build_frame(BINARY, bytes(length), key=key)
        yield Fault(f"wrongly masked, {length} bytes", 1002, [frame])

    for opcode in (TEXT, BINARY):
        for length, bits in [(0, 16), (1, 16), (125, 16), (0, 64), (126, 64), (65535, 64)]:
            frame = end.frame(opcode, b"a" * length, length_bits=bits)
            yield Fault(f"opcode {opcode}, length {length} in {bits} bits", 1002, [frame])
        for length in (2**63, 2**64 - 1):
            yield Fault(f"opcode {opcode}, length {length}", 1002, [end.header(opcode, length)])
        yield Fault(f"opcode {opcode}, length 2**63-1", 1009, [end.header(opcode, 2**63 - 1)])


def faults_of_control_frames(end: End) -> Iterator[Fault]:
    """Control frames that are fragmented or too long (section 5.5), wrong close frames (7.4)."""
    begin = end.frame(TEXT, b"a", fin=False)
    for opcode in (PING, PONG, CLOSE):
        frame = end.frame(opcode, fin=False)
        yield Fault(f"fragmented, opcode {opcode}", 1002, [frame])
        yield Fault(f"fragmented, opcode {opcode}, between fragments", 1002, [begin, frame])
        for length in (126, 127, 65535, 65536, 2**63 - 1):
            header = end.header(opcode, length)
            yield Fault(f"opcode {opcode}, {length} bytes", 1002, [header])
        frame = end.frame(opcode, length_bits=16)
        yield Fault(f"opcode {opcode}, length 0 in 16 bits", 1002, [frame])
    yield Fault("close payload of one byte", 1002, [end.frame(CLOSE, b"\x03")])
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        for reason in (b"", b"why"):
            frame = end.frame(CLOSE, close_payload(code, reason))
            yield Fault(f"close code {code}, reason {reason!r}", 1002, [frame])


def faults_of_sequence(end: End) -> Iterator[Fault]:
    """Continuations of nothing, and messages that begin inside of others (section 5.4)."""
    for fin in (True, False):
        frame = end.frame(CONT, b"a", fin=fin)
        yield Fault(f"continuation of nothing, fin {fin}", 1002, [frame])
        before = end.fragments(TEXT, b"a", b"b")
        yield Fault(f"continuation after the last fragment, fin {fin}", 1002, [*before, frame])
        before = [end.frame(TEXT, b"a")]
        yield Fault(f"continuation after a whole message, fin {fin}", 1002, [*before, frame])
        for opcode in (TEXT, BINARY):
            frame = end.frame(opcode, b"b", fin=fin)
            before = [end.frame(TEXT, b"a", fin=False)]
            yield Fault(f"opcode {opcode} in a message, fin {fin}", 1002, [*before, frame])
            before = [*end.fragments(BINARY, b"", b"", b"a")[:2], end.frame(PING)]
            yield Fault(f"opcode {opcode} after a ping, fin {fin}", 1002, [*before, frame])


def faults_of_text(end: End) -> Iterator[Fault]:
    """What is not UTF-8 (section 8.1)."""
    for broken in BROKEN_TEXTS:
        yield Fault(f"text {broken!r}", 1007, [end.frame(TEXT, broken)])
        yield Fault(f"long text {broken!r}", 1007, [end.frame(TEXT, b"a" * 70000 + broken)])
        frames = end.fragments(TEXT, b"valid", broken[:-1], broken[-1:])
        yield Fault(f"fragmented text {broken!r}", 1007, frames)
        frame = end.frame(CLOSE, close_payload(1000, b"valid " + broken))
        yield Fault(f"close reason {broken!r}", 1007, [frame])


def faults(role: Role) -> dict[str, Fault]:
    """All of them, by their names, as the peer of a session with this role sends them."""
    end = End(role)
    kinds = (faults_of_headers, faults_of_control_frames, faults_of_sequence, faults_of_text)
    found = [fault for kind in kinds for fault in kind(end)]
    by_name = {fault.name: fault for fault in found}
    assert len(by_name) == len(found), "two faults have the same name"
    return by_name


FAULTS = {role: faults(role) for role in Role}
