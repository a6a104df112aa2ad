"""Tracebacks: what an error that is kept need not keep.

What it is: :func:`without_traceback`, for errors of ours, and :func:`from_others`, for those that
functions of others have raised.

What it must not know: who keeps the error.

An exception has a traceback, and this has the frames that it has passed, with all their local
variables. Where one of these leads back to the exception, none of it is freed before the cyclic
garbage collector finds it.
"""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

__all__ = ["from_others", "without_traceback"]

PACKAGE = __name__.partition(".")[0]

E = TypeVar("E", bound=BaseException)


def without_traceback(error: E) -> E:
    """Return an exception of ours, of which only the type and the text matter.

    Args:
        error: the exception. It, its causes and its contexts lose their tracebacks.
    """
    found: list[BaseException] = [error]
    for each in found:  # it grows meanwhile
        each.__traceback__ = None
        for other in (each.__cause__, each.__context__):
            if other is not None and other not in found:
                found.append(other)
    return error


def from_others(error: E) -> E:
    """Return an exception whose traceback begins with the first function that is not ours.

    Args:
        error: the exception.
    """
    entry = error.__traceback__
    while entry is not None and _module_of(entry).partition(".")[0] == PACKAGE:
        entry = entry.tb_next
    return error.with_traceback(entry)


def _module_of(entry: TracebackType) -> str:
    return str(entry.tb_frame.f_globals.get("__name__", ""))
