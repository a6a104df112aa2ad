"""The phases of a connection, and what leads from one to another.

What it is: :class:`Phase`, :class:`Change`, the table of both, and :func:`change`, the one function
that gives a connection another phase.

What it must not know: why something happens, and what else is done then.

All there is:

    CONNECTING --UPGRADED--> ATTACHED --DROPPED--> WAITING --ATTEMPT--> CONNECTING
    CONNECTING --ATTEMPT--> CONNECTING --DROPPED--> WAITING --ENDED--> OVER --REOPENED--> WAITING
    CONNECTING --ENDED--> OVER
    ATTACHED --ENDED--> OVER

A connection begins in CONNECTING. Only in ATTACHED are there a stream and a session, and the
session's state says the rest.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Protocol

from ..exceptions import WebSocketStateException

__all__ = ["ATTACHED", "Change", "Phase", "change"]


class Phase(IntEnum):
    """What a connection is doing."""

    CONNECTING = 0  # an attempt is in flight, or about to be
    ATTACHED = 1  # there are a stream and a session
    WAITING = 2  # a timer will start the next attempt
    OVER = 3  # for good, unless the user has it opened anew


class Change(IntEnum):
    """What makes the phase change."""

    ATTEMPT = 0  # to connect begins
    UPGRADED = 1  # the opening handshake has succeeded
    DROPPED = 2  # the connection or the attempt has ended, and another attempt will follow
    ENDED = 3  # no other one will
    REOPENED = 4  # the user wants a connection that was over to be opened anew


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

#: What every message compares with: to look it up in the class takes ten times as long.
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
    """Give a connection the phase that follows.

    Args:
        connection: whose ``phase`` is replaced.
        what: what has happened.

    Raises:
        WebSocketStateException: It cannot happen in this phase, which stays as it is.
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
