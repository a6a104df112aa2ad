"""The journal: logs attempts to connect, so that none fails silently.

What it is: :class:`Journal`, one for each Reactor.

What it must not know: how connections are made, and what follows an attempt.

How it works. Attempts and repeated failures are logged at level DEBUG, changes of state at level
INFO. The first failure in a row, and giving up, are logged at level WARNING, which Python shows
even if logging is not configured. A protocol object with an ``on_error`` of its own has seen them
already, so they are logged at level INFO then. Thousands of connections may fail for the same
reason. So only one failure of a kind at one address is logged in a minute, with a count of the
earlier ones that were not.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from time import monotonic

from ..base.printable import printable
from ..protocols.ending import Ending

__all__ = ["Endpoint", "Journal"]

logger = logging.getLogger("reactor.connect")

#: Host and port of a URL.
Endpoint = tuple[str, int]

#: Seconds in which failures of one kind are logged once.
EPISODE = 60.0

#: How many kinds are remembered at most.
MOST_KINDS = 256


@dataclass(slots=True)
class _Kind:
    ends: float
    untold: int = 0


class Journal:
    """The log of one Reactor's attempts. See the module. The loop's thread only."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[Endpoint | None, type[Exception]], _Kind] = {}

    @property
    def hears(self) -> bool:
        """Whether anything but failures would be logged."""
        return logger.isEnabledFor(logging.INFO)

    def attempt(self, place: str, number: int) -> None:
        """Log that an attempt begins.

        Args:
            place: the URL.
            number: how many attempts have failed before, in a row.
        """
        logger.debug("connecting to %s (attempt %d)", place, number + 1)

    def opened(self, place: str, again: bool) -> None:
        """Log that a connection is open.

        Args:
            place: the URL.
            again: whether it has been open before.
        """
        logger.info("%s is open%s", place, " again" if again else "")

    def ended(
        self,
        place: str,
        address: Endpoint | None,
        ending: Ending,
        policy: bool | None,
        seen: bool,
    ) -> None:
        """Log that a connection, or an attempt, has ended.

        Args:
            place: the URL.
            address: host and port; None if they are not known.
            ending: how it ended, and what comes next.
            policy: whether there is a reconnect policy; None: somebody else has one.
            seen: whether the protocol object has an ``on_error`` of its own.
        """
        if ending.delay is not None:
            what = f"; next attempt in {ending.delay:.1f} s"
        elif policy is None:
            what = ""
        elif policy:
            what = f"; giving up after {ending.attempt} attempts"
        else:
            what = "; there is no further attempt"
        error = ending.error
        if error is None:
            logger.info("%s: ended by %s (%d)%s", place, ending.initiator, ending.code, what)
            return
        level = logging.DEBUG
        others = ""
        first = ending.final or ending.attempt <= 1
        if first and (untold := self._tell(address, error)) is not None:
            level = logging.INFO if seen else logging.WARNING
            if untold:
                others = f" ({untold} more like this were not logged)"
        if logger.isEnabledFor(level):
            reason = printable(str(error)) or type(error).__name__
            logger.log(level, "%s: %s: %s%s%s", place, type(error).__name__, reason, what, others)

    def _tell(self, address: Endpoint | None, error: Exception) -> int | None:
        """Return how many failures of this kind were not logged; None: do not log this one."""
        now = monotonic()
        key = address, type(error)
        kind = self._kinds.get(key)
        if kind is not None and now < kind.ends:
            kind.untold += 1
            return None
        if kind is None and len(self._kinds) >= MOST_KINDS:
            self._kinds = {k: each for k, each in self._kinds.items() if now < each.ends}
            if len(self._kinds) >= MOST_KINDS:
                return None
        self._kinds[key] = _Kind(now + EPISODE)
        return 0 if kind is None else kind.untold
