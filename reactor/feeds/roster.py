"""Which feeds there are: for monitors, which look at all of a reactor's.

What it is: :func:`feeds_of`; a Feed enters itself, and leaves when it is closed.

What it must not know: what feeds do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from ..base.copies import copy_of

if TYPE_CHECKING:
    from ..reactor import Reactor
    from .driver import Driver
    from .feed import Feed

__all__ = ["enter", "feeds_of", "leave"]

#: Nobody is kept alive by being here. Not by the feeds themselves: users may compare them.
_drivers: WeakValueDictionary[int, Driver] = WeakValueDictionary()


def enter(driver: Driver) -> None:
    """Add a feed, by its driver."""
    _drivers[id(driver)] = driver


def leave(driver: Driver) -> None:
    """Take a feed out, if it is there."""
    _drivers.pop(id(driver), None)


def feeds_of(loop: Reactor) -> list[Feed]:
    """Return the feeds on a reactor that are not closed, the oldest first. Any thread."""
    return [driver.feed for driver in copy_of(_drivers.values) if driver.reactor is loop]
