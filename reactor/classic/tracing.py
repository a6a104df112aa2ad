"""The log of websocket-client: the logger "websocket", and its trace.

What it is: the functions that switch the trace on and off, and those that write. The trace
shows heads and frames as they cross the wire, passwords included.

What it must not know: what is written.

How it works. The trace shows data from the server: it is escaped, and long lines are cut.
Everything goes to the logger named "websocket", which by default has a handler that does nothing.
Code that needs time to compose a line asks :func:`isEnabledForTrace` first.
"""

from __future__ import annotations

import logging
import re

from ..base.printable import printable

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

_logger = logger = logging.getLogger("websocket")
logger.addHandler(logging.NullHandler())

#: The largest number of characters in a line of the trace.
LONGEST = 1 << 20

_LINE = re.compile(r"(?:[^\r\n]|\r(?!\n))+")  # without the line end

RULE = "-----------------------"

# The state that enableTrace() sets, under the names that websocket-client uses.
#: Whether the trace is on.
_traceEnabled = False  # noqa: N816
#: The handler that was added; None while the trace is off.
_trace_handler: logging.Handler | None = None
#: The logger's level without the trace.
_default_level = logging.NOTSET
_FIRST_LEVEL = _logger.getEffectiveLevel()  # at import, as in websocket-client


def enableTrace(  # noqa: N802 - websocket-client's name
    traceable: bool, handler: logging.Handler | None = None, level: str | int = "DEBUG"
) -> None:
    """Switch the trace on or off, for the whole process.

    Args:
        traceable: True for on. A further call replaces the handler and the level.
        handler: where the lines go; default: to stderr.
        level: the level of the logger while the trace is on, by name or number.

    Raises:
        ValueError: the level does not exist.
    """
    global _traceEnabled, _trace_handler, _default_level
    if _trace_handler is not None:
        _logger.removeHandler(_trace_handler)
        _logger.setLevel(_default_level)
        _trace_handler = None
    elif not traceable:  # programs often begin with this; websocket-client sets a level there
        _logger.setLevel(_FIRST_LEVEL)
    _traceEnabled = False
    if traceable:
        before = _logger.level
        _logger.setLevel(level)
        _default_level = before
        _trace_handler = logging.StreamHandler() if handler is None else handler
        _logger.addHandler(_trace_handler)
        _traceEnabled = True


def forget() -> None:
    """Start afresh: the current state of the logger is its state without the trace."""
    global _traceEnabled, _trace_handler
    _traceEnabled = False
    _trace_handler = None


def dump(title: str, message: str) -> None:
    """Write a message of several lines under a title, if the trace is on."""
    if _traceEnabled:
        _logger.debug(f"--- {title} ---")
        _logger.debug(_LINE.sub(lambda line: printable(line[0], LONGEST), message))
        _logger.debug(RULE)


def trace(msg: str) -> None:
    """Write a line, if the trace is on."""
    if _traceEnabled:
        _logger.debug(printable(msg, LONGEST))


def error(msg: str) -> None:
    """Write a line of level ERROR."""
    _logger.error(msg)


def warning(msg: str) -> None:
    """Write a line of level WARNING."""
    _logger.warning(msg)


def info(msg: str) -> None:
    """Write a line of level INFO."""
    _logger.info(msg)


def debug(msg: str) -> None:
    """Write a line of level DEBUG."""
    _logger.debug(msg)


def isEnabledForError() -> bool:  # noqa: N802 - websocket-client's name
    """Whether lines of level ERROR are written."""
    return _logger.isEnabledFor(logging.ERROR)


def isEnabledForDebug() -> bool:  # noqa: N802 - websocket-client's name
    """Whether lines of level DEBUG are written."""
    return _logger.isEnabledFor(logging.DEBUG)


def isEnabledForTrace() -> bool:  # noqa: N802 - websocket-client's name
    """Whether the trace is on."""
    return _traceEnabled
