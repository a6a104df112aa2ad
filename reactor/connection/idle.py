"""Idle connections: a connection is dropped when no message has come for too long.

What it is: :class:`IdleWatch`, which a connection with ``idle_timeout`` has.

What it must not know: how a connection is dropped, and what follows.

How it works. A message does not touch the timer. The reader stamps the time of each read that
contains more than pings and pongs, and the watch compares that stamp when its timer expires. If the
stamp is too old, the watch first reads what the kernel holds, one read in each turn: a slow handler
may have kept the loop from reading, and that is not silence of the peer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import WebSocketTimeoutException
from .closing import break_off

if TYPE_CHECKING:
    from ..timers import Timer
    from .connection import Connection

__all__ = ["IdleWatch"]

#: The timer is set to multiples of this part of the time-out, so that connections share wake-ups.
GRID = 1 / 64


class IdleWatch:
    """Drops one open connection when no message comes. The loop's thread only.

    Args:
        connection: the connection; it is watched from :meth:`start` on.
        timeout: seconds without a message after which the connection is dropped.
    """

    __slots__ = ("_connection", "_since", "_timeout", "_timer")

    def __init__(self, connection: Connection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._since = 0.0  # since when the connection has been reading
        self._timer: Timer | None = None

    def start(self) -> None:
        """Set the timer. The connection is open."""
        self._since = self._connection.loop.time()
        self._timer = self._call_at(self._since + self._timeout)

    def _call_at(self, when: float) -> Timer:
        grid = self._timeout * GRID
        return self._connection.loop.call_at(when + -when % grid, self._look)

    def stop(self) -> None:
        """Stop watching: the connection has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def whose(self) -> str:
        """For whom it works: see loop/names.py."""
        return self._connection.whose()

    def _look(self) -> None:
        connection = self._connection
        loop = connection.loop
        now = loop.time()
        if not connection.reader.listening:
            # Nothing is read now, because the user has paused reading or the peer has to take
            # output first. Silence says nothing about the peer then.
            self._since = now
            self._timer = self._call_at(now + self._timeout * GRID)
            return
        due = max(self._since, connection.reader.message_at) + self._timeout
        if now < due:
            self._timer = self._call_at(due)
            return
        if connection.stream.read_now():
            if self._timer is not None:  # else what was read has ended it, or a handler has
                self._timer = loop.call_at(now, self._look)
            return
        self._timer = None
        break_off(
            connection,
            "idle",
            WebSocketTimeoutException(
                f"no message came for {self._timeout:g} seconds (idle_timeout)"
            ),
        )
