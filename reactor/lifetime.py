"""The process and its event loops: what becomes of them when it forks.

What it is: the list of the loops that there are, and the hook that Python calls in a forked child.

What it must not know: what a loop does.

How it works. After a fork the child has copies of all objects, and shares the kernel's part of
them with its parent: the sockets, and the set of descriptors that epoll watches. Whatever a child
did with its copy of a loop, the parent would feel. So each loop is told, before anything else
runs in the child, that it is a copy; it lets go of what it has for itself, and refuses its use.
Loops are held weakly: the list keeps none of them alive.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakValueDictionary

__all__ = ["take_note"]


class Loop(Protocol):
    """What is asked of an event loop."""

    def forked(self) -> None:
        """This is a forked child, and the loop is its parent's."""


# By id(): to list the values of a dict is one step, in which no other thread can come between.
_loops: WeakValueDictionary[int, Loop] = WeakValueDictionary()


def take_note(loop: Loop) -> None:
    """There is a new event loop in this process."""
    _loops[id(loop)] = loop


def _after_fork() -> None:
    loops = _living()
    _loops.clear()
    for loop in loops:
        loop.forked()


def _living() -> list[Loop]:
    return [loop for reference in _loops.valuerefs() if (loop := reference()) is not None]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
