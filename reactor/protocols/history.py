"""The history of a connection: what has happened to it, in a few bytes.

What it is: :class:`Step`, what can happen; :func:`add`, which adds a step to a history; and
:func:`read`, which makes :class:`LifeEvent` objects of one.

What it must not know: who makes steps, and the words for them (monitor/explain.py).

How it works. A history is an object of ``bytes``, at most MOST_BYTES long, since thousands of
connections have one: for each step its number, its time, and a text. When it is full, the oldest
steps go. As it is never changed, only
replaced, any thread may read it. Messages make no steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

__all__ = ["LifeEvent", "Step", "add", "read"]

#: Steps that a history keeps at most.
MOST_STEPS = 50

#: Bytes of a history at most: fewer steps are kept if their texts are long.
MOST_BYTES = 960

#: Bytes of the text of a step at most.
MOST_TEXT = 120


class Step(IntEnum):
    """What can happen to a connection, and what the text of such a step says."""

    ATTEMPT = 0  # an attempt begins: its number, from 1 on
    ADMITTED = 1  # it has waited at the gate, and may begin now
    RESOLVED = 2  # the name of the host: how many addresses, and the first of them
    DIALLED = 3  # TCP is connected: the address
    PROXIED = 4  # the same through a proxy: the proxy
    SECURED = 5  # the TLS handshake is done: the version, and "resumed" if it was
    REDIRECTED = 6  # the server says where else: the URL
    OPENED = 7  # the opening handshake is done; for a server: the client's address
    CLOSING = 8  # the user has ended it: "close(1000)" with the close code, or "abort()"
    RECONNECTING = 9  # reconnect() was called: the reason
    FAILED = 10  # an attempt has failed: who has ended it, and the error
    ENDED = 11  # the connection has ended: who has ended it, the close code, error or reason
    WAITING = 12  # there will be another attempt: after how many seconds
    OVER = 13  # there will be none


@dataclass(frozen=True, slots=True)
class LifeEvent:
    """Something that has happened to a connection. Immutable.

    Attributes:
        time: when, in seconds of the loop's clock.
        elapsed: seconds since the event before; 0.0 for the first that is known.
        step: what has happened.
        text: details, safe to show; see Step.
    """

    time: float
    elapsed: float
    step: Step
    text: str


_record = Struct("<BdB")

#: Bytes of a history that has room for another step in any case.
SURE = (MOST_STEPS - 1) * _record.size


def add(history: bytes, step: Step, now: float, text: str = "") -> bytes:
    """Return a history with one more step.

    Args:
        history: the history so far; b"": none.
        step: what has happened.
        now: when, in seconds of a clock.
        text: details; what is too long is cut.
    """
    data = text.encode("utf-8", "replace")[:MOST_TEXT]
    new = _record.pack(step, now, len(data)) + data
    if len(history) > SURE:  # there may be too many
        history = _latest(history, MOST_BYTES - len(new))
    return history + new


def _latest(history: bytes, room: int) -> bytes:
    """Return the latest steps that have room, with one more."""
    starts = _starts(history)
    first = max(0, len(starts) + 1 - MOST_STEPS)
    while first < len(starts) and len(history) - starts[first] > room:
        first += 1
    return history[starts[first] :] if first < len(starts) else b""


def _starts(history: bytes) -> list[int]:
    starts = []
    pos = 0
    while pos < len(history):
        starts.append(pos)
        pos += _record.size + history[pos + _record.size - 1]
    return starts


def read(history: bytes) -> tuple[LifeEvent, ...]:
    """Return the steps of a history, the oldest first."""
    events = []
    before = None
    for start in _starts(history):
        number, moment, length = _record.unpack_from(history, start)
        text = history[start + _record.size : start + _record.size + length]
        elapsed = 0.0 if before is None else max(0.0, moment - before)
        events.append(LifeEvent(moment, elapsed, Step(number), text.decode(errors="ignore")))
        before = moment
    return tuple(events)
