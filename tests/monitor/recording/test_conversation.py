"""The made-up TCP: whole frames only, holes that are told of, files that stand alone."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.monitor.recording.conversation import Conversation, Frames
from reactor.monitor.recording.packets import (
    ACK,
    FIN,
    MOST,
    RST,
    SYN,
    Endpoint,
    Segment,
    Wrapping,
    checksum_of,
    unwrap,
)
from reactor.monitor.recording.pcapng import beginning, read_packets

from ...support.websocket_frames import BINARY, KEY, TEXT, build_frame

OURS = Endpoint(bytes((10, 0, 0, 1)), 5000)
THEIRS = Endpoint(bytes((10, 0, 0, 2)), 80)


class Disk:
    """An Output that keeps what is put, file by file; it may be full, or turn over."""

    def __init__(self) -> None:
        self.file = 1
        self.files: dict[int, bytes] = {1: beginning("test")}
        self.full = False
        self.turn = False
        self.time = 0

    def now(self) -> int:
        self.time += 1
        return self.time

    def put(self, data: bytes, count: int) -> bool:
        if self.full:
            return False
        self.files[self.file] += data
        return True

    def turn_over(self) -> None:
        if self.turn:
            self.turn = False
            self.file += 1
            self.files[self.file] = beginning("test")

    def packets(self, file: int = 1) -> list[tuple[Segment, list[str]]]:
        found = []
        for packet in read_packets(io.BytesIO(self.files[file]), "disk"):
            segment = unwrap(packet.link, packet.data)
            assert segment is not None
            found.append((segment, packet.comments))
        return found

    def said(self, ours: bool = True, file: int = 1) -> list[bytes]:
        """The payloads of one side behind its head."""
        source = OURS if ours else THEIRS
        return [
            segment.payload
            for segment, _ in self.packets(file)
            if segment.source == source and segment.payload and segment.payload[:1] != b"h"
        ]


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def talk(disk: Disk) -> Conversation:
    conversation = Conversation(disk, OURS, THEIRS, True, 1, ["title"])
    conversation.begin()
    conversation.head(True, b"head of ours")
    conversation.head(False, b"head of theirs")
    return conversation


def frame(payload: bytes = b"x", mask: bytes | None = KEY) -> bytes:
    return build_frame(TEXT, payload, key=mask)


class TestFrames:
    @given(
        st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=8),
        st.lists(st.integers(1, 90), max_size=40),
    )
    def test_beginnings_are_found_however_the_bytes_come(
        self, messages: list[tuple[bytes, bool]], cuts: list[int]
    ) -> None:
        built = [build_frame(BINARY, data, key=KEY if mask else None) for data, mask in messages]
        starts, at = set(), 0
        for each in built:
            starts.add(at)
            at += len(each)
        data, frames, pos = b"".join(built), Frames(), 0
        for cut in [*cuts, len(data)]:
            piece = data[pos : pos + cut]
            if not piece:
                break
            between = frames.between
            assert between == (pos in starts)
            first = frames.follow(piece)
            later = [start for start in starts if pos <= start < pos + len(piece)]
            assert first == (min(later) - pos if later else len(piece))
            assert frames.last is None or frames.last == max(later) - pos
            pos += len(piece)


class TestNumbers:
    def test_they_go_on_from_syn_to_fin(self, disk: Disk, talk: Conversation) -> None:
        talk.say(True, frame())
        talk.say(False, frame(mask=None))
        talk.end(True)
        talk.end(False)
        segments = [segment for segment, _ in disk.packets()]
        assert [segment.flags & (SYN | FIN) for segment in segments] == [
            *(SYN, SYN, 0),
            *(0, 0, 0, 0),
            *(FIN, FIN, 0),
        ]
        for source in (OURS, THEIRS):
            own = [segment for segment in segments if segment.source == source]
            for before, after in pairwise(own):
                size = len(before.payload) + bool(before.flags & (SYN | FIN))
                assert after.seq == before.seq + size & 0xFFFFFFFF

    def test_they_wrap_around(self, disk: Disk) -> None:
        talk = Conversation(disk, OURS, THEIRS, True, 1, [])
        talk._sides[True].seq = 0xFFFFFFFF - 50
        talk.begin()
        for _ in range(3):
            talk.say(True, frame(b"x" * 40))
        numbers = [segment.seq for segment, _ in disk.packets() if segment.payload]
        size = len(frame(b"x" * 40))
        assert numbers == [0xFFFFFFFF - 50, 0xFFFFFFFF - 50 + size, 2 * size - 51]

    def test_what_is_too_large_for_a_packet_is_in_several(
        self, disk: Disk, talk: Conversation
    ) -> None:
        data = build_frame(BINARY, bytes(200_000), key=KEY)
        talk.say(True, data)
        said = disk.said()
        assert b"".join(said) == data
        assert max(map(len, said)) == MOST

    def test_a_reset_ends_both(self, disk: Disk, talk: Conversation) -> None:
        talk.end(False, reset=True)
        talk.end(True)
        last, _ = disk.packets()[-1]
        assert (last.source, last.flags) == (THEIRS, RST | ACK)
        assert talk.over


class TestHoles:
    def test_what_the_disk_does_not_take_is_a_hole_and_a_comment(
        self, disk: Disk, talk: Conversation
    ) -> None:
        talk.say(True, frame(b"first"))
        disk.full = True
        talk.say(True, frame(b"lost"))
        disk.full = False
        talk.say(True, frame(b"next"))
        (before, _), (after, comments) = disk.packets()[-2:]
        assert after.payload == frame(b"next")
        assert after.seq == before.seq + len(before.payload) + len(frame(b"lost"))
        assert comments == [f"left out here: {len(frame(b'lost'))} bytes"]

    def test_behind_a_hole_it_begins_with_a_whole_frame(
        self, disk: Disk, talk: Conversation
    ) -> None:
        data = frame(b"a" * 50) + frame(b"b" * 50)
        disk.full = True
        talk.say(True, data[:70])
        disk.full = False
        talk.say(True, data[70:])
        talk.say(True, frame(b"c"))
        assert disk.said() == [frame(b"c")]
        assert disk.packets()[-1][1] == [f"left out here: {len(data)} bytes"]

    def test_a_recording_may_begin_within_a_frame(self, disk: Disk, talk: Conversation) -> None:
        talk.skip(False, 10)
        talk.say(False, b"0123456789" + frame(b"whole", None))
        assert disk.said(ours=False) == [frame(b"whole", None)]

    def test_and_within_its_head(self, disk: Disk, talk: Conversation) -> None:
        data = build_frame(BINARY, bytes(300))
        talk.skip(False, 0, data[:3])
        talk.say(False, data[3:] + frame(b"whole", None))
        assert disk.said(ours=False) == [frame(b"whole", None)]

    def test_an_end_tells_of_what_was_left_out_before(self, disk: Disk, talk: Conversation) -> None:
        disk.full = True
        talk.say(True, frame())
        disk.full = False
        talk.end(True)
        assert disk.packets()[-1][1] == [f"left out here: {len(frame())} bytes"]

    def test_a_handshake_that_finds_no_room_is_said_when_there_is(self, disk: Disk) -> None:
        disk.full = True
        talk = Conversation(disk, OURS, THEIRS, True, 1, ["title"])
        talk.begin()
        talk.head(True, b"head of ours")
        disk.full = False
        talk.head(False, b"head of theirs")
        talk.say(False, frame(b"x", None))
        segments = [segment for segment, _ in disk.packets()]
        assert [segment.payload for segment in segments if segment.payload] == [
            b"head of ours",
            b"head of theirs",
            frame(b"x", None),
        ]


class TestFiles:
    def test_each_begins_with_the_handshake_and_goes_on_with_the_numbers(
        self, disk: Disk, talk: Conversation
    ) -> None:
        talk.say(True, frame(b"one"))
        disk.turn = True
        talk.say(True, frame(b"two"))
        assert disk.said(file=1) == [frame(b"one")]
        assert disk.said(file=2) == [frame(b"two")]
        first, second = disk.packets(1)[-1][0], disk.packets(2)[-1][0]
        assert second.seq == first.seq + len(first.payload)
        (syn, comments), *_ = disk.packets(2)
        assert syn.flags == SYN
        assert comments == ["title", "again, from the file before"]

    def test_the_rest_of_a_frame_is_left_out(self, disk: Disk, talk: Conversation) -> None:
        data = frame(b"x" * 100)
        talk.say(True, data[:50])
        disk.turn = True
        talk.say(True, data[50:] + frame(b"whole"))
        assert disk.said(file=2) == [frame(b"whole")]
        assert disk.packets(2)[-1][1] == [f"left out here: {len(data) - 50} bytes"]


class TestPackets:
    @pytest.mark.parametrize("size", [4, 16])
    @given(payload=st.binary(max_size=100), seq=st.integers(0, 0xFFFFFFFF))
    def test_what_is_wrapped_is_unwrapped_and_its_sums_are_right(
        self, size: int, payload: bytes, seq: int
    ) -> None:
        source, target = Endpoint(bytes([1] * size), 1234), Endpoint(bytes([2] * size), 80)
        raw = Wrapping(source, target, True).segment(seq, 7, ACK, payload)
        assert unwrap(1, raw) == Segment(source, target, seq, ACK, payload)
        start = 14 + (20 if size == 4 else 40)
        tcp = raw[start:]
        total = checksum_of(source.host + target.host) + 6 + len(tcp) + checksum_of(tcp)
        assert total % 65535 == 0
        if size == 4:
            assert checksum_of(raw[14:34]) % 65535 == 0

    @pytest.mark.parametrize(
        ("link", "before"),
        [
            (1, bytes(12) + b"\x81\x00\x00\x05\x08\x00"),
            (0, b"\2\0\0\0"),
            (108, b"\0\0\0\2"),
            (101, b""),
            (113, bytes(14) + b"\x08\x00"),
            (276, b"\x08\x00" + bytes(18)),
        ],
    )
    def test_other_links_are_known(self, link: int, before: bytes) -> None:
        raw = Wrapping(OURS, THEIRS, True).segment(1, 2, ACK, b"data")
        found = unwrap(link, before + raw[14:])
        assert found is not None
        assert found.payload == b"data"

    @pytest.mark.parametrize("size", range(60))
    def test_what_is_cut_off_is_no_segment_or_a_shorter_one(self, size: int) -> None:
        raw = Wrapping(OURS, THEIRS, True).segment(1, 2, ACK, b"data")
        found = unwrap(1, raw[:size])
        assert found is None or len(found.payload) <= 4

    def test_fragments_of_ip_are_left_alone(self) -> None:
        raw = bytearray(Wrapping(OURS, THEIRS, True).segment(1, 2, ACK, b"data"))
        raw[20] |= 0x20  # more fragments
        assert unwrap(1, bytes(raw)) is None

    def test_a_length_that_the_network_card_was_to_fill_in(self) -> None:
        raw = bytearray(Wrapping(OURS, THEIRS, True).segment(1, 2, ACK, b"data"))
        raw[16:18] = b"\0\0"
        found = unwrap(1, bytes(raw))
        assert found is not None
        assert found.payload == b"data"


def test_a_long_head_may_come_byte_by_byte() -> None:
    frames = Frames()
    for byte in build_frame(BINARY, bytes(70_000), key=KEY)[:14]:
        assert frames.follow(bytes([byte])) in (0, 1)
    assert frames.missing == 70_000


def test_what_is_noted_beside_what_we_say(disk: Disk, talk: Conversation) -> None:
    talk.notes = lambda: ["a note"]
    talk.say(False, frame(b"x", None))
    talk.say(True, frame(), ["a comment"])
    assert [comments for _, comments in disk.packets()[-2:]] == [[], ["a comment", "a note"]]


def test_a_head_that_finds_no_room_is_said_again_with_the_next(disk: Disk) -> None:
    talk = Conversation(disk, OURS, THEIRS, True, 1, ["title"])
    talk.begin()
    disk.full = True
    talk.head(True, b"head of ours")
    disk.full = False
    talk.say(True, frame())
    assert [segment.payload for segment, _ in disk.packets() if segment.payload] == [
        b"head of ours",
        frame(),
    ]
    talk.end(True)
    talk.end(True)
    assert sum(bool(segment.flags & FIN) for segment, _ in disk.packets()) == 1


def test_an_end_that_finds_no_room_is_not_told(disk: Disk) -> None:
    disk.full = True
    talk = Conversation(disk, OURS, THEIRS, True, 1, ["title"])
    talk.end(True)
    assert disk.packets() == []
