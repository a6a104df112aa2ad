"""What others have captured: segments late, repeated or missing; and what is no WebSocket."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from reactor.exceptions import WebSocketRecordingException
from reactor.monitor.recording import reading
from reactor.monitor.recording.packets import ACK, FIN, PSH, RST, SYN, Endpoint, Wrapping
from reactor.monitor.recording.pcapng import beginning, packet
from reactor.monitor.recording.playing import server_events
from reactor.monitor.recording.reading import Recorded, merged, read_recording
from reactor.protocols.deflate import Agreement, Compression, Deflate
from reactor.protocols.events import Close
from reactor.protocols.http.answers import build_response
from reactor.protocols.http.handshake import build_request

from ...support.websocket_frames import CLOSE, CONT, KEY, TEXT, build_frame, close_payload

CLIENT = Endpoint(bytes((10, 0, 0, 1)), 40000)
SERVER = Endpoint(bytes((10, 0, 0, 2)), 8080)
SAMPLE = "dGhlIHNhbXBsZSBub25jZQ=="
REQUEST = build_request("host", "/path?x=1", SAMPLE)
RESPONSE = build_response(SAMPLE)
DEFLATED = build_response(SAMPLE, extensions="permessage-deflate")

Write = Callable[..., Path]


class Capture:
    """Makes packets as a network card would have seen them."""

    def __init__(self, client: Endpoint = CLIENT) -> None:
        self.wraps = {True: Wrapping(client, SERVER, True), False: Wrapping(SERVER, client, True)}
        self.seq = {True: 100, False: 200}
        self.time = 0

    def packet(
        self, by_client: bool, data: bytes, flags: int = ACK, comments: tuple[str, ...] = ()
    ) -> bytes:
        self.time += 1
        seq = self.seq[by_client]
        raw = self.wraps[by_client].segment(seq, self.seq[not by_client], flags, data)
        self.seq[by_client] += len(data) + bool(flags & (SYN | FIN))
        return packet(self.time, raw, 0, comments)

    def open(self, response: bytes = RESPONSE, request: bytes = REQUEST) -> list[bytes]:
        return [*self.syn(), self.packet(True, request), self.packet(False, response)]

    def syn(self) -> list[bytes]:
        return [
            self.packet(True, b"", SYN),
            self.packet(False, b"", SYN | ACK),
            self.packet(True, b"", ACK),
        ]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Recorded]]:
    """Reads a file of these packets."""

    def read_packets(*packets: bytes) -> list[Recorded]:
        path = tmp_path / "wire.pcapng"
        path.write_bytes(beginning("test") + b"".join(packets))
        return read_recording(path)

    return read_packets


Read = Callable[..., list[Recorded]]


def text(message: str) -> bytes:
    return build_frame(TEXT, message.encode())


def events(recorded: Recorded) -> list[object]:
    return [cue.event for cue in server_events(recorded)]


def test_a_connection_as_it_was_captured(read: Read) -> None:
    wire = Capture()
    said = [
        *wire.open(),
        wire.packet(False, text("a")),
        wire.packet(True, build_frame(TEXT, b"b", key=KEY), PSH | ACK),
        wire.packet(False, b"", FIN | ACK),
    ]
    (recorded,) = read(*said)
    assert recorded.url == "ws://host/path?x=1"
    assert (recorded.request, recorded.response) == (REQUEST, RESPONSE)
    assert [(each.by_client, each.data) for each in recorded.said] == [
        (False, text("a")),
        (True, build_frame(TEXT, b"b", key=KEY)),
    ]
    assert events(recorded) == ["a", None]


def test_late_and_repeated_segments_take_their_place(read: Read) -> None:
    wire = Capture()
    opened = wire.open()
    first, second, third = (wire.packet(False, text(message)) for message in "abc")
    (recorded,) = read(*opened, third, first, first, second, third)
    assert events(recorded) == ["a", "b", "c"]


def test_heads_in_pieces_with_frames_behind_them(read: Read) -> None:
    wire = Capture()
    opened = wire.syn()
    pieces = [wire.packet(True, REQUEST[:30]), wire.packet(True, REQUEST[30:])]
    pieces += [wire.packet(False, RESPONSE[:50]), wire.packet(False, RESPONSE[50:] + text("a"))]
    (recorded,) = read(*opened, *pieces)
    assert events(recorded) == ["a"]


def test_a_port_that_is_used_again_is_another_connection(read: Read) -> None:
    first, second = Capture(), Capture()
    second.seq = {True: 70_000, False: 80_000}
    one = [*first.open(), first.packet(False, text("one"))]
    two = [*second.open(), second.packet(False, text("two"))]
    assert [events(each) for each in read(*one, *two)] == [["one"], ["two"]]


def test_what_was_not_captured_is_named_with_its_place(read: Read) -> None:
    wire = Capture()
    opened = wire.open()
    wire.packet(False, text("missing"))
    after = wire.packet(False, text("after"))
    with pytest.raises(WebSocketRecordingException) as raised:
        read(*opened, after)
    assert raised.value.reason == "9 bytes were not captured that came before this packet"
    assert raised.value.offset == len(beginning("test")) + len(b"".join(opened))


def test_a_hole_that_a_comment_tells_of_takes_its_frame_along(read: Read) -> None:
    wire = Capture()
    opened = wire.open()
    begun = wire.packet(False, text("whole") + text("torn " * 10)[:20])
    wire.packet(False, text("torn " * 10)[20:])
    after = wire.packet(False, text("after"), ACK, ("left out here: 32 bytes",))
    (recorded,) = read(*opened, begun, after)
    assert events(recorded) == ["whole", "after"]


def test_compressed_messages_behind_a_hole_are_an_error_if_they_refer_to_it(read: Read) -> None:
    compression = Compression(Agreement(Deflate(), 15, 15, True, True))
    first, second, third = (
        build_frame(TEXT, compression.compress(b"the same again and again"), rsv=4)
        for _ in range(3)
    )
    wire = Capture()
    packets = [*wire.open(DEFLATED), wire.packet(False, first)]
    (recorded,) = read(*packets)
    assert events(recorded) == ["the same again and again"]
    wire.packet(False, second)
    packets.append(wire.packet(False, third, ACK, ("left out here: 9 bytes",)))
    (recorded,) = read(*packets)
    with pytest.raises(WebSocketRecordingException, match=r"wire\.pcapng, offset \d+: "):
        events(recorded)


def test_fragments_and_the_close_frame(read: Read) -> None:
    wire = Capture()
    (recorded,) = read(
        *wire.open(),
        wire.packet(False, build_frame(TEXT, b"tw", fin=False)),
        wire.packet(False, build_frame(CONT, b"o") + build_frame(CLOSE, close_payload(1012))),
        wire.packet(False, b"", FIN | ACK),
    )
    assert events(recorded) == ["two", Close(1012, "")]


@pytest.mark.parametrize(
    "packets",
    [
        [],
        Capture().open(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        Capture().open(b"\x16\x03\x03" + bytes(50), b"\x16\x03\x01" + bytes(50)),
        Capture().open()[3:],  # without SYN
        [packet(1, b"\0" * 12 + b"\x08\x06" + b"arp", 0)],
    ],
    ids=["nothing", "refused", "TLS", "begun before", "no IP"],
)
def test_a_file_without_a_websocket_says_so(read: Read, packets: list[bytes]) -> None:
    with pytest.raises(WebSocketRecordingException, match=f"in its {len(packets)} packets"):
        read(*packets)


def test_packets_that_were_cut_are_an_error(read: Read) -> None:
    wire = Capture()
    opened = wire.open()
    block = bytearray(wire.packet(False, text("x" * 100)))
    block[24:28] = (int.from_bytes(block[20:24], "little") + 7).to_bytes(4, "little")
    with pytest.raises(WebSocketRecordingException, match="7 bytes of a packet were not captured"):
        read(*opened, bytes(block))


def test_what_a_recorder_has_said_of_a_connection(read: Read) -> None:
    wire = Capture()
    first, *rest = wire.open()
    raw = Capture()
    title = ("url: wss://exchange.example/ws", "feed: Quotes")
    first = raw.packet(True, b"", SYN, title)
    topics = ('topics added: ["a", "b"]', "topics added: no JSON", 'topics added: ["b"]')
    asks = wire.packet(True, build_frame(TEXT, b"x", key=KEY), ACK, topics)
    (recorded,) = read(first, *rest, asks)
    assert (recorded.url, recorded.feed, recorded.topics) == (
        "wss://exchange.example/ws",
        "Quotes",
        ["a", "b"],
    )
    (recorded,) = read(*Capture().open())
    assert recorded.feed is None


def test_both_ends_and_a_reset(read: Read) -> None:
    wire = Capture()
    opened = wire.open()
    ends = [wire.packet(True, b"", FIN | ACK), wire.packet(True, b"", FIN | ACK)]
    (recorded,) = read(*opened, *ends, wire.packet(False, b"", RST | ACK))
    assert [end[1:] for end in recorded.ends] == [(True, False), (False, True)]
    assert [type(each).__name__ for each in merged(recorded)] == ["End", "End"]


def test_interim_answers_come_first(read: Read) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    (recorded,) = read(*Capture().open(early + RESPONSE))
    assert recorded.response == RESPONSE


def test_an_answer_to_syn_that_was_not_captured_is_no_loss(read: Read) -> None:
    wire = Capture()
    syn, _, *rest = wire.open()
    assert len(read(syn, *rest)) == 1


def test_far_too_much_that_is_late(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_LATE", 2)
    wire = Capture()
    opened = wire.open()
    wire.packet(False, text("missing"))
    late = [wire.packet(False, text("late")) for _ in range(4)]
    with pytest.raises(WebSocketRecordingException, match="bytes were not captured"):
        read(*opened, *late)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_compressed_files_and_torn_ones(tmp_path: Path, kind: str) -> None:
    wire = Capture()
    data = beginning("test") + b"".join([*wire.open(), wire.packet(False, text("x" * 5000))])
    if kind == "gzip":
        packed = gzip.compress(data)
    else:
        packed = pytest.importorskip("zstandard").compress(data)
    path = tmp_path / "packed"
    path.write_bytes(packed)
    assert events(read_recording(path)[0]) == ["x" * 5000]
    for torn in (packed[: len(packed) // 2], packed[:20] + b"\xff" * 30 + packed[50:]):
        path.write_bytes(torn)
        with pytest.raises(WebSocketRecordingException, match="offset"):
            read_recording(path)


def test_what_was_torn_before_a_hole_in_several_packets(read: Read) -> None:
    wire = Capture()
    data = text("torn " * 100)
    packets = [*wire.open(), wire.packet(False, text("whole"))]
    packets += [wire.packet(False, data[:100])]
    packets += [wire.packet(True, build_frame(TEXT, b"said between", key=KEY))]
    packets += [wire.packet(False, data[100:200])]
    wire.packet(False, data[200:])
    packets += [wire.packet(False, text("after"), ACK, ("left out here: 304 bytes",))]
    (recorded,) = read(*packets)
    assert events(recorded) == ["whole", "after"]
