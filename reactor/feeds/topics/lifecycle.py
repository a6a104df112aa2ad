"""The life of a topic on one link, as a table of transitions.

What it is: the phases, what can happen, and what follows. Nothing else decides on a phase.

What it must not know: messages, links, time.

How it works::

             sent            answered "yes"           not wanted         sent
    QUEUED -------> ASKED ------------------> LIVE -------------> LEAVING ----> ENDING --> GONE
      ^  ^            |  ^                      |                    |                answered,
      |  |   no answer|  |sent                  |ended by            |wanted again    or no
      |  |            v  |                      |the service         v                answer
      |  |          OVERDUE                     |                   LIVE
      |  +--------------------------------------+
      |            refused, may be retried
    WAITING <------ ASKED, OVERDUE

A signal that the table does not have in a phase means nothing there: an answer to a question
that was not asked, for example. It is ignored and counted.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["ASKABLE", "OCCUPIED", "TABLE", "UNCONFIRMED", "Phase", "Signal"]


class Phase(Enum):
    """What a topic is on a link."""

    QUEUED = "queued"  #: to be asked for, at once
    ASKED = "asked"  #: asked for, and not answered yet
    OVERDUE = "overdue"  #: not answered in time, to be asked for again; an answer still counts
    WAITING = "waiting"  #: refused, to be asked for again later
    LIVE = "live"  #: confirmed
    LEAVING = "leaving"  #: confirmed and not wanted any longer; the service was not told yet
    RECALLED = "recalled"  #: the same, but it was not confirmed
    ENDING = "ending"  #: the service was told, and has not answered yet
    GONE = "gone"  #: not on the link any longer


class Signal(Enum):
    """What can happen to a topic on a link."""

    SENT = "sent"  #: the service was asked for it
    ACK = "ack"  #: the service has confirmed it
    HEARD = "heard"  #: updates have come where a confirmation was waited for
    RETRY = "retry"  #: the service has refused it, for now
    FINAL = "final"  #: the service has refused it, for ever
    TIMEOUT = "timeout"  #: the service has not answered in time
    DROP = "drop"  #: it is not wanted here any longer
    KEEP = "keep"  #: it is wanted again
    PARTED = "parted"  #: the service was told that it is not wanted
    OFF = "off"  #: the service says that it is not subscribed


TABLE: dict[tuple[Phase, Signal], Phase] = {
    (Phase.QUEUED, Signal.SENT): Phase.ASKED,
    (Phase.QUEUED, Signal.DROP): Phase.GONE,
    (Phase.ASKED, Signal.ACK): Phase.LIVE,
    (Phase.ASKED, Signal.HEARD): Phase.LIVE,
    (Phase.ASKED, Signal.RETRY): Phase.WAITING,
    (Phase.ASKED, Signal.FINAL): Phase.GONE,
    (Phase.ASKED, Signal.TIMEOUT): Phase.OVERDUE,
    (Phase.ASKED, Signal.DROP): Phase.RECALLED,
    (Phase.OVERDUE, Signal.SENT): Phase.ASKED,
    (Phase.OVERDUE, Signal.ACK): Phase.LIVE,
    (Phase.OVERDUE, Signal.HEARD): Phase.LIVE,
    (Phase.OVERDUE, Signal.RETRY): Phase.WAITING,
    (Phase.OVERDUE, Signal.FINAL): Phase.GONE,
    (Phase.OVERDUE, Signal.DROP): Phase.RECALLED,
    (Phase.WAITING, Signal.SENT): Phase.ASKED,
    (Phase.WAITING, Signal.DROP): Phase.GONE,
    (Phase.LIVE, Signal.DROP): Phase.LEAVING,
    (Phase.LIVE, Signal.OFF): Phase.QUEUED,
    (Phase.LEAVING, Signal.PARTED): Phase.ENDING,
    (Phase.LEAVING, Signal.KEEP): Phase.LIVE,
    (Phase.LEAVING, Signal.OFF): Phase.GONE,
    (Phase.RECALLED, Signal.PARTED): Phase.ENDING,
    (Phase.RECALLED, Signal.KEEP): Phase.ASKED,
    (Phase.RECALLED, Signal.ACK): Phase.LEAVING,
    (Phase.RECALLED, Signal.RETRY): Phase.GONE,
    (Phase.RECALLED, Signal.FINAL): Phase.GONE,
    (Phase.ENDING, Signal.OFF): Phase.GONE,
    (Phase.ENDING, Signal.TIMEOUT): Phase.GONE,
}

#: Where the service may be asked.
ASKABLE = frozenset(phase for phase, signal in TABLE if signal is Signal.SENT)

#: Where an answer is waited for.
UNCONFIRMED = frozenset({Phase.ASKED, Phase.OVERDUE})

#: Where the service may have a subscription.
OCCUPIED = frozenset({Phase.ASKED, Phase.OVERDUE, Phase.LIVE, Phase.LEAVING, Phase.RECALLED})
