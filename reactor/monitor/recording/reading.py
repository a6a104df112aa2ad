"""Recordings, read: from a pcapng file to what two ends have said.

What it is: :func:`read_recording`, and :class:`Recorded`, one WebSocket connection of a file. The
file may be a recorder's, or one that was captured from a wire without TLS.

What it must not know: sockets, loops, what is done with it.

How it works. TCP is put together again: segments by their numbers, late ones in their place,
repeated ones dropped. A conversation that begins with SYN, a request and an answer with status 101
is a WebSocket; others are left out. Where a recorder says that it has left out bytes, what has
come of a frame before the hole is left out as well.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...exceptions import WebSocketHandshakeException, WebSocketRecordingException
from ...protocols.http.http11 import HeadLimits, HeadParser, Request, Response
from .conversation import LEFT_OUT, Frames
from .heads import ADDED, FEED
from .packets import ACK, FIN, RST, SYN, Endpoint, Segment, unwrap
from .pcapng import Packet, read_packets
from .writer import zstandard

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["End", "Recorded", "Said", "read_recording"]

#: Segments that wait for one that is late.
MAX_LATE = 1000

#: Heads that are longer than any peer allows.
LIMITS = HeadLimits(1 << 20, 10_000)

MAGIC_ZSTD, MAGIC_GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"


class Said(NamedTuple):
    """Bytes of frames that one side has said.

    Attributes:
        time: nanoseconds since 1970.
        by_client: whose they are.
        data: the bytes.
        offset: of the packet in the file.
        torn: whether bytes are missing before them.
    """

    time: int
    by_client: bool
    data: bytes
    offset: int
    torn: bool


class End(NamedTuple):
    """One side has ended, or with *reset* both have. See Said."""

    time: int
    by_client: bool
    reset: bool


@dataclass
class Recorded:
    """One WebSocket connection.

    Attributes:
        name: the file.
        offset: where in it the connection begins.
        comments: what was said of it.
        client, server: the two ends.
        request, response: the heads, as bytes.
        opened: when the answer came, in nanoseconds since 1970.
        said: what both sides have said, in order.
        ends: the ends that were seen.
        topics: those that were added to the link of a feed.
        added: for each of them, the offset of the packet that says so.
    """

    name: str
    offset: int
    comments: list[str]
    client: Endpoint
    server: Endpoint
    request: bytes = b""
    response: bytes = b""
    opened: int = 0
    said: list[Said] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    topics: list[Any] = field(default_factory=list)
    added: list[int] = field(default_factory=list)

    @property
    def target(self) -> str:
        """The target of the request: path and query."""
        return self.request.split(b" ", 2)[1].decode("latin-1")

    @property
    def url(self) -> str:
        """The URL: as the recorder has known it, else by the head of the request."""
        for comment in self.comments:
            if comment.startswith("url: "):
                return comment.removeprefix("url: ")
        host = next(
            (
                line.partition(b":")[2].strip().decode("latin-1")
                for line in self.request.split(b"\r\n")
                if line.lower().startswith(b"host:")
            ),
            "localhost",
        )
        return f"ws://{host}{self.target}"

    @property
    def feed(self) -> str | None:
        """The class of the feed that it was a link of; None: of none."""
        found = [line.removeprefix(FEED) for line in self.comments if line.startswith(FEED)]
        return found[0] if found else None


def read_recording(path: str | PathLike[str]) -> list[Recorded]:
    """Return the WebSocket connections of a file, in the order in which they began.

    Args:
        path: a pcapng file, as it is, or compressed by zstd or gzip.

    Raises:
        OSError: the file cannot be read.
        WebSocketRecordingException: it is torn, is no pcapng file, or has no WebSocket.
        ImportError: it is compressed by zstd, and the package zstandard is not installed.
    """
    name = str(path)
    flows = _Flows(name)
    with ExitStack() as stack:
        source: Any = stack.enter_context(Path(path).open("rb"))
        magic = source.read(4)
        source.seek(0)
        if magic == MAGIC_ZSTD:
            reader = zstandard().ZstdDecompressor().stream_reader(source, read_across_frames=True)
            source = stack.enter_context(reader)
        elif magic[:2] == MAGIC_GZIP:
            source = stack.enter_context(gzip.GzipFile(fileobj=source))
        for packet in read_packets(_Whole(source, name), name):
            flows.take(packet)
    return flows.finish()


class _Whole:
    """A source whose reads are as long as they can be."""

    def __init__(self, source: Any, name: str) -> None:
        self._source = source
        self._name = name
        self._at = 0

    def read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        missing = size
        while missing:
            try:
                piece = self._source.read(missing)
            except Exception as exc:  # of zstd or gzip, each has its own
                reason = f"it cannot be decompressed any further: {exc}"
                raise WebSocketRecordingException(reason, self._name, self._at) from exc
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        self._at += size - missing
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


# --- TCP --------------------------------------------------------------------------------------


class _Direction:
    """One direction of a TCP connection."""

    def __init__(self) -> None:
        self.next: int | None = None  # the number of the next byte
        self.late: dict[int, tuple[Packet, Segment]] = {}  # by number: those after a hole


class _Flow:
    """A TCP connection, from SYN on, as what is known of it grows."""

    def __init__(self, packet: Packet, segment: Segment, name: str) -> None:
        self.recorded = Recorded(
            name, packet.offset, packet.comments, segment.source, segment.target
        )
        self.directions = {True: _Direction(), False: _Direction()}
        self.directions[True].next = segment.seq + 1 & 0xFFFFFFFF
        self._heads = {True: bytearray(), False: bytearray()}
        self._open = False  # whether both heads were seen
        self._other = False  # it is no WebSocket
        self._frames = {True: Frames(), False: Frames()}
        # For each side, where in ``said`` the latest frame begins: an index, and a place in it.
        self._last = {True: (0, 0), False: (0, 0)}

    @property
    def is_websocket(self) -> bool:
        return self._open

    def take(self, packet: Packet, segment: Segment) -> None:
        by_client = segment.source == self.recorded.client
        direction = self.directions[by_client]
        if segment.flags & SYN:
            direction.next = segment.seq + 1 & 0xFFFFFFFF
            return
        self._note(packet)
        if direction.next is None:
            direction.next = segment.seq  # its SYN was not captured
        self._order(direction, by_client, packet, segment)
        while direction.next in direction.late:
            self._order(direction, by_client, *direction.late.pop(direction.next))

    def _order(
        self, direction: _Direction, by_client: bool, packet: Packet, segment: Segment
    ) -> None:
        assert direction.next is not None
        ahead = (segment.seq - direction.next + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        payload = segment.payload
        torn = False
        if ahead > 0:
            if not any(line.startswith(LEFT_OUT) for line in packet.comments):
                if payload or segment.flags & FIN:
                    if len(direction.late) >= MAX_LATE:
                        raise self._hole(packet, ahead)
                    direction.late[segment.seq] = packet, segment
                return
            torn = True
            direction.next = segment.seq
        elif ahead < 0:  # it was sent again, at least in part
            payload = payload[-ahead:]
        if payload:
            if packet.cut:
                reason = f"{packet.cut} bytes of a packet were not captured (snap length)"
                raise WebSocketRecordingException(reason, self.recorded.name, packet.offset)
            direction.next = direction.next + len(payload) & 0xFFFFFFFF
            self._say(by_client, packet, payload, torn)
        if segment.flags & (FIN | RST):
            end = End(packet.time, by_client, bool(segment.flags & RST))
            if end[1:] not in [each[1:] for each in self.recorded.ends]:
                self.recorded.ends.append(end)
                direction.next = direction.next + 1 & 0xFFFFFFFF

    def check_whole(self) -> None:
        """Raise if a segment is missing that others came after."""
        for direction in self.directions.values():
            if direction.late and self.is_websocket:
                packet, segment = min(direction.late.values(), key=lambda each: each[0].offset)
                assert direction.next is not None
                raise self._hole(packet, segment.seq - direction.next & 0xFFFFFFFF)

    def _hole(self, packet: Packet, size: int) -> WebSocketRecordingException:
        reason = f"{size} bytes were not captured that came before this packet"
        return WebSocketRecordingException(reason, self.recorded.name, packet.offset)

    def _note(self, packet: Packet) -> None:
        for comment in packet.comments:
            if comment.startswith(ADDED):
                try:
                    topics = json.loads(comment.removeprefix(ADDED))
                except ValueError:
                    continue
                new = [each for each in topics if each not in self.recorded.topics]
                self.recorded.topics += new
                self.recorded.added += [packet.offset] * len(new)

    # -- heads and frames --------------------------------------------------------------------

    def _say(self, by_client: bool, packet: Packet, data: bytes, torn: bool) -> None:
        if self._open:
            self._frame(by_client, packet, data, torn)
        elif not self._other:
            head = self._heads[by_client]
            head += data
            if not by_client:
                self._read_heads(packet)

    def _read_heads(self, packet: Packet) -> None:
        """See whether the server's answer has come."""
        recorded = self.recorded
        try:
            asked: HeadParser[Request] = HeadParser("request", LIMITS)
            request = asked.feed(bytes(self._heads[True]))
            data = bytes(self._heads[False])
            while True:
                answered: HeadParser[Response] = HeadParser("response", LIMITS)
                response = answered.feed(data)
                if request is None or response is None:
                    return
                if response.status >= 200 or response.status == 101:
                    break
                data = answered.leftover
        except WebSocketHandshakeException:
            self._other = True
            return
        if response.status != 101 or (response.headers.get("Upgrade") or "").lower() != "websocket":
            self._other = True
            return
        recorded.request, recorded.response = asked.raw, answered.raw
        recorded.opened = packet.time
        self._open = True
        self._heads.clear()
        for by_client, rest in ((True, asked.leftover), (False, answered.leftover)):
            if rest:
                self._frame(by_client, packet, rest, False)

    def _frame(self, by_client: bool, packet: Packet, data: bytes, torn: bool) -> None:
        said, frames = self.recorded.said, self._frames[by_client]
        if torn:
            if not frames.between:
                self._cut_back(by_client)
            frames = self._frames[by_client] = Frames()
        if frames.between:
            self._last[by_client] = len(said), 0
        frames.follow(data)
        said.append(Said(packet.time, by_client, data, packet.offset, torn))
        if not frames.between and frames.last is not None:
            self._last[by_client] = len(said) - 1, frames.last

    def _cut_back(self, by_client: bool) -> None:
        """Leave out what has come of a frame that will not end."""
        said = self.recorded.said
        index, place = self._last[by_client]
        for at in range(index, len(said)):
            if said[at].by_client is by_client:
                kept = said[at].data[:place] if at == index else b""
                said[at] = said[at]._replace(data=kept)


