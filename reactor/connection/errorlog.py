"""The log of one connection's errors: once per episode, with a count.

What it is: :class:`ErrorLog`, through which the exceptions of handlers reach the log. A peer that
makes the same handler fail with every message can neither fill the log nor keep the loop busy with
logging.

What it must not know: handlers, connections.

How it works. An episode begins with the first error and lasts a minute. During an episode, each
kind of error is logged once, with its traceback, and further errors of that kind are only counted.
A kind is an exception's type, place and text; the text of our own exceptions is left out, since it
contains figures. The number of kinds in an episode is limited, so a peer gains nothing by texts
that differ each time. The counts are logged when the next episode begins, or when the connection is
over.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Hashable
from time import monotonic
from traceback import walk_tb

from ..exceptions import WebSocketException

__all__ = ["ErrorLog"]

#: Seconds that an episode lasts.
EPISODE = 60.0

#: How many kinds of errors are logged in one episode.
MOST_KINDS = 16

#: A kind is told from another by this many innermost frames, and this many characters of the text.
FRAMES, CHARACTERS = 16, 200

OTHERS = "other errors"


class ErrorLog:
    """Logs the errors of one connection. The loop's thread only.

    Args:
        logger: the logger to use.
    """

    __slots__ = ("_args", "_counts", "_ends", "_kinds", "_logger", "_message")

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._ends = 0.0  # when this episode ends, by monotonic()
        self._kinds: dict[Hashable, str] = {}  # those of this episode, and their names in the log
        self._counts: Counter[Hashable] = Counter()
        self._message = ""  # of the latest error that was logged
        self._args: tuple[object, ...] = ()

    def error(self, exc: BaseException, message: str, *args: object) -> None:
        """Log an exception with its traceback, or count it.

        Args:
            exc: the exception.
            message: the line above the traceback, as for ``Logger.error``.
            *args: its arguments.
        """
        now = monotonic()
        if now >= self._ends:
            self.conclude()
            self._ends = now + EPISODE
        kind = _kind(exc)
        if kind in self._kinds:
            self._counts[kind] += 1
        elif len(self._kinds) >= MOST_KINDS:
            self._counts[OTHERS] += 1
        else:
            self._kinds[kind] = f"{type(exc).__name__}: {_text(exc)!r}"
            self._message, self._args = message, args
            self._logger.error(message, *args, exc_info=exc)

    def conclude(self) -> None:
        """End the episode: log what was only counted."""
        for kind, count in self._counts.items():
            name = self._kinds.get(kind, OTHERS)
            self._logger.error(f"{self._message}: %d more times %s", *self._args, count, name)
        self._kinds.clear()
        self._counts.clear()
        self._args = ()
        self._ends = 0.0


def _kind(exc: BaseException) -> Hashable:
    frames = deque(walk_tb(exc.__traceback__), FRAMES)
    place = tuple((frame.f_code, line) for frame, line in frames)
    text = "" if isinstance(exc, WebSocketException) else _text(exc)
    return type(exc), text, place


def _text(exc: BaseException) -> str:
    try:
        return str(exc)[:CHARACTERS]
    except Exception:  # noqa: BLE001 - a __str__ of the user's; the logger reports it
        return "?"
