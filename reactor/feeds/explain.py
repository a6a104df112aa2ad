"""An explanation of a topic's state, in words.

What it is: the function :func:`explain`.

What it must not know: how the state came about.
"""

from __future__ import annotations

from math import inf

from .events import Topic, TopicState
from .topics.lifecycle import Phase
from .topics.reconciler import Reconciler
from .topics.topic import UNBUILT, Leg, Record

__all__ = ["explain"]

_PHASES = {
    Phase.QUEUED: "waits to be asked for",
    Phase.ASKED: "was asked for, and is not confirmed yet",
    Phase.OVERDUE: "was not confirmed in time",
    Phase.WAITING: "was refused for now",
    Phase.LIVE: "is live",
    Phase.LEAVING: "is to be ended",
    Phase.RECALLED: "is to be ended, before it was confirmed",
    Phase.ENDING: "was ended, which is not confirmed yet",
}

_UNBUILT = "could not be asked for, because its message could not be made (see the log),"


def explain(core: Reconciler, topic: Topic, now: float) -> str:
    """Return a text that says what is known of a topic, and what it waits for.

    Args:
        core: the reconciler of its feed.
        topic: which.
        now: seconds of the loop's clock.
    """
    record = core.board.topics.get(topic)
    if record is None:
        return f"{topic!r} is not known: nobody has subscribed it, or it is over."
    lines = [f"{topic!r} is {record.state}: {_wish(record)}."]
    extra = record.extra
    if extra is not None and extra.refusal is not None:
        lines.append(f"The service has refused it for good: {extra.refusal}.")
    lines += [_leg(leg, now) for leg in record.legs]
    if record.last is not None:
        sequence = record.last.sequence
        number = "" if sequence is None else f", with the sequence {sequence!r}"
        lines.append(f"An update has come{number}.")
    if record.hole is not None:
        lines.append(f"Updates may be missing before the next one ({record.hole}).")
    if extra is not None and extra.vain:
        lines.append(f"It was found silent {extra.vain} times in a row.")
    if extra is not None and extra.held:
        lines.append(f"{len(extra.held)} updates wait for those that are missing before them.")
    return "\n".join(lines)


def _wish(record: Record) -> str:
    if record.state is TopicState.REFUSED:
        return "it is not asked for again until it is subscribed anew"
    consumers = record.consumers
    if consumers is None:
        return "nobody wants it any longer"
    count = len(consumers) if isinstance(consumers, tuple) else 1
    return "it has one consumer" if count == 1 else f"it has {count} consumers"


def _leg(leg: Leg, now: float) -> str:
    place = leg.place
    if place is None:
        full = " and all links are full" if leg.lane.overfull else ""
        return f"It waits for a link that is open and has room{full}."
    unbuilt = leg.phase is Phase.WAITING and leg.flags & UNBUILT
    parts = [f"On {place!r} it {_UNBUILT if unbuilt else _PHASES[leg.phase]}"]
    if leg.phase is Phase.LIVE:
        silence = f"{max(0.0, now - leg.heard):.1f} s"
        if leg.topic.last is None:
            parts.append(f"and no update has come yet, in {silence}")
        else:
            parts.append(f"and was last heard of {silence} ago")
    elif 0 < leg.due < inf:
        parts.append(f"and that changes in {max(0.0, leg.due - now):.1f} s")
    if leg.tries:
        parts.append(f"after {leg.tries} attempts in vain")
    if place.retiring:
        parts.append("; the link is being replaced")
    return " ".join(parts).replace(" ;", ";") + "."
