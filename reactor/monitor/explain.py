"""The life of a connection in words: why it is open, or is not.

What it is: :func:`explain`, and :class:`Explanation`, which it returns.

What it must not know: how the history is kept (protocols/history.py), and who makes its steps.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..base.printable import printable
from ..connection.connection import Connection
from ..connection.subject import subject_of
from ..protocols.history import LifeEvent, Step, read
from ..protocols.stats import ConnectionStats

if TYPE_CHECKING:
    from ..asyncio import ClientConnection, ServerConnection
    from ..classic.app.app import WebSocketApp
    from ..feeds import Link
    from ..protocols.websocket import WebSocketProtocol

__all__ = ["Explanation", "explain"]

#: What else may be given, beside what subject_of() knows.
ALSO = "or one of the connections of a Reactor or a Listener"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What has happened to a connection. ``str()`` returns it in words, one line an event.

    Attributes:
        stats: what was counted of the connection at the same moment.
        events: its last events, the oldest first: 50 at most, fewer if their texts are long (a
            connection keeps about a kilobyte). Messages and pings make none.
        taken_at: when this was made, in seconds since the epoch, as ``time.time()`` has it.
    """

    stats: ConnectionStats
    events: tuple[LifeEvent, ...]
    taken_at: float

    @property
    def lines(self) -> list[str]:
        """The events in words: the time of day here, how long ago, and what has happened."""
        return [self._line(event) for event in self.events]

    def _line(self, event: LifeEvent) -> str:
        ago = max(0.0, self.stats.now - event.time)
        moment = self.taken_at - ago
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
        return f"{clock}.{int(moment % 1 * 1000):03d}, {_span(ago)} ago: {_words(event)}"

    def __str__(self) -> str:
        return "\n".join([_summary(self.stats), *self.lines])


def explain(
    protocol: WebSocketProtocol | WebSocketApp | ClientConnection | ServerConnection | Link,
) -> Explanation:
    """Say what has happened to a connection: attempts, openings, losses, and their causes.

    Any thread, at any time, also before the connection is opened and after its end.

    Args:
        protocol: the protocol object, a client's or a server's; a WebSocketApp, whose latest run
            it is about; a connection of reactor.asyncio; a link of a Feed; or one of
            ``Reactor.connections`` or ``Listener.connections``.

    Returns:
        An object whose ``str()`` is a text in words; it has the events one by one as well.

    Raises:
        TypeError: *protocol* is none of these.
    """
    connection: Any = protocol
    if not isinstance(connection, Connection):
        connection = subject_of(protocol, "explain", ALSO)._reactor_connection
    events = read(getattr(connection, "history", b""))
    return Explanation(connection.stats, events, time.time())


def _summary(stats: ConnectionStats) -> str:
    if stats.activity == "none":
        return "There is no connection yet: the protocol object was not given to connect()."
    who = f"{stats.place} ({stats.role})"
    for_whom = {
        "open": f"is open, for {_span(stats.now - (stats.opened_at or stats.now))}",
        "connecting": f"is connecting, for the {_ordinal(stats.attempts)} time",
        "waiting": "waits for its next attempt",
        "closing": "is closing",
        "ended": "has ended for good",
    }[stats.activity]
    silent = ""
    if stats.last_message_at is not None:
        silent = f"; the last message came {_span(stats.now - stats.last_message_at)} ago"
    elif stats.opens:
        silent = "; no message has ever come"
    return f"{who} {for_whom}{silent}."


def _words(event: LifeEvent) -> str:
    text = printable(event.text)
    took = f"after {_span(event.elapsed)}"
    first, _, rest = text.partition(" ")
    match event.step:
        case Step.ATTEMPT:
            return f"attempt {text} began"
        case Step.ADMITTED:
            return f"it may begin, {took} at the gate"
        case Step.RESOLVED:
            addresses = "one address" if first == "1" else f"{first} addresses"
            return f"the name was resolved {took}: {addresses}, {rest}"
        case Step.DIALLED:
            return f"connected to {text} {took}"
        case Step.PROXIED:
            return f"connected through the proxy {text} {took}"
        case Step.SECURED:
            how = "resumed" if rest else "not resumed"
            return f"TLS is set up {took}: {first}, {how}"
        case Step.REDIRECTED:
            return f"the server redirects to {text}"
        case Step.OPENED:
            return f"open, upgraded {took}" if not text else f"opened by {text}"
        case Step.CLOSING:
            return f"we called {text}"
        case Step.RECONNECTING:
            return f"we called reconnect(){f': {text}' if text else ''}"
        case Step.FAILED:
            return f"the attempt failed {took}, because of {_WHO[first]}{rest and f': {rest}'}"
        case Step.ENDED:
            return f"ended by {_WHO[first]}: {rest}"
        case Step.WAITING:
            delay = float(text)
            return f"the next attempt follows {f'in {_span(delay)}' if delay else 'at once'}"
        case Step.OVER:
            return "over: no attempt follows"


_WHO = {"us": "us", "peer": "the peer", "network": "the network"}


def _span(seconds: float) -> str:
    """Return a duration in words of a fitting unit."""
    if seconds < 1.0:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 else f"{seconds * 1000:.1f} ms"
    if seconds < 120.0:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
