"""What lives on a reactor's loop: its connections and its listeners.

What it is: :class:`Registry`, which lists them, ends them, and tells them when the process forks.

What it must not know: how connections are made.

How it works. A Registry is a resident of the loop (loop/residents.py). It looks at the connections
only when it is asked. To end them it runs turns itself, so that ``on_close`` is called and streams
end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .base.marks import calls_user_code
from .connection.connections import Connections, HostStats
from .exceptions import CloseCode
from .loop.event_loop import EventLoop
from .loop.residents import Resident
from .loop.stats import LoopStats
from .protocols.stats import ConnectionStats
from .server.listener import Listener
from .timers import Deadline

__all__ = ["ReactorStats", "Registry"]


@dataclass(frozen=True)
class ReactorStats(LoopStats):
    """A snapshot of the loop and its connections.

    All of it costs the same however many connections there are, except what is asked for by name,
    which looks at every connection.

    Attributes:
        connecting, open, closing, waiting: the number of connections in each state; waiting ones
            will reconnect.
        ended: connections that are over.
        listeners: listening sockets.
        hosts: sums for each host, over all connections, those that are over included; empty unless
            asked for.
        connections: what was counted of each connection that is not over; empty unless asked for.
    """

    connecting: int = 0
    open: int = 0
    closing: int = 0
    waiting: int = 0
    ended: int = 0
    listeners: int = 0
    hosts: tuple[HostStats, ...] = ()
    connections: tuple[ConnectionStats, ...] = ()


class Registry(Resident):
    """The connections and listeners of a reactor.

    Args:
        loop: the event loop on which they live. All of this belongs to its thread.

    Attributes:
        loop: the event loop.
        connections: all that have not ended, in both roles.
        listeners: all that accept.
        closing: the loop is being closed: nothing new may be added.
    """

    def __init__(self, loop: EventLoop) -> None:
        self.connections = Connections()
        self.listeners: set[Listener[Any]] = set()
        self.closing = False
        self.loop = loop

    def check_usable(self) -> None:
        """Check that connections and listeners may be added now.

        Raises:
            RuntimeError: the loop is closed or being closed, or another thread runs it.
        """
        loop = self.loop
        # A loop that does not run finds what was added when it runs. The thread of a host runs
        # it between its turns, too.
        if loop.running or (loop.on_wanted is not None and loop.turns):
            loop._check_owner()
        self.check_open()

    def check_open(self) -> None:
        """Check that the loop is neither closed nor being closed. Any thread.

        Raises:
            RuntimeError: it is.
        """
        if self.closing or self.loop._closed:
            self.loop._refuse()

    def stats(self, hosts: bool = False, connections: bool = False) -> ReactorStats:
        """Return a snapshot of the loop, the connections and the listeners. Any thread.

        Args:
            hosts: whether to sum up by host.
            connections: whether to have the numbers of each connection.
        """
        known = self.connections
        connecting, attached, waiting, ended = known.phases
        closing = len(known.closing)
        return ReactorStats(
            **vars(self.loop.stats()),
            connecting=connecting,
            open=attached - closing,
            closing=closing,
            waiting=waiting,
            ended=ended,
            listeners=len(self.listeners),
            hosts=known.hosts() if hosts else (),
            # list() copies in one step: any thread may call this.
            connections=tuple(each.stats for each in list(known)) if connections else (),
        )

    @calls_user_code
    def shut_down(self, deadline: Deadline) -> None:
        """Close every connection with 1001 (going away), and wait for the ends.

        This includes streams that linger after the end of their connection until the peer has ended
        them, too. What is left at the deadline is aborted.
        """
        loop = self.loop
        try:
            self.close_all()
            loop._flush()
            while (self.connections or loop.lingering) and not deadline.expired:
                loop._turn(deadline.remaining())
        finally:  # Ctrl-C ends the wait, not the closing
            try:
                self._abort_all()
            finally:
                loop._abort_lingering()

    def close_all(self) -> None:
        """Accept no more, and begin to close every connection with 1001 (going away)."""
        self._stop_listening()
        for resident in list(self.loop.residents):
            resident.shutting_down()
        for connection in list(self.connections):
            connection.close(CloseCode.GOING_AWAY)

    def _stop_listening(self) -> None:
        for listener in list(self.listeners):
            listener.stop_accepting()

    @calls_user_code
    def _abort_all(self) -> None:
        for connection in list(self.connections):
            connection.abort()
        # One turn for what is still due: on_close, and the ends of streams. If a handler leaves it
        # by KeyboardInterrupt or SystemExit, the other connections are told all the same.
        interrupt: BaseException | None = None
        while True:
            try:
                self.loop._turn(0)
            except Exception:
                raise
            except BaseException as exc:  # noqa: BLE001 - raised below
                interrupt = exc
            else:
                break
        if interrupt is not None:
            raise interrupt

    # -- as a resident of the loop -----------------------------------------------------------

    def unsent(self) -> bool:
        """See Resident."""
        return any(each.sender.unsent for each in list(self.connections))

    def handed_over(self) -> bool:
        """See Resident."""
        return any(each.sender.handed_over for each in list(self.connections))

    def end(self) -> None:
        """See Resident."""
        self.closing = True
        self._stop_listening()
        self._abort_all()

    def forked(self) -> None:
        """See Resident."""
        for connection in self.connections:
            connection.forked()

    def let_go(self) -> None:
        """See Resident."""
        for connection in self.connections:
            connection.let_go()
        for listener in self.listeners:
            listener.let_go()
        self.connections.clear()
        self.listeners.clear()
