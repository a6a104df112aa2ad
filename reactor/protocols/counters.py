"""What is counted while a connection lives.

What it is: :class:`Counters`, one for each connection; sessions and connections count in it, and
ConnectionStats (stats.py) is made of it.

What it must not know: who counts, and who reads.

How it works. Plain attributes, which are only ever written on the loop's thread, and may be read on
any: each is one object, so a reader sees an old value or a new one. Every message counts, so there
is a twin in C, compiled/counters.pyx, whose attributes are numbers in C, and which is used in the
place of this class where the compiled frames are.
"""

from __future__ import annotations

from ..base.histogram import Histogram
from . import frames

__all__ = ["NEVER", "Counters"]

#: The time of what has never happened. No clock shows less than 0.
NEVER = -1.0


# Twin: Counters in compiled/counters.pyx.
class Counters:
    """See the module, and ConnectionStats for what each number means.

    Attributes:
        opened_at, error_at: times of the loop's clock, or NEVER.
        last_error: a text that is safe to show, or None.
        round_trips: made with the first round trip; None before.
    """

    __slots__ = (
        *("_message_at", "_messages_before", "attempts", "error_at", "last_error", "losses"),
        *("messages_in", "messages_out", "most_queued", "opened_at", "opens", "payload_in"),
        *("payload_out", "pings_in", "pings_out", "round_trips", "wire_in", "wire_out"),
    )

    def __init__(self) -> None:
        self.messages_in = 0
        self.messages_out = 0
        self.payload_in = 0
        self.payload_out = 0
        self.wire_in = 0
        self.wire_out = 0
        self.pings_in = 0
        self.pings_out = 0
        self.most_queued = 0
        self.attempts = 0
        self.opens = 0
        self.losses = 0
        # When a message last came before the connection was opened for the latest time, and how
        # many had come by then. The time of what comes since is that of who reads it.
        self._message_at = NEVER
        self._messages_before = 0
        self.opened_at = NEVER
        self.error_at = NEVER
        self.last_error: str | None = None
        self.round_trips: Histogram | None = None

    def note_opening(self, now: float, read_at: float) -> None:
        """The connection is opened.

        Args:
            now: the time.
            read_at: when bytes of messages last came, or it was opened before.
        """
        self._message_at = self.latest(read_at)
        self._messages_before = self.messages_in
        self.opens += 1
        self.opened_at = now

    def latest(self, read_at: float) -> float:
        """Return when a message last came, or NEVER; *read_at* as for :meth:`note_opening`."""
        return read_at if self.messages_in > self._messages_before else self._message_at


if frames.compiled:
    from ..compiled.counters import Counters  # type: ignore[no-redef]
