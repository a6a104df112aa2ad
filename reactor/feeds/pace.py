"""The pace of what is sent: see ``reactor.timers.pace``, where it lives with the rest of time."""

from __future__ import annotations

from ..timers.pace import Pace, PaceWindow

__all__ = ["Pace", "PaceWindow"]
