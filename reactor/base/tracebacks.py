"""Tracebacks: what an error that is kept need not keep.

What it is: :func:`without_traceback`.

What it must not know: who keeps the error.

An exception has a traceback, and this has the frames that it has passed, with all their local
variables. Where one of these leads back to the exception, none of it is freed before the cyclic
garbage collector finds it.
"""

from __future__ import annotations

from typing import TypeVar

__all__ = ["without_traceback"]

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
