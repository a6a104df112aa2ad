"""What is counted of a connection: the class of ``WebSocketProtocol.stats``.

What it is: :class:`ConnectionStats`, a snapshot.

What it must not know: connections, and how the numbers are counted (counters.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..base.histogram import NOTHING, Distribution

__all__ = ["Activity", "ConnectionStats"]

#: What a connection is doing: the state of RFC 6455, and "waiting" for the next attempt, "ended"
#: for good, "none" for a protocol object that was not given to connect().
Activity = Literal["none", "connecting", "open", "closing", "waiting", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStats:
    """What was counted of a connection, as of one moment. Immutable.

    A connection is what one call of ``connect()`` has asked for, or what one client has opened.
    The numbers are of all of its life: they go on through reconnects. (If the same protocol object
    is given to ``connect()`` once more, that is another connection, and all numbers begin anew.)
    Only ``activity``, ``queued``, ``compression`` and ``opened_at`` are about the present, or the
    latest, time that it was open.

    Bytes of payload are those of messages, as the application sees them: text in UTF-8, before it
    is compressed, without headers. Bytes on the wire are those of frames: compressed, with headers,
    pings, pongs and close frames; without the opening handshake, TLS and TCP. A message in
    fragments counts as one, when its last fragment has come, or is handed over.

    Times are seconds of the loop's clock, ``loop.time()``; for how long ago that is, subtract them
    from ``now``.

    Attributes:
        activity: what it is doing: "connecting", "open", "closing", "waiting" for its next attempt,
            or "ended"; "none" before it was given to ``connect()``.
        role: "client", or "server" for a connection that a client has opened to us.
        place: its URL without username, password and query, for a server the target of the request
            without its query; safe to show.
        host: the host and the port that it is counted under, ``"example.com:443"``: those of its
            first attempt; for a server, where its listener listens.
        now: when this was taken.
        messages_in, messages_out: messages that were received, and sent.
        payload_in, payload_out: bytes of payload that were received, and sent.
        wire_in, wire_out: bytes on the wire that were received, and handed over to the write queue.
        pings_in, pings_out: pings that were received, and sent, those of the keep-alive included.
        round_trips: seconds from a ping of the keep-alive to its pong.
        queued: bytes that were sent, and have not left the process.
        most_queued: the most bytes that have ever been in the write queue.
        attempts: attempts to connect; 0 for a server.
        opens: how often it was opened.
        losses: how often it was open, and ended without being asked to by us.
        last_error: the latest error of the connection or of an attempt, ``"TypeOfIt: text"``, safe
            to show; None: there was none. What handlers raise does not count.
        last_error_at: when that was; None: there was none.
        last_message_at: when a message last came; None: never.
        opened_at: when it was opened for the latest time; None: never.
        compression: whether compression was agreed on.
    """

    activity: Activity = "none"
    role: Literal["client", "server"] = "client"
    place: str = ""
    host: str = ""
    now: float = 0.0
    messages_in: int = 0
    messages_out: int = 0
    payload_in: int = 0
    payload_out: int = 0
    wire_in: int = 0
    wire_out: int = 0
    pings_in: int = 0
    pings_out: int = 0
    round_trips: Distribution = NOTHING
    queued: int = 0
    most_queued: int = 0
    attempts: int = 0
    opens: int = 0
    losses: int = 0
    last_error: str | None = None
    last_error_at: float | None = None
    last_message_at: float | None = None
    opened_at: float | None = None
    compression: bool = False

    @property
    def ratio_in(self) -> float | None:
        """Bytes of payload for each byte on the wire, of what came; None: nothing came.

        Without compression it is somewhat less than 1.0, because of headers.
        """
        return self.payload_in / self.wire_in if self.wire_in else None

    @property
    def ratio_out(self) -> float | None:
        """The same of what was sent."""
        return self.payload_out / self.wire_out if self.wire_out else None
