"""Keep-alive: pings on an open connection, and the end of a connection whose peer does not answer.

What it is: :class:`KeepAliveWatch`, which a connection with ``ping_interval`` has while it is open.

What it must not know: when a ping is due, and when a peer is dead. timers/keepalive.py decides
both.

How it works. The watch has a timer, which traffic does not touch. When the timer expires, KeepAlive
says what to do. Before a peer is declared dead, the watch reads what the kernel already holds, one
read in each turn so that no other connection is starved, until it finds the pong or nothing is
left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.histogram import Histogram
from ..exceptions import WebSocketTimeoutException
from ..protocols.session import State
from ..timers import Action, KeepAlive, KeepAlivePolicy
from .closing import fail

if TYPE_CHECKING:
    from ..timers import Timer
    from .connection import Connection

__all__ = ["KeepAliveWatch", "overdue"]


class KeepAliveWatch:
    """Pings the peer of one open connection, from :meth:`start` on. The loop's thread only.

    Args:
        connection: the connection.
        policy: how often to ping, and how long to wait for an answer.
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
        """Set the timer for the first ping. The connection is open."""
        loop = self._connection.loop
        grid = self._keep_alive.policy.grid
        due = self._keep_alive.start(loop.time(), loop.random(), grid)
        self._timer = loop.call_at(due, self._look)

    def stop(self) -> None:
        """Stop watching: a connection that is being closed has a deadline instead."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pong_received(self) -> None:
        """Take note that a pong came."""
        keep_alive, counters = self._keep_alive, self._connection.counters
        awaited = keep_alive.awaiting_pong
        keep_alive.on_pong(self._connection.loop.time())
        if awaited and keep_alive.latency is not None:
            if counters.round_trips is None:
                counters.round_trips = Histogram()
            counters.round_trips.add(keep_alive.latency)

    def whose(self) -> str:
        """For whom it works: see loop/names.py."""
        return self._connection.whose()

    def _look(self) -> None:
        connection, keep_alive = self._connection, self._keep_alive
        reader, stream = connection.reader, connection.stream
        now = connection.loop.time()
        action, due = keep_alive.on_timer(now, reader.last_activity, reader.moved_at)
        if action is Action.SUSPECT:
            if not reader.read_now() and not keep_alive.on_backlog(now, stream.backlog()):
                fail(connection, overdue())
                return
            if connection.state is not State.OPEN:
                return  # what was read has ended the connection, or a handler has
            if not stream.reading and not connection.session.unfinished:
                due = keep_alive.start(now, grid=keep_alive.policy.grid)
        elif action is Action.PING:
            connection.lifecycle.pinging()
            keep_alive.note_backlog(stream.backlog())
            connection.sender.sent(connection.session.ping(keep_alive.policy.payload))
        self._timer = connection.loop.call_at(due, self._look)


def overdue() -> WebSocketTimeoutException:
    """Return the exception that ``on_error`` gets when a peer does not answer pings."""
    return WebSocketTimeoutException("ping/pong timed out")
