"""What lives on an event loop, and what the loop knows of it.

What it is: three interfaces. A :class:`Resident` is told when the loop or its process ends, an
:class:`Abortable` lingers there with nobody else to look after it, and a :class:`Flushable` has
something to write.

What it must not know: who implements them.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Abortable", "Flushable", "Resident"]


class Flushable(Protocol):
    """What may stand in ``EventLoop.dirty``."""

    def flush(self) -> None: ...


class Abortable(Protocol):
    """What may stand in ``EventLoop.lingering``."""

    @property
    def unsent(self) -> bool: ...
    def abort(self) -> None: ...
    def let_go(self) -> None: ...


class Resident:
    """What lives on a loop and is told of its end. Each of these methods may be overridden."""

    def unsent(self) -> bool:
        """Whether something has still to leave, or a close that was asked for is not through."""
        return False

    def handed_over(self) -> bool:
        """Whether other threads have sent or closed something that was not looked at yet."""
        return False

    def end(self) -> None:
        """The loop is about to be closed. Turns can still be run."""

    def forked(self) -> None:
        """This is a child's copy: forget everything, and touch nothing of the parent's."""

    def let_go(self) -> None:
        """This copy was closed: close the child's copies of the sockets. The parent's go on."""
