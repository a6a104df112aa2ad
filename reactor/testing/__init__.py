"""A test kit: a loop whose time the test moves, pairs of connections, and peers at their worst.

    from reactor.testing import ManualReactor, connect_pair

What it is: the public names. docs/testing.md shows how they are used; with pytest, plugin.py offers
the fixtures ``reactor_loop``, ``reactor_pair`` and ``reactor_peer``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..timers import ManualClock
from . import faults, frames
from .frames import Frame, build_frame, close_payload, read_frames
from .loop import ManualReactor, run_until
from .pair import MemoryServer, Pair, PairFactory, connect_pair, in_thread
from .peer import Head, PeerFactory, Script, ScriptedPeer, Talk, closed_port, http_response
from .recorder import Recorder

if TYPE_CHECKING:
    from .replaying import replay

__all__ = [
    "Frame",
    "Head",
    "ManualClock",
    "ManualReactor",
    "MemoryServer",
    "Pair",
    "PairFactory",
    "PeerFactory",
    "Recorder",
    "Script",
    "ScriptedPeer",
    "Talk",
    "build_frame",
    "close_payload",
    "closed_port",
    "connect_pair",
    "faults",
    "frames",
    "http_response",
    "in_thread",
    "read_frames",
    "replay",
    "run_until",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Load what replays when it is wanted: pytest imports this package wherever it runs."""
        if name == "replay":
            from .replaying import replay

            return replay
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