class _Flows:
    """All TCP connections of a file."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._flows: dict[frozenset[Endpoint], _Flow] = {}
        self._all: list[_Flow] = []
        self._packets = 0

    def take(self, packet: Packet) -> None:
        """Take the next packet."""
        self._packets += 1
        segment = unwrap(packet.link, packet.data)
        if segment is None:
            return
        key = frozenset((segment.source, segment.target))
        if segment.flags & (SYN | ACK) == SYN:
            known = self._flows.get(key)
            if known is None or known.directions[True].next != segment.seq + 1 & 0xFFFFFFFF:
                self._flows[key] = flow = _Flow(packet, segment, self._name)
                self._all.append(flow)
            return
        known = self._flows.get(key)
        if known is not None:
            known.take(packet, segment)

    def finish(self) -> list[Recorded]:
        """Return the WebSockets among them."""
        for flow in self._all:
            flow.check_whole()
        found = [flow.recorded for flow in self._all if flow.is_websocket]
        if not found:
            reason = (
                f"no WebSocket connection is in its {self._packets} packets: "
                "one begins with SYN, a request, and an answer with status 101, without TLS"
            )
            raise WebSocketRecordingException(reason, self._name)
        for recorded in found:
            recorded.said = [each for each in recorded.said if each.data]
        return found


def merged(recorded: Recorded) -> Iterator[Said | End]:
    """Yield what was said, and the ends, in the order of their times."""
    ends = iter(sorted(recorded.ends, key=lambda each: each.time))
    end = next(ends, None)
    for said in recorded.said:
        while end is not None and end.time < said.time:
            yield end
            end = next(ends, None)
        yield said
    while end is not None:
        yield end
        end = next(ends, None)
