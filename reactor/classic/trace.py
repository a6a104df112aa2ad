"""The log that websocket-client's users know: the logger "websocket", and its trace.

What it is: the functions that switch the trace on and off, and those that write. The trace
shows heads and frames as they cross the wire, passwords and all.

What it must not know: what is written.

How it works. What a trace shows has come from the server: it is escaped, and long lines are cut.
All goes to the logger named "websocket", which by default has a handler that does
nothing. Whoever has something costly to say asks :func:`isEnabledForTrace` first.
"""

from __future__ import annotations

import logging
import re

from ..printable import printable

__all__ = [
    "debug",
    "dump",
    "enableTrace",
    "error",
    "info",
    "isEnabledForDebug",
    "isEnabledForError",
    "isEnabledForTrace",
    "logger",
    "trace",
    "warning",
]

logger = logging.getLogger("websocket")
logger.addHandler(logging.NullHandler())

#: Characters of a line of the trace.
LONGEST = 1 << 20

_LINE = re.compile(r"(?:[^\r\n]|\r(?!\n))+")  # without its end

RULE = "-----------------------"


class _State:
    """What :func:`enableTrace` has done."""

    #: The handler that was added; None while the trace is off.
    handler: logging.Handler | None = None
    #: The logger's level from before.
    level: int = logging.NOTSET


def enableTrace(  # noqa: N802 - websocket-client's name
    traceable: bool, handler: logging.Handler | None = None, level: str | int = "DEBUG"
) -> None:
    """Switch the trace on or off, for the whole process.

    Parameters:
        traceable: True for on. Once more replaces handler and level.
        handler: where the lines go; default: to stderr.
        level: the level of the logger while the trace is on, by name or number.

    Raises ValueError for a level that does not exist.
    """
    if _State.handler is not None:
        logger.removeHandler(_State.handler)
        logger.setLevel(_State.level)
        _State.handler = None
    if traceable:
        before = logger.level
        logger.setLevel(level)
        _State.level = before
        _State.handler = logging.StreamHandler() if handler is None else handler
        logger.addHandler(_State.handler)


def dump(title: str, message: str) -> None:
    """Write a message of several lines under a title, if the trace is on."""
    if _State.handler is not None:
        logger.debug("--- %s ---", title)
        logger.debug("%s", _LINE.sub(lambda line: printable(line[0], LONGEST), message))
        logger.debug(RULE)


def trace(msg: str) -> None:
    """Write a line, if the trace is on."""
    if _State.handler is not None:
        logger.debug("%s", printable(msg, LONGEST))


def error(msg: str) -> None:
    """Write a line of level ERROR."""
    logger.error("%s", msg)


def warning(msg: str) -> None:
    """Write a line of level WARNING."""
    logger.warning("%s", msg)


def info(msg: str) -> None:
    """Write a line of level INFO."""
    logger.info("%s", msg)


def debug(msg: str) -> None:
    """Write a line of level DEBUG."""
    logger.debug("%s", msg)


def isEnabledForError() -> bool:  # noqa: N802 - websocket-client's name
    """Whether lines of level ERROR are written."""
    return logger.isEnabledFor(logging.ERROR)


def isEnabledForDebug() -> bool:  # noqa: N802 - websocket-client's name
    """Whether lines of level DEBUG are written."""
    return logger.isEnabledFor(logging.DEBUG)


def isEnabledForTrace() -> bool:  # noqa: N802 - websocket-client's name
    """Whether the trace is on."""
    return _State.handler is not None
