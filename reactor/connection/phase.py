"""The phases of a connection, and the changes that lead from one to another.

What it is: :class:`Phase`, :class:`Change`, the table of transitions, and :func:`change`, the only
function that changes a connection's phase.

What it must not know: why a change happens, and what else is done then.

All transitions:

    CONNECTING --UPGRADED--> ATTACHED --DROPPED--> WAITING --ATTEMPT--> CONNECTING
    CONNECTING --ATTEMPT--> CONNECTING --DROPPED--> WAITING --ENDED--> OVER --REOPENED--> WAITING
    CONNECTING --ENDED--> OVER
    ATTACHED --ENDED--> OVER

A connection begins in CONNECTING. It has a stream and a session only in ATTACHED. The session's
state then tells whether it is open or closing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Protocol

from ..exceptions import WebSocketStateException

__all__ = ["ATTACHED", "Change", "Phase", "change"]


class Phase(IntEnum):
    """What a connection is doing."""

    CONNECTING = 0  # an attempt is in flight, or is about to begin
    ATTACHED = 1  # there are a stream and a session
    WAITING = 2  # a timer will start the next attempt
    OVER = 3  # for good, unless the user reopens it


class Change(IntEnum):
    """What makes the phase change."""

    ATTEMPT = 0  # an attempt to connect begins
    UPGRADED = 1  # the opening handshake has succeeded
    DROPPED = 2  # the connection or the attempt has ended, and another attempt will follow
    ENDED = 3  # the connection or the attempt has ended, and no other attempt will follow
    REOPENED = 4  # the user reopens a connection that was over


TRANSITIONS: dict[tuple[Phase, Change], Phase] = {
    (Phase.CONNECTING, Change.ATTEMPT): Phase.CONNECTING,
    (Phase.CONNECTING, Change.UPGRADED): Phase.ATTACHED,
    (Phase.CONNECTING, Change.DROPPED): Phase.WAITING,
    (Phase.CONNECTING, Change.ENDED): Phase.OVER,
    (Phase.ATTACHED, Change.DROPPED): Phase.WAITING,
    (Phase.ATTACHED, Change.ENDED): Phase.OVER,
    (Phase.WAITING, Change.ATTEMPT): Phase.CONNECTING,
    (Phase.WAITING, Change.ENDED): Phase.OVER,
    (Phase.OVER, Change.REOPENED): Phase.WAITING,
}

#: Each message compares a phase with this one. A name of the module is found ten times as fast as
#: an attribute of the enum.
ATTACHED: Final = Phase.ATTACHED


class HasPhase(Protocol):
    """What :func:`change` needs of a connection.

    Attributes:
        phase: its phase.
        phases: how many connections are in each phase; shared by all of a loop.
    """

    phase: Phase

    @property
    def phases(self) -> list[int]: ...


def change(connection: HasPhase, what: Change) -> None:
    """Change the phase of a connection.

    Args:
        connection: the connection.
        what: what has happened.

    Raises:
        WebSocketStateException: This cannot happen in the present phase, which stays as it is.
    """
    before = connection.phase
    try:
        connection.phase = after = TRANSITIONS[before, what]
    except KeyError:
        raise WebSocketStateException(
            f"{what.name} is impossible in phase {connection.phase.name}"
        ) from None
    phases = connection.phases
    phases[before] -= 1
    phases[after] += 1
