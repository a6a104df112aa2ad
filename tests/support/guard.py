"""A guard of a coroutine's waits: see Guard in reactor/loop/steps.py."""

from __future__ import annotations

import socket
from types import TracebackType

__all__ = ["SocketGuard"]


class SocketGuard:
    """Watches a socket, and is over when something comes. A context manager.

    Attributes:
        theirs: the far end; what it sends is the text of the error.
        fd, over, watching: see Guard.
        looks: how often it has looked.
    """

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair()
        self._ours.setblocking(False)
        self.fd = self._ours.fileno()
        self.over: Exception | None = None
        self.watching = True
        self.looks = 0

    def __enter__(self) -> SocketGuard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ours.close()
        self.theirs.close()

    def look(self) -> None:
        """See Guard."""
        self.looks += 1
        try:
            self.over = OSError(self._ours.recv(100).decode())
        except BlockingIOError:
            pass
