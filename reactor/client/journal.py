"""The journal: what the log hears of attempts to connect, so that none fails silently.

What it is: :class:`Journal`, one for each Reactor.

What it must not know: how connections are made, or what follows.

How it works. Attempts, and what repeats itself, are of level DEBUG; changes of state of level INFO.
The first failure in a row, and giving up, are a WARNING, which Python shows where logging was not
configured; but not for a protocol object with an ``on_error`` of its own, which tells by itself:
then they are of level INFO. Thousands of connections may fail for one reason: of failures of a kind
at one address, one is told in a minute, with a count of the others before it.
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

#: Seconds in which failures of a kind are told once.
EPISODE = 60.0

#: Kinds that are remembered.
MOST_KINDS = 256


@dataclass(slots=True)
class _Kind:
    ends: float
    untold: int = 0


class Journal:
    """See the module."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[Endpoint | None, type[Exception]], _Kind] = {}

    @property
    def hears(self) -> bool:
        """Whether anything but failures is written."""
        return logger.isEnabledFor(logging.INFO)

    def attempt(self, place: str, number: int) -> None:
        """An attempt is dialled; *number* were made in vain before."""
        logger.debug("connecting to %s (attempt %d)", place, number + 1)

    def opened(self, place: str, again: bool) -> None:
        """A connection is open."""
        logger.info("%s is open%s", place, " again" if again else "")

    def ended(
        self, place: str, address: Endpoint | None, ending: Ending, policy: bool, seen: bool
    ) -> None:
        """A connection, or an attempt, has ended.

        Args:
            place: the URL.
            address: host and port, where they are known.
            ending: how it ended, and what comes next.
            policy: whether there is a reconnect policy.
            seen: whether the user has an on_error to see it.
        """
        if ending.delay is not None:
            what = f"next attempt in {ending.delay:.1f} s"
        elif policy:
            what = f"giving up after {ending.attempt} attempts"
        else:
            what = "there is no further attempt"
        error = ending.error
        if error is None:
            logger.info("%s: ended by %s (%d); %s", place, ending.initiator, ending.code, what)
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
            logger.log(level, "%s: %s: %s; %s%s", place, type(error).__name__, reason, what, others)

    def _tell(self, address: Endpoint | None, error: Exception) -> int | None:
        """Return how many of the kind were not told before; None: this one is not, either."""
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
