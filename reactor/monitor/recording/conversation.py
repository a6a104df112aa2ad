"""Conversations: what a connection says, with a made-up TCP around it.

What it is: :class:`Conversation`, the packets of one connection, from SYN to FIN or RST.

What it must not know: where packets go, and how the bytes were come by.

How it works. Each side has its sequence numbers, which go on over all files; each file that has
something of a conversation has its SYN and the heads of its opening handshake, so that Wireshark
can read what follows. What is recorded begins with a whole frame: where bytes are missing, because
the disk was too slow, because the recording began late, or because a new file began within a
frame, the rest of that frame is left out as well. Such bytes are a hole in the sequence numbers,
as they are where packets were lost, and the next packet says in a comment how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from .packets import ACK, FIN, MOST, PSH, RST, SYN, Endpoint, Wrapping
from .pcapng import INBOUND, OUTBOUND, packet

__all__ = ["AGAIN", "LEFT_OUT", "MADE_UP", "Conversation", "Frames", "Output"]

#: How comments begin. A replay knows them.
LEFT_OUT = "left out here: "
AGAIN = "again, from the file before"
MADE_UP = "made up: the connection was open before the recording"

#: Characters of a comment at most.
LONGEST = 16_000


class Output(Protocol):
    """Where packets go.

    Attributes:
        file: the number of the file that they go to.
    """

    file: int

    def now(self) -> int:
        """Return the time in nanoseconds since 1970."""

    def put(self, data: bytes, count: int) -> bool:
        """Take the blocks of *count* packets; return False if there is no room for them."""

    def turn_over(self) -> None:
        """Begin the next file if this one is full."""


class Frames:
    """Follows the frames in one direction, by their lengths (RFC 6455 section 5.2).

    Attributes:
        missing: bytes to come of the frame that has begun.
        begun: the first bytes of a frame whose head is not complete.
        last: where in the latest data its last frame begins; None: none does.
    """

    __slots__ = ("begun", "last", "missing")

    def __init__(self) -> None:
        self.missing = 0
        self.begun = b""
        self.last: int | None = None

    @property
    def between(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self.missing and not self.begun

    def follow(self, data: bytes) -> int:
        """Go on with *data*; return where in it the first frame begins, if need be at its end."""
        size = len(data)
        self.last = None
        first = pos = self.missing
        if pos >= size:
            self.missing = pos - size
            return size
        if self.begun:
            before = len(self.begun)
            length = _length(self.begun + data[:14], 0)
            if length is None:
                self.begun += data
                return size
            first = pos = length - before
            self.begun = b""
        while pos < size:
            self.last = pos
            length = _length(data, pos)
            if length is None:
                self.begun = data[pos:]
                self.missing = 0
                return min(first, size)
            pos += length
        self.missing = pos - size
        return min(first, size)


def _length(data: bytes, pos: int) -> int | None:
    """Return the length of the frame at *pos*, with its head; None: more is needed."""
    if pos + 2 > len(data):
        return None
    second = data[pos + 1]
    length = second & 127
    head = 6 if second & 128 else 2
    if length < 126:
        return head + length
    more = 2 if length == 126 else 8
    if pos + 2 + more > len(data):
        return None
    return head + more + int.from_bytes(data[pos + 2 : pos + 2 + more], "big")


class _Side:
    """One direction.

    Attributes:
        seq: the number of the next byte.
        frames: where frames begin; followed from the opening handshake on.
        torn: whether nothing may be recorded before the next frame begins.
        lost: bytes that are missing before what will be recorded next.
        over: whether FIN or RST was recorded.
    """

    __slots__ = ("direction", "frames", "lost", "over", "seq", "torn", "wrapping")

    def __init__(self, source: Endpoint, target: Endpoint, direction: int, seq: int) -> None:
        self.wrapping = Wrapping(source, target, direction == OUTBOUND)
        self.direction = direction
        self.frames = Frames()
        self.seq = seq
        self.torn = False
        self.lost = 0
        self.over = False


class Conversation:
    """See the module. Each method that says something belongs to the loop's thread.

    Args:
        output: where the packets go.
        ours, theirs: the two ends.
        we_began: whether we are the client.
        number: of the conversation; numbers of bytes begin with it.
        title: what the first packet says in comments.

    Attributes:
        ends: the client's end, and the server's.
        notes: returns what else is to be said, beside something that we say; None: nothing ever is.
    """

    __slots__ = ("_file", "_heads", "_output", "_sides", "_title", "_we_began", "ends", "notes")

    def __init__(
        self,
        output: Output,
        ours: Endpoint,
        theirs: Endpoint,
        we_began: bool,
        number: int,
        title: Sequence[str],
    ) -> None:
        seq = number * 0x10001000 & 0xFFFFFFFF
        self._sides = {
            True: _Side(ours, theirs, OUTBOUND, seq + 1 & 0xFFFFFFFF),
            False: _Side(theirs, ours, INBOUND, seq + 0x8001 & 0xFFFFFFFF),
        }
        self._output = output
        self._we_began = we_began
        self._title = title
        self.ends = (ours, theirs) if we_began else (theirs, ours)
        self.notes: Callable[[], Sequence[str]] | None = None
        self._heads: list[tuple[bool, bytes]] = []
        self._file = -1  # the file that has our SYN

    @property
    def over(self) -> bool:
        """Whether both sides have ended."""
        return self._sides[True].over and self._sides[False].over

    # -- what is said ------------------------------------------------------------------------

    def begin(self) -> None:
        """TCP is open."""
        self._output.turn_over()
        self._introduce([])

    def head(self, ours: bool, data: bytes, comments: Sequence[str] = ()) -> None:
        """A head of the opening handshake was sent, or has come.

        Args:
            ours: whether we have sent it.
            data: the head, without credentials.
            comments: what is said about it.
        """
        output, side = self._output, self._sides[ours]
        output.turn_over()
        known = self._file == output.file
        self._heads.append((ours, data))
        side.seq = side.seq + len(data) & 0xFFFFFFFF
        if not known:
            self._is_introduced()  # which says all heads
        elif not output.put(*self._split(side, data, comments, -len(data))):
            self._file = -1  # to be said again

    def skip(self, ours: bool, missing: int, begun: bytes = b"") -> None:
        """The recording begins within a frame.

        Args:
            ours: in which direction.
            missing: bytes to come of it.
            begun: if not even its head is complete: what has come of it.
        """
        side = self._sides[ours]
        side.frames.missing, side.frames.begun = missing, begun
        side.torn = not side.frames.between

    def say(self, ours: bool, data: bytes, comments: Sequence[str] = ()) -> None:
        """Bytes of frames were sent, or have come."""
        output, side = self._output, self._sides[ours]
        output.turn_over()
        known = self._is_introduced()
        begins = side.frames.follow(data)
        if side.torn and begins:
            self._lose(side, begins)
            data = data[begins:]
        if not data:
            return
        if ours and self.notes is not None:
            comments = (*comments, *self.notes())
        if side.lost:
            comments = (f"{LEFT_OUT}{side.lost} bytes", *comments)
        if known and output.put(*self._split(side, data, comments)):
            side.seq = side.seq + len(data) & 0xFFFFFFFF
            side.lost, side.torn = 0, False
        else:
            self._lose(side, len(data))

    def end(self, ours: bool, reset: bool = False) -> None:
        """One side has ended: FIN; with *reset*, both have: RST."""
        side, other = self._sides[ours], self._sides[not ours]
        if side.over:
            return
        self._output.turn_over()
        side.over = True
        if reset:
            other.over = True
        if not self._is_introduced():
            return
        comments = [f"{LEFT_OUT}{side.lost} bytes"] if side.lost else []
        blocks = self._packet(side, RST | ACK if reset else FIN | ACK, b"", comments)
        side.seq = side.seq + 1 & 0xFFFFFFFF
        count = 1
        if self.over and not reset:
            blocks += self._packet(other, ACK)
            count = 2
        self._output.put(blocks, count)

    # -- how ---------------------------------------------------------------------------------

    @staticmethod
    def _lose(side: _Side, size: int) -> None:
        side.seq = side.seq + size & 0xFFFFFFFF
        side.lost += size
        side.torn = True

    def _is_introduced(self) -> bool:
        """Have this file know the conversation. Whether it does."""
        if self._file == self._output.file:
            return True
        comments = [AGAIN] if self._file >= 0 else []
        before = self._file
        self._introduce(comments)
        if self._file == before:
            return False
        for side in self._sides.values():
            side.torn = side.torn or not side.frames.between
        return True

    def _introduce(self, comments: Sequence[str]) -> None:
        """SYN, and the heads that there are, before the numbers that the sides have come to."""
        before = {
            ours: sum(len(data) for whose, data in self._heads if whose is ours)
            for ours in (True, False)
        }
        began, other = self._sides[self._we_began], self._sides[not self._we_began]
        seq = began.seq - before[self._we_began] - 1 & 0xFFFFFFFF
        answer = other.seq - before[not self._we_began] - 1 & 0xFFFFFFFF
        title = [*self._title, *comments]
        time = self._output.now()
        blocks = [
            self._raw(time, began, seq, 0, SYN, b"", title),
            self._raw(time, other, answer, seq + 1 & 0xFFFFFFFF, SYN | ACK),
            self._raw(time, began, seq + 1 & 0xFFFFFFFF, answer + 1 & 0xFFFFFFFF, ACK),
        ]
        at = {self._we_began: seq + 1, (not self._we_began): answer + 1}
        for ours, data in self._heads:
            ack = at[not ours] & 0xFFFFFFFF
            for start in range(0, len(data), MOST):
                piece = data[start : start + MOST]
                number = at[ours] & 0xFFFFFFFF
                blocks.append(self._raw(time, self._sides[ours], number, ack, PSH | ACK, piece))
                at[ours] += len(piece)
        if self._output.put(b"".join(blocks), len(blocks)):
            self._file = self._output.file

    def _split(
        self, side: _Side, data: bytes, comments: Sequence[str], shift: int = 0
    ) -> tuple[bytes, int]:
        """Return the blocks of *data*, and how many packets they are."""
        if len(data) <= MOST:
            return self._packet(side, PSH | ACK, data, comments, shift), 1
        blocks = []
        for start in range(0, len(data), MOST):
            piece = data[start : start + MOST]
            blocks.append(self._packet(side, PSH | ACK, piece, comments, shift + start))
            comments = ()
        return b"".join(blocks), len(blocks)

    def _packet(
        self,
        side: _Side,
        flags: int,
        data: bytes = b"",
        comments: Sequence[str] = (),
        shift: int = 0,
    ) -> bytes:
        other = self._sides[side.direction == INBOUND]
        seq = side.seq + shift & 0xFFFFFFFF
        return self._raw(self._output.now(), side, seq, other.seq, flags, data, comments)

    @staticmethod
    def _raw(
        time: int,
        side: _Side,
        seq: int,
        ack: int,
        flags: int,
        data: bytes = b"",
        comments: Sequence[str] = (),
    ) -> bytes:
        raw = side.wrapping.segment(seq, ack, flags, data)
        return packet(time, raw, side.direction, [comment[:LONGEST] for comment in comments])
