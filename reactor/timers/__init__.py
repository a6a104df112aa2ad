"""Time: clocks, the timer wheel, deadlines, keep-alive, reconnect delays and paces.

This package must not know about sockets, the event loop or WebSocket frames. Nothing in it waits,
or reads a clock of its own: the current time is passed in, or comes from a `Clock`.
"""

from __future__ import annotations

from .backoff import Backoff
from .clock import (
    TICKS_PER_SECOND,
    Clock,
    ManualClock,
    MonotonicClock,
    to_ticks_early,
    to_ticks_late,
)
from .deadline import Deadline
from .keepalive import Action, KeepAlive, KeepAlivePolicy
from .pace import Pace, PaceWindow
from .wheel import LAST_TICK, Timer, TimerWheel

__all__ = [
    "LAST_TICK",
    "TICKS_PER_SECOND",
    "Action",
    "Backoff",
    "Clock",
    "Deadline",
    "KeepAlive",
    "KeepAlivePolicy",
    "ManualClock",
    "MonotonicClock",
    "Pace",
    "PaceWindow",
    "Timer",
    "TimerWheel",
    "to_ticks_early",
    "to_ticks_late",
]
