"""What lives on an event loop, as the loop sees it.

What it is: three interfaces. A :class:`Resident` is told when the loop or its process ends, an
:class:`Abortable` lingers on the loop with nothing else to look after it, and a :class:`Flushable`
has something to write.

What it must not know: who implements them.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Abortable", "Flushable", "Resident"]


class Flushable(Protocol):
    """What may be in ``EventLoop.dirty``."""

    def flush(self) -> None:
        """Write what can be written."""


class Abortable(Protocol):
    """What may be in ``EventLoop.lingering``."""

    @property
    def unsent(self) -> bool:
        """Whether something is still to be sent."""

    def abort(self) -> None:
        """End it at once."""

    def let_go(self) -> None:
        """In a forked child: close the child's copy of the socket."""


class Resident:
    """Something that lives on a loop and is told of its end. Each method may be overridden."""

    def unsent(self) -> bool:
        """Whether something is still to be sent, or a requested close is not complete."""
        return False

    def handed_over(self) -> bool:
        """Whether other threads have sent or closed something that is not processed yet."""
        return False

    def shutting_down(self) -> None:
        """All connections are about to be closed, with 1001. Turns run until they are."""

    def end(self) -> None:
        """The loop is about to be closed. Turns can still be run."""

    def forked(self) -> None:
        """This is a copy in a forked child: forget everything; leave the parent's sockets alone."""

    def let_go(self) -> None:
        """This copy was closed: close the child's copies of the sockets. The parent's stay open."""
