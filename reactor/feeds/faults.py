"""Faults: what becomes of the errors of a feed, the user's and those of its connections.

What it is: :class:`Faults`, which every feed has. It calls user code so that an exception affects
nothing else, and takes errors to the log and to ``on_error``.

What it must not know: topics, links.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from ..base.marks import calls_user_code
from ..base.printable import quoted
from ..connection.errorlog import ErrorLog
from .events import Update

if TYPE_CHECKING:
    from .feed import Feed

__all__ = ["Faults"]

logger = logging.getLogger("reactor.feeds")

#: Seconds in which the log has one failed connection of a feed, if nobody hears of them.
QUIET = 60.0


class Faults:
    """The errors of one feed. See the module. The loop's thread only.

    Args:
        feed: whose ``on_error`` is called.
        time: returns the time, in seconds.
        base: Feed itself, whose ``on_error`` does nothing.
    """

    def __init__(self, feed: Feed, time: Callable[[], float], base: type[Feed]) -> None:
        self._feed = feed
        self._time = time
        self._log = ErrorLog(logger)
        self._deaf = base.on_error.__get__(feed)  # it is this where the user has none
        self._quiet_until = -inf

    @calls_user_code
    def guard(self, function: Callable[..., object], *args: Any) -> None:
        """Call user code, and report what it raises."""
        try:
            function(*args)
        except Exception as exc:  # noqa: BLE001 - reported, not swallowed
            name = getattr(function, "__qualname__", repr(function))
            self.report(exc, name, args[-1] if args else None, function == self._feed.on_error)

    def tell(self, error: Exception) -> None:
        """A link, or an attempt, has failed; in the log once a minute, if nobody hears of it."""
        feed = self._feed
        if feed.on_error == self._deaf and self._time() >= self._quiet_until:
            self._quiet_until = self._time() + QUIET
            name = type(feed).__name__
            logger.warning("%s: %s: %s", name, type(error).__name__, quoted(str(error)))
        self.guard(feed.on_error, error)

    def report(
        self, error: Exception, blamed: str, what: Any = None, by_on_error: bool = False
    ) -> None:
        """Report what user code has raised: to the log, and to ``on_error``.

        Args:
            error: the exception.
            blamed: the function that has raised it.
            what: what the function was given; None: nothing worth to be shown.
            by_on_error: ``on_error`` itself has raised it, and is not called again.
        """
        if isinstance(what, Update):
            what = what.data
        shown = "" if what is None else f", given {quoted(what)}"
        text = f"exception in {blamed} of {type(self._feed).__name__}{shown}"
        if hasattr(error, "add_note"):  # Python 3.11
            error.add_note(text)
        self._log.error(error, "%s", text)
        if not by_on_error:
            self.guard(self._feed.on_error, error)

    def conclude(self) -> None:
        """Log how many errors were not logged singly: the feed is closed."""
        self._log.conclude()
