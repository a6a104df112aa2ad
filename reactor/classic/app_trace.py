"""The trace of frames, for a WebSocketApp: what enableTrace() shows of a connection.

What it is: a session that writes down every frame that crosses the wire.

What it must not know: whether anybody wants to see that.

How it works. What came is handed on frame by frame, one with each call, so that the line of a frame
stands before those of the answers to it. A frame's line comes when the frame is complete, but its
bytes are handed on as they come: the session must be able to refuse a frame that is too large.
"""

from __future__ import annotations

from typing import Any

from ..protocols.frames import OP_BINARY, OP_TEXT, apply_mask, parse_header
from ..protocols.session import Event, WebSocketSession
from .frame import ABNF, to_bytes
from .tracing import trace

__all__ = ["TracingSession"]

#: Bytes of the longest header (RFC 6455 section 5.2).
MAX_HEADER = 14


class TracingSession(WebSocketSession):
    """A session that writes down its frames. Parameters: see WebSocketSession."""

    __slots__ = ("_behind", "_seen")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seen = bytearray()  # of the frame that is coming
        self._behind = b""  # what came behind the frame that was handed on

    def receive(self, data: bytes, events: list[Event] | None = None) -> list[Event]:
        """See WebSocketSession."""
        data = self._behind + data
        events = super().receive(b"", events)
        if not (self.unfinished or self.ended):
            piece = self._next_frame(data)
            data = data[len(piece) :]
            events = super().receive(piece, events)
        self._behind = b"" if self.ended else data
        self.unfinished = self.unfinished or bool(self._behind)
        return events

    def _next_frame(self, data: bytes) -> bytes:
        """Return what is there of the next frame, and write it down if that is all of it."""
        header = parse_header(bytes(self._seen[:MAX_HEADER]) + data[:MAX_HEADER], 0)
        missing = None if header is None else header.start + header.length - len(self._seen)
        if header is None or missing is None or missing > len(data):
            self._seen += data
            return data
        piece = data[:missing]
        raw = bytes(self._seen) + piece
        self._seen.clear()
        payload = raw[header.start :]
        if header.mask is not None:
            payload = apply_mask(payload, header.mask)
        bits = (header.rsv >> 2 & 1, header.rsv >> 1 & 1, header.rsv & 1)
        frame = ABNF(int(header.fin), *bits, header.opcode, 0, payload)
        trace(f"++Rcv raw: {raw!r}")
        trace(f"++Rcv decoded: {frame}")
        return piece

    def send(
        self, message: str | bytes | bytearray | memoryview, compress: bool | None = None
    ) -> int:
        """See WebSocketSession."""
        size = super().send(message, compress)
        if self.agreement is None:  # else it went through _write()
            opcode = OP_TEXT if isinstance(message, str) else OP_BINARY
            self._trace_sent(opcode, to_bytes(message))
        return size

    def _write(self, opcode: int, payload: bytes, fin: bool = True, rsv: int = 0) -> int:
        size = super()._write(opcode, payload, fin, rsv)
        self._trace_sent(opcode, payload, fin, rsv)
        return size

    def _trace_sent(self, opcode: int, payload: bytes, fin: bool = True, rsv: int = 0) -> None:
        trace(f"++Sent raw: {self.output[-1]!r}")
        trace(f"++Sent decoded: {ABNF(int(fin), rsv >> 2, 0, 0, opcode, 1, payload)}")
