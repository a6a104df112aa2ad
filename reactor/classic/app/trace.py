"""The trace of frames, for a WebSocketApp: what enableTrace() shows of a connection.

What it is: a session that logs every frame that crosses the wire: see connection/tracing.py.

What it must not know: whether the trace is on.
"""

from __future__ import annotations

from typing import Any

from ...connection import tracing as connection_tracing
from ...connection.tracing import Tap
from ...protocols.frames import FrameHeader
from ..frame import ABNF
from ..tracing import trace

__all__ = ["TraceTap", "TracingSession"]


class TraceTap(Tap):
    """Writes to the log "websocket"."""

    def received(self, raw: bytes, header: FrameHeader, payload: bytes) -> None:
        """See Tap."""
        bits = (header.rsv >> 2 & 1, header.rsv >> 1 & 1, header.rsv & 1)
        frame = ABNF(int(header.fin), *bits, header.opcode, 0, payload)
        trace(f"++Rcv raw: {raw!r}")
        trace(f"++Rcv decoded: {frame}")

    def sent(self, raw: bytes, opcode: int, payload: bytes, fin: bool, rsv: int) -> None:
        """See Tap."""
        trace(f"++Sent raw: {raw!r}")
        trace(f"++Sent decoded: {ABNF(int(fin), rsv >> 2, 0, 0, opcode, 1, payload)}")


class TracingSession(connection_tracing.TracingSession):
    """A session whose frames are logged. The arguments are those of WebSocketSession."""

    __slots__ = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tap = TraceTap()
