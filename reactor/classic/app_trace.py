"""The trace of frames, for a WebSocketApp: what enableTrace() shows of a connection.

What it is: a session that writes down every frame that crosses the wire.

What it must not know: whether anybody wants to see that.

How it works. What came is handed on frame by frame, so that the line of a frame stands before
those of the answers to it. A frame's line comes when the frame is complete, but its bytes are
handed on as they come: the session must be able to refuse a frame that is too large.
"""

from __future__ import annotations

from typing import Any

from ..protocols.frames import OP_BINARY, OP_TEXT, apply_mask, parse_header
from ..protocols.session import Event, WebSocketSession
from .frame import ABNF, to_bytes
from .trace import trace

__all__ = ["TracingSession"]

#: Bytes of the longest header (RFC 6455 section 5.2).
MAX_HEADER = 14


class TracingSession(WebSocketSession):
    """A session that writes down its frames. Parameters: see WebSocketSession."""

    __slots__ = ("_seen",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seen = bytearray()  # of the frame that is coming

    def receive(self, data: bytes) -> list[Event]:
        """See WebSocketSession."""
        events: list[Event] = []
        while data and not self.ended:
            before = len(self._seen)
            self._seen += data
            header = parse_header(bytes(self._seen[:MAX_HEADER]), 0)
            end = None if header is None else header.start + header.length
            if header is None or end is None or end > len(self._seen):
                events += super().receive(data)
                break
            raw = bytes(self._seen[:end])
            self._seen.clear()
            payload = raw[header.start :]
            if header.mask is not None:
                payload = apply_mask(payload, header.mask)
            bits = (header.rsv >> 2 & 1, header.rsv >> 1 & 1, header.rsv & 1)
            frame = ABNF(int(header.fin), *bits, header.opcode, 0, payload)
            trace(f"++Rcv raw: {raw!r}")
            trace(f"++Rcv decoded: {frame}")
            piece, data = data[: end - before], data[end - before :]
            events += super().receive(piece)
        return events

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
