"""The file format: what is written can be read, and what is wrong is named with its place."""

from __future__ import annotations

import io
from collections.abc import Callable
from struct import pack

import pytest

from reactor import WebSocketException
from reactor.exceptions import WebSocketRecordingException
from reactor.monitor.recording.pcapng import (
    INBOUND,
    OUTBOUND,
    Packet,
    beginning,
    packet,
    read_packets,
    statistics,
)

TIME = 1_700_000_000_123_456_789


def read(data: bytes) -> list[Packet]:
    return list(read_packets(io.BytesIO(data), "a.pcapng"))


def whole() -> bytes:
    return (
        beginning("test")
        + packet(TIME, b"abc", OUTBOUND, ["one", "two"])
        + packet(TIME + 1, b"", INBOUND)
        + statistics(TIME + 2, 2, 0)
    )


def test_what_is_written_is_read() -> None:
    first, second = read(whole())
    assert first[1:] == (TIME, 1, b"abc", 0, OUTBOUND, ["one", "two"])
    assert second[1:] == (TIME + 1, 1, b"", 0, INBOUND, [])
    assert first.offset == len(beginning("test"))


def test_big_endian_other_units_and_unknown_blocks_are_read() -> None:
    def block(kind: int, body: bytes) -> bytes:
        size = len(body) + 12
        return pack(">II", kind, size) + body + pack(">I", size)

    section = block(0x0A0D0D0A, pack(">IHHq", 0x1A2B3C4D, 1, 0, -1))
    millis = pack(">HHI", 101, 0, 0) + pack(">HHB3x", 9, 1, 3) + pack(">HHq", 14, 8, 100)
    unit = block(1, millis + pack(">HH", 0, 0))
    unknown = block(0x0BAD, b"....")
    data = block(6, pack(">IIIII", 0, 0, 2500, 2, 9) + b"ip\0\0")
    (only,) = read(section + unit + unknown + data)
    assert (only.time, only.link, only.data, only.cut) == (102_500_000_000, 101, b"ip", 7)


def test_two_sections_in_one_file() -> None:
    assert len(read(whole() + whole())) == 4


@pytest.mark.parametrize("size", range(1, len(whole())))
def test_a_file_that_is_cut_off_anywhere_is_torn(size: int) -> None:
    data = whole()[:size]
    boundaries = {len(beginning("test"))}
    boundaries.add(max(boundaries) + len(packet(TIME, b"abc", OUTBOUND, ["one", "two"])))
    boundaries.add(max(boundaries) + len(packet(TIME + 1, b"", INBOUND)))
    section = 8 + int.from_bytes(whole()[4:8], "little") - 8
    if size in boundaries | {section}:
        read(data)
        return
    with pytest.raises(
        WebSocketRecordingException, match=r"^a\.pcapng, offset \d+: .*cut off|begins"
    ):
        read(data)


def flipped(at: int, value: int) -> Callable[[], bytes]:
    def change() -> bytes:
        data = bytearray(whole())
        data[at] = value
        return bytes(data)

    return change


@pytest.mark.parametrize(
    ("data", "offset", "reason"),
    [
        (lambda: b"", 0, "it is empty"),
        (lambda: b"hello world", 0, "no pcapng file: it begins with b'hello wo'"),
        (lambda: b"\xd4\xc3\xb2\xa1" + bytes(20), 0, "editcap -F pcapng"),
        (flipped(8, 0), 0, "no byte order"),
        (flipped(4, 3), 0, "cannot have 3 bytes"),
        (flipped(len(whole()) - 1, 1), None, "two lengths"),
        (
            lambda: whole() + pack("<IIIIII", 6, 32, 7, 0, 0, 0) + bytes(4) + pack("<I", 32),
            len(whole()),
            "of interface 7",
        ),
        (
            lambda: whole() + pack("<IIIIIII", 6, 32, 0, 0, 0, 99, 99) + pack("<I", 32),
            len(whole()),
            "99 bytes does not fit",
        ),
        (
            lambda: whole() + pack("<IIII", 3, 16, 0, 16),
            len(whole()),
            "without a time",
        ),
    ],
)
def test_what_is_wrong_is_named(data: Callable[[], bytes], offset: int | None, reason: str) -> None:
    with pytest.raises(WebSocketRecordingException) as raised:
        read(data())
    assert reason in str(raised.value)
    assert offset is None or raised.value.offset == offset
    assert raised.value.file == "a.pcapng"
    assert isinstance(raised.value, WebSocketException)


def block(kind: int, body: bytes) -> bytes:
    return pack("<II", kind, len(body) + 12) + body + pack("<I", len(body) + 12)


@pytest.mark.parametrize(
    ("added", "reason"),
    [
        (block(1, bytes(4)), "the block of an interface is too short"),
        (block(6, bytes(8)), "the block of a packet is too short"),
        (block(1, bytes(8) + pack("<HH", 9, 200)), "option 9 of 200 bytes does not fit"),
    ],
)
def test_blocks_that_are_too_short(added: bytes, reason: str) -> None:
    with pytest.raises(WebSocketRecordingException, match=reason):
        read(whole() + added)


def test_options_of_a_wrong_length_are_left_out() -> None:
    data = block(6, bytes(20) + pack("<HH", 2, 1) + bytes(4) + bytes(4))
    assert read(beginning("test") + data)[0].direction == 0
