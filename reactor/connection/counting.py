"""From what is counted of a connection to its ConnectionStats, and what is said of its end.

What it is: functions that look at a connection.

What it must not know: how a connection lives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.histogram import NOTHING
from ..base.printable import printable
from ..protocols.counters import NEVER, Counters
from ..protocols.events import State
from ..protocols.history import Step
from ..protocols.stats import Activity, ConnectionStats
from .phase import ATTACHED, Phase

if TYPE_CHECKING:
    from ..protocols.ending import Ending
    from .connection import Connection

__all__ = [
    "activity_of",
    "describe_end",
    "describe_error",
    "most_queued",
    "note_error",
    "public_place",
    "stats_of",
]

#: Characters of an error's text that are kept.
MOST_OF_ERROR = 200

#: The same in a history.
MOST_OF_CAUSE = 80

_ACTIVITIES: dict[Phase, Activity] = {
    Phase.CONNECTING: "connecting",
    Phase.WAITING: "waiting",
    Phase.OVER: "ended",
}


def describe_error(error: Exception, limit: int = MOST_OF_ERROR) -> str:
    """Return type and text of an error on one line, safe to show."""
    name, text = type(error).__name__, printable(str(error), limit)
    return f"{name}: {text}" if text else name


def note_error(counters: Counters, error: Exception | None, now: float) -> None:
    """Keep the text of what has ended a connection, or an attempt; None: it was no error."""
    if error is not None:
        counters.last_error = describe_error(error)
        counters.error_at = now


def describe_end(ending: Ending, opened: bool) -> tuple[Step, str]:
    """Return what a history says of the end of a connection, or of an attempt.

    Args:
        ending: how it ended.
        opened: whether it was open.
    """
    why = printable(ending.reason)
    if ending.error is not None:
        why = describe_error(ending.error, MOST_OF_CAUSE)
    if opened:
        return Step.ENDED, f"{ending.initiator} {ending.code} {why}".rstrip()
    return Step.FAILED, f"{ending.initiator} {why}".rstrip()


def activity_of(connection: Connection) -> Activity:
    """Return what a connection is doing, in a word."""
    phase = connection.phase  # once: another thread may change it
    if phase is ATTACHED:
        return "open" if connection.session.state is State.OPEN else "closing"
    return _ACTIVITIES[phase]


def stats_of(connection: Connection) -> ConnectionStats:
    """Return what was counted of a connection. Any thread."""
    counters = connection.counters
    attached = connection.phase is ATTACHED
    round_trips = counters.round_trips
    error = counters.last_error
    return ConnectionStats(
        activity=activity_of(connection),
        role="client" if connection.lifecycle.role == 0 else "server",
        place=public_place(connection),
        host=connection.host,
        now=connection.loop.time(),
        messages_in=counters.messages_in,
        messages_out=counters.messages_out,
        payload_in=counters.payload_in,
        payload_out=counters.payload_out,
        wire_in=counters.wire_in,
        wire_out=counters.wire_out,
        pings_in=counters.pings_in,
        pings_out=counters.pings_out,
        round_trips=NOTHING if round_trips is None else round_trips.snapshot(),
        queued=connection.sender.buffered_amount,
        most_queued=most_queued(connection),
        attempts=counters.attempts,
        opens=counters.opens,
        losses=counters.losses,
        last_error=error,
        last_error_at=None if error is None else counters.error_at,
        last_message_at=_time(counters.latest(connection.reader.message_at)),
        opened_at=_time(counters.opened_at),
        compression=attached and connection.session.agreement is not None,
    )


def public_place(connection: Connection) -> str:
    """Return its URL without username, password and query, which may be secrets; safe to show."""
    try:
        place = connection.lifecycle.place
    except Exception:  # noqa: BLE001 - its URL is a function that has given none, or a wrong one
        return ""
    return printable(place.partition("?")[0])


def most_queued(connection: Connection) -> int:
    """Return the high-water mark of its write queues, in bytes."""
    if connection.counters.opens == 0:
        return 0
    return max(connection.counters.most_queued, connection.stream.most_queued)


def _time(moment: float) -> float | None:
    return None if moment == NEVER else moment
