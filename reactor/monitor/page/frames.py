"""Frames: the last frames of connections at which somebody looks.

What it is: :class:`Frames`, which traces a connection while it has viewers.

What it must not know: how frames are traced (reactor.tracing), who the viewers are.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ...base.printable import printable
from ...tracing import trace

if TYPE_CHECKING:
    from ...protocols.websocket import WebSocketProtocol

__all__ = ["Frames"]

#: Lines that are kept of a connection, and characters of each that are shown.
LINES = 60
LENGTH = 300

ELSEWHERE = ["they are traced to another file already: reactor.trace(protocol, None) ends that"]


class _Lines:
    """A file that keeps the last lines that were written to it."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=LINES)
        self.viewers: set[object] = set()
        self._rest = ""

    def write(self, text: str) -> int:
        *whole, self._rest = (self._rest + text).split("\n")
        self.lines.extend(printable(line, LENGTH) for line in whole if line)
        return len(text)

    def flush(self) -> None:
        """Do nothing: there is nothing behind it."""


class Frames:
    """What connections send and receive, while somebody looks. The loop's thread only."""

    def __init__(self) -> None:
        # By the number of the protocol object: not every class of users can be hashed. Viewers
        # keep those that they look at, so the numbers stay theirs.
        self._files: dict[int, _Lines] = {}

    def look(self, protocol: WebSocketProtocol, viewer: object) -> None:
        """Begin to trace a connection, for one more viewer."""
        file = self._files.get(id(protocol))
        if file is None:
            if protocol._reactor_trace is not None:
                return  # by the user
            file = self._files[id(protocol)] = _Lines()
            trace(protocol, file)  # type: ignore[arg-type]  # it needs no more of a file
        file.viewers.add(viewer)

    def look_away(self, protocol: WebSocketProtocol, viewer: object) -> None:
        """Stop, when the last viewer looks away."""
        file = self._files.get(id(protocol))
        if file is None:
            return
        file.viewers.discard(viewer)
        if not file.viewers:
            del self._files[id(protocol)]
            if protocol._reactor_trace is file:
                trace(protocol, None)

    def of(self, protocol: WebSocketProtocol) -> list[str]:
        """Return the last frames of a connection, a line each."""
        file = self._files.get(id(protocol))
        return ELSEWHERE if file is None else list(file.lines)
