"""Keep-alive: pings on an open connection, and the end of one whose peer does not answer.

What it is: :class:`KeepAliveWatch`, which a connection with ``ping_interval`` has while it is open.

What it must not know: when a ping is due, and when a peer is dead; timers/keepalive.py does.

How it works. The watch has a timer, which traffic does not touch. When it expires, KeepAlive says
what is to be done. Before a peer is declared dead, what the kernel already holds is read: one read
a turn, so that nobody is starved, until the pong is found or nothing is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.histogram import Histogram
from ..exceptions import WebSocketTimeoutException
from ..protocols.session import State
from ..timers import Action, KeepAlive, KeepAlivePolicy

if TYPE_CHECKING:
    from ..timers import Timer
    from .connection import Connection

__all__ = ["KeepAliveWatch", "overdue"]


class KeepAliveWatch:
    """Watches one open connection, from :meth:`start` on.

    Args:
        connection: the connection.
        policy: how to do it.
    """

    __slots__ = ("_connection", "_keep_alive", "_timer")

    def __init__(self, connection: Connection, policy: KeepAlivePolicy) -> None:
        self._connection = connection
        self._keep_alive = KeepAlive(policy)
        self._timer: Timer | None = None

    @property
    def latency(self) -> float | None:
        """Seconds between the last ping and its pong, or None."""
        return self._keep_alive.latency

    def start(self) -> None:
        """Begin: the connection is open."""
        loop = self._connection.loop
        grid = self._keep_alive.policy.grid
        due = self._keep_alive.start(loop.time(), loop.random(), grid)
        self._timer = loop.call_at(due, self._look)

    def stop(self) -> None:
        """The connection is being closed: it has a deadline instead."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pong_received(self) -> None:
        """A pong came."""
        keep_alive, counters = self._keep_alive, self._connection.counters
        awaited = keep_alive.awaiting_pong
        keep_alive.on_pong(self._connection.loop.time())
        if awaited and keep_alive.latency is not None:
            if counters.round_trips is None:
                counters.round_trips = Histogram()
            counters.round_trips.add(keep_alive.latency)

    def _look(self) -> None:
        connection, keep_alive = self._connection, self._keep_alive
        reader, stream = connection.reader, connection.stream
        now = connection.loop.time()
        action, due = keep_alive.on_timer(now, reader.last_activity, reader.moved_at)
        if action is Action.SUSPECT:
            if not reader.read_now() and not keep_alive.on_backlog(now, stream.backlog()):
                connection.fail(overdue())
                return
            if connection.state is not State.OPEN:
                return  # what was read, or its handler, has ended the connection
            if not stream.reading and not connection.session.unfinished:
                due = keep_alive.start(now, grid=keep_alive.policy.grid)
        elif action is Action.PING:
            connection.lifecycle.pinging()
            keep_alive.note_backlog(stream.backlog())
            connection.sender.sent(connection.session.ping(keep_alive.policy.payload))
        self._timer = connection.loop.call_at(due, self._look)


def overdue() -> WebSocketTimeoutException:
    """Return what on_error hears of a peer that does not answer pings."""
    return WebSocketTimeoutException("ping/pong timed out")
