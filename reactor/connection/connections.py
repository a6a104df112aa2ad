"""The connections of a loop, and what was counted of those that are over.

What it is: :class:`Connections`, the set of all that are not over, and :class:`HostStats`, what it
says about those with one host.

What it must not know: how connections live.

How it works. The counts of connections by what they do are kept up to date, and cost nothing to
read. What a connection has counted is added to its host's when it is over, so that sums never
shrink. There are at most MOST_HOSTS hosts; what belongs to further ones is summed up as OTHERS.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import add, attrgetter, sub
from typing import TYPE_CHECKING, Literal

from ..base.histogram import NOTHING, Distribution, Histogram
from ..protocols.counters import Counters
from .counting import activity_of
from .phase import Phase

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Connections", "HostStats"]

#: Hosts that are told apart.
MOST_HOSTS = 100

#: The name of all further ones.
OTHERS = "others"

#: What is summed up; in HostStats, ConnectionStats and Counters it has the same names.
SUMS = (
    *("messages_in", "messages_out", "payload_in", "payload_out", "wire_in", "wire_out"),
    *("pings_in", "pings_out", "attempts", "opens", "losses"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStats:
    """Sums over all connections with one host, those that are over included. Immutable.

    Attributes:
        role: "client", or "server" for connections that clients have opened to us.
        host: host and port, ``"example.com:443"``: of the URL of the first attempt; for a server,
            where its listener listens. "others": all hosts beyond the first 100.
        connecting, open, closing, waiting: connections in each state now.
        ended: connections that are over.
        messages_in, messages_out, payload_in, payload_out, wire_in, wire_out, pings_in, pings_out,
            attempts, opens, losses: sums; see ConnectionStats. They never shrink.
        queued: bytes that were sent, and have not left the process, of all connections.
        round_trips: seconds from pings of the keep-alive to their pongs, of all connections.
    """

    role: Literal["client", "server"]
    host: str
    connecting: int = 0
    open: int = 0
    closing: int = 0
    waiting: int = 0
    ended: int = 0
    messages_in: int = 0
    messages_out: int = 0
    payload_in: int = 0
    payload_out: int = 0
    wire_in: int = 0
    wire_out: int = 0
    pings_in: int = 0
    pings_out: int = 0
    attempts: int = 0
    opens: int = 0
    losses: int = 0
    queued: int = 0
    round_trips: Distribution = NOTHING


#: What connections that are not over do.
PRESENT = ("connecting", "open", "closing", "waiting")


_numbers_of = attrgetter(*SUMS)


class _Sum:
    """The sum over the connections of one host that are over."""

    __slots__ = ("ended", "numbers", "round_trips")

    def __init__(self) -> None:
        self.ended = 0
        self.numbers = [0] * len(SUMS)
        self.round_trips = Histogram()

    def add(self, counters: Counters) -> None:
        self.numbers = list(map(add, self.numbers, _numbers_of(counters)))
        if counters.round_trips is not None:
            self.round_trips.absorb(counters.round_trips)

    def take_back(self, counters: Counters) -> None:
        self.numbers = list(map(sub, self.numbers, _numbers_of(counters)))
        if counters.round_trips is not None:
            self.round_trips.release(counters.round_trips)

    def copy(self) -> _Sum:
        other = _Sum()
        other.ended = self.ended
        other.numbers = list(self.numbers)
        other.round_trips.absorb(self.round_trips)
        return other


class Connections(set["Connection"]):
    """The connections of one loop that are not over. Any thread may read; the loop's adds.

    Attributes:
        phases: how many connections are in each phase, by its number; OVER: how many have ended.
        closing: those that are open no longer, and have not ended.
    """

    __slots__ = ("_sums", "closing", "phases")

    def __init__(self) -> None:
        super().__init__()
        self.phases = [0] * len(Phase)
        self.closing: set[Connection] = set()
        self._sums: dict[tuple[str, str], _Sum] = {}

    def __repr__(self) -> str:
        return repr(set(self))

    def enter(self, connection: Connection) -> None:
        """A connection begins, or begins again although it was over."""
        self.add(connection)
        if connection.phase is Phase.OVER:
            ended = self._sums[self._key(connection)]
            ended.take_back(connection.counters)
            ended.ended -= 1

    def leave(self, connection: Connection) -> None:
        """A connection is over: its numbers become part of its host's."""
        self.discard(connection)
        key = self._key(connection)
        if key not in self._sums:
            self._sums[key] = _Sum()
        ended = self._sums[key]
        ended.add(connection.counters)
        ended.ended += 1

    def _key(self, connection: Connection) -> tuple[str, str]:
        role, host = connection.lifecycle.role.name.lower(), connection.host
        if (role, host) in self._sums or len(self._sums) < MOST_HOSTS:
            return role, host
        return role, OTHERS

    def messages(self) -> tuple[int, int]:
        """Return how many messages were received and sent, by connections that are over, too.

        Looks at every connection, for some 0.1 us each. The loop's thread only.
        """
        ended = [dict(zip(SUMS, each.numbers, strict=True)) for each in self._sums.values()]
        taken = sum(each["messages_in"] for each in ended)
        sent = sum(each["messages_out"] for each in ended)
        for connection in self:
            taken += connection.counters.messages_in
            sent += connection.counters.messages_out
        return taken, sent

    def hosts(self) -> tuple[HostStats, ...]:
        """Return sums for each host. Looks at every connection. Any thread."""
        sums = {key: each.copy() for key, each in list(self._sums.items())}
        states: dict[tuple[str, str], dict[str, int]] = {}
        queued: dict[tuple[str, str], int] = {}
        for connection in list(self):
            key = self._key(connection)
            sums.setdefault(key, _Sum()).add(connection.counters)
            counts = states.setdefault(key, dict.fromkeys(PRESENT, 0))
            if (activity := activity_of(connection)) in counts:
                counts[activity] += 1
            queued[key] = queued.get(key, 0) + connection.sender.buffered_amount
        return tuple(
            HostStats(
                role=role,  # type: ignore[arg-type]  # one of two
                host=host,
                ended=each.ended,
                queued=queued.get((role, host), 0),
                round_trips=each.round_trips.snapshot(),
                **states.get((role, host), {}),
                **dict(zip(SUMS, each.numbers, strict=True)),
            )
            for (role, host), each in sorted(sums.items())
        )
