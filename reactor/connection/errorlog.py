"""The log of one connection's errors: once per episode, with a count.

What it is: what stands between the exceptions of handlers and the log, so that a peer that makes
the same handler fail with every message cannot fill the log, nor keep the loop busy with it.

What it must not know: handlers, connections.

How it works. An episode begins with the first error and lasts a minute. In it, every kind of error
is logged once, with its traceback; what is of the same kind is counted. A kind is a type, a place
and a text; the texts of our own exceptions do not count, since they have figures in them. So that
texts which differ each time do not help, only so many kinds are logged. What was counted is told
when the next episode begins, or when the connection is over.
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

#: Kinds of errors that are logged in an episode.
MOST_KINDS = 16

#: Frames of a traceback, the innermost ones, and characters of a text that make up a kind.
FRAMES, CHARACTERS = 16, 200

OTHERS = "other errors"


class ErrorLog:
    """What is logged of the errors of one connection.

    Parameters:
        logger: where to.
    """

    __slots__ = ("_args", "_counts", "_ends", "_kinds", "_logger", "_message")

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._ends = 0.0  # when this episode does
        self._kinds: dict[Hashable, str] = {}  # and what they are called
        self._counts: Counter[Hashable] = Counter()
        self._message = ""  # of the latest that was logged
        self._args: tuple[object, ...] = ()

    def error(self, exc: BaseException, message: str, *args: object) -> None:
        """Log an exception with its traceback, or count it.

        Parameters:
            exc: the exception.
            message, args: the line above the traceback, as for ``Logger.error``.
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
        """The episode is over: tell what was counted."""
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
    except Exception:  # noqa: BLE001 - of a class of the user's; the logger says so, too
        return "?"
