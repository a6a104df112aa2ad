"""Idle: a connection on which no message comes for too long is dropped.

What it is: :class:`IdleWatch`, which a connection with ``idle_timeout`` has.

What it must not know: how a connection is dropped, and what follows.

How it works. No message touches a timer, nor anything else for this: a read that has more than
pings and pongs in it stamps the connection with its time, and that is looked at when the timer
expires. If it is too long ago, what the kernel holds is read before anything is concluded, one read
a turn: a handler that was slow has kept us from hearing, and that is no silence of the peer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import WebSocketTimeoutException

if TYPE_CHECKING:
    from ..timers import Timer
    from .connection import Connection

__all__ = ["IdleWatch"]

#: The timer is set to multiples of this part of the time-out, so that connections share wake-ups.
GRID = 1 / 64


class IdleWatch:
    """Watches one open connection, from now on.

    Args:
        connection: the connection; it is open.
        timeout: seconds without a message.
    """

    __slots__ = ("_connection", "_since", "_timeout", "_timer")

    def __init__(self, connection: Connection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._since = connection.loop.time()  # messages could be heard since then
        self._timer: Timer | None = self._call_at(self._since + timeout)

    def _call_at(self, when: float) -> Timer:
        grid = self._timeout * GRID
        return self._connection.loop.call_at(when + -when % grid, self._look)

    def stop(self) -> None:
        """The connection has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        connection = self._connection
        loop = connection.loop
        now = loop.time()
        if not connection.listens():
            # Nothing can be heard: who has paused reading, or has the peer take something first,
            # need not be told that it is quiet.
            self._since = now
            self._timer = self._call_at(now + self._timeout * GRID)
            return
        due = max(self._since, connection.message_at) + self._timeout
        if now < due:
            self._timer = self._call_at(due)
            return
        if connection.stream.read_now():
            if self._timer is not None:  # what was read, or its handler, has not ended it
                self._timer = loop.call_at(now, self._look)
            return
        self._timer = None
        connection.break_off(
            "idle",
            WebSocketTimeoutException(
                f"no message came for {self._timeout:g} seconds (idle_timeout)"
            ),
        )
