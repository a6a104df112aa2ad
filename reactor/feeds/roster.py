"""Which feeds there are: for monitors, which look at all of a reactor's, and for the loop's end.

What it is: :func:`feeds_of`; a Feed enters itself, and leaves when it is closed. Those that are
left when the loop is shut down or closed are closed then.

What it must not know: what feeds do.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from ..base.copies import copy_of
from ..loop.residents import Resident

if TYPE_CHECKING:
    from ..reactor import Reactor
    from .driver import Driver
    from .feed import Feed

__all__ = ["enter", "feeds_of", "leave"]


class _Feeds(Resident):
    """The feeds of one loop."""

    def __init__(self) -> None:
        #: Nobody is kept alive by being here. Not by the feeds themselves: users may compare them.
        self.drivers: WeakValueDictionary[int, Driver] = WeakValueDictionary()

    def shutting_down(self) -> None:
        """See Resident."""
        self.end()

    def end(self) -> None:
        """See Resident. So their mailboxes end, and whoever waits for an update goes on."""
        with ExitStack() as ends:  # each of these runs, whatever another one raises
            for driver in reversed(copy_of(self.drivers.values)):
                ends.callback(driver.end)


def _find(loop: Reactor) -> _Feeds | None:
    return next((each for each in loop.loop.residents if isinstance(each, _Feeds)), None)


def enter(driver: Driver) -> None:
    """Add a feed, by its driver.

    Raises:
        RuntimeError: the loop is closed or being closed.
    """
    driver.reactor._registry.check_open()
    feeds = _find(driver.reactor)
    if feeds is None:
        feeds = _Feeds()
        driver.loop.residents.append(feeds)
    feeds.drivers[id(driver)] = driver


def leave(driver: Driver) -> None:
    """Take a feed out that has entered."""
    feeds = _find(driver.reactor)
    assert feeds is not None
    del feeds.drivers[id(driver)]


def feeds_of(loop: Reactor) -> list[Feed]:
    """Return the feeds on a reactor that are not closed, the oldest first. Any thread."""
    feeds = _find(loop)
    return [] if feeds is None else [driver.feed for driver in copy_of(feeds.drivers.values)]
