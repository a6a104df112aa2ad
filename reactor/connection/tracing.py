"""The trace of a connection's frames, in both directions.

What it is: :class:`TracingSession`, a session that shows every frame to a :class:`Tap`, and
:func:`trace_connection`, which turns tracing on and off while the connection is open.

What it must not know: who looks at the frames.

How it works. Each call of ``receive`` passes one frame on to the session, so that a frame is shown
before the answers to it. A frame is shown when it is complete, but its bytes are passed on as they
come, since the session must be able to refuse a frame that is too large. To turn tracing on or off,
the session's class is changed. The compiled path handles only sessions of the ordinary class and
leaves all others to Python, so it need not know about tracing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TextIO

from ..base.printable import printable
from ..protocols.frames import (
    OP_BINARY,
    OP_CLOSE,
    OP_CONT,
    OP_PING,
    OP_PONG,
    OP_TEXT,
    FrameHeader,
    apply_mask,
    parse_header,
)
from ..protocols.session import Event, WebSocketSession
from .phase import ATTACHED

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["FileTap", "Tap", "TracingSession", "trace_connection"]

logger = logging.getLogger("reactor.connection")

#: Bytes of the longest header (RFC 6455 section 5.2).
MAX_HEADER = 14

#: The longest line of the trace, in characters; the rest of a longer one is cut off.
LONGEST = 1 << 20

NAMES = {
    OP_CONT: "cont",
    OP_TEXT: "text",
    OP_BINARY: "binary",
    OP_CLOSE: "close",
    OP_PING: "ping",
    OP_PONG: "pong",
}


class Tap:
    """An observer of the frames of one session. The loop's thread only.

    Attributes:
        seen: the bytes of the incomplete frame that have been passed on to the session.
        behind: bytes that follow the frame that was passed on last.
        skip: how many bytes are missing of a frame whose beginning the tap did not see.
    """

    def __init__(self) -> None:
        self.seen = bytearray()
        self.behind = b""
        self.skip = 0

    def received(self, raw: bytes, header: FrameHeader, payload: bytes) -> None:
        """Called for a frame that came.

        Args:
            raw: the whole frame as it came.
            header: its header.
            payload: its payload, unmasked.
        """

    def sent(self, raw: bytes, opcode: int, payload: bytes, fin: bool, rsv: int) -> None:
        """Called for a frame that is about to be sent.

        Args:
            raw: the whole frame as it is sent.
            opcode: its opcode.
            payload: its payload, unmasked.
            fin: its FIN bit.
            rsv: its three reserved bits.
        """


class TracingSession(WebSocketSession):
    """A session that shows its frames to its ``tap``. An ordinary session gets this class."""

    __slots__ = ()

    tap: Tap

    def receive(
        self, data: bytes, events: list[Event] | None = None, alone: int = 0, inflated: int = 0
    ) -> list[Event]:
        """See WebSocketSession."""
        tap = self.tap
        data = tap.behind + data
        events = super().receive(b"", events)
        if not (self.unfinished or self.ended):
            piece = self._next_frame(tap, data)
            data = data[len(piece) :]
            events = super().receive(piece, events)
        tap.behind = b"" if self.ended else data
        self.unfinished = self.unfinished or bool(tap.behind)
        return events

    def _next_frame(self, tap: Tap, data: bytes) -> bytes:
        """Return the bytes of the next frame that are there; show the frame if it is complete."""
        if tap.skip:
            piece = data[: tap.skip]
            tap.skip -= len(piece)
            return piece
        seen = tap.seen
        header = parse_header(bytes(seen[:MAX_HEADER]) + data[:MAX_HEADER], 0)
        missing = None if header is None else header.start + header.length - len(seen)
        if header is None or missing is None or missing > len(data):
            seen += data
            return data
        piece = data[:missing]
        raw = bytes(seen) + piece
        seen.clear()
        payload = raw[header.start :]
        if header.mask is not None:
            payload = apply_mask(payload, header.mask)
        tap.received(raw, header, payload)
        return piece

    def send(
        self, message: str | bytes | bytearray | memoryview, compress: bool | None = None
    ) -> int:
        """See WebSocketSession."""
        size = super().send(message, compress)
        if self.agreement is None:  # else it went through _write()
            opcode = OP_TEXT if isinstance(message, str) else OP_BINARY
            payload = message.encode() if isinstance(message, str) else bytes(message)
            self.tap.sent(self.output[-1], opcode, payload, True, 0)
        return size

    def _write(self, opcode: int, payload: bytes, fin: bool = True, rsv: int = 0) -> int:
        size = super()._write(opcode, payload, fin, rsv)
        self.tap.sent(self.output[-1], opcode, payload, fin, rsv)
        return size


class FileTap(Tap):
    """Writes the frames to a text file, two lines each.

    Args:
        place: the name of the connection in these lines.
        file: the file. If writing to it fails, the error is logged and the trace ends.
    """

    def __init__(self, place: str, file: TextIO) -> None:
        super().__init__()
        self._place = place
        self._file: TextIO | None = file

    def received(self, raw: bytes, header: FrameHeader, payload: bytes) -> None:
        """See Tap."""
        self._write("++Rcv", raw, header.opcode, payload, header.fin, header.rsv)

    def sent(self, raw: bytes, opcode: int, payload: bytes, fin: bool, rsv: int) -> None:
        """See Tap."""
        self._write("++Sent", raw, opcode, payload, fin, rsv)

    def _write(
        self, way: str, raw: bytes, opcode: int, payload: bytes, fin: bool, rsv: int
    ) -> None:
        if self._file is None:
            return
        shown = payload.decode(errors="backslashreplace") if opcode == OP_TEXT else repr(payload)
        name = NAMES.get(opcode, "?")
        bits = f" rsv={rsv}" if rsv else ""
        decoded = f"fin={int(fin)} opcode={opcode} ({name}){bits} data={shown}"
        try:
            for line in (f"{way} raw: {raw!r}", f"{way} decoded: {decoded}"):
                self._file.write(f"{self._place} {printable(line, LONGEST)}\n")
        except Exception as exc:
            self._file = None
            logger.error("the trace of %s has ended", self._place, exc_info=exc)


def trace_connection(connection: Connection, file: TextIO | None) -> None:
    """Begin or end the trace of a connection. The loop's thread only.

    Args:
        connection: the connection.
        file: where its frames are written from now on; None: end the trace.
    """
    if connection.phase is not ATTACHED:
        return  # Connection._new_session() sees to the next session
    session = connection.session
    if session.unfinished:  # the session still holds a part of what was read: try again later
        connection.loop.call_soon(trace_connection, connection, file)
        return
    tap = session.tap
    if file is None:
        if isinstance(tap, FileTap):
            session.__class__ = WebSocketSession
            session.tap = None
    elif type(session) is WebSocketSession or isinstance(tap, FileTap):
        new = FileTap(connection.place, file)
        if isinstance(tap, FileTap):
            new.seen, new.behind, new.skip = tap.seen, tap.behind, tap.skip
        else:
            new.seen, new.skip = bytearray(session.begun), session.missing
        session.tap = new
        session.__class__ = TracingSession
