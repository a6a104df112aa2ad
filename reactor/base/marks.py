"""Marks on functions that call user code.

What it is: the decorator :func:`calls_user_code`, and :func:`is_marked`, which says whether a code
object has the mark. loop/interrupts.py asks when Ctrl-C arrives, and explains why.

What it must not know: signals.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, TypeVar

__all__ = ["calls_user_code", "is_marked"]

F = TypeVar("F", bound=Callable[..., Any])

_marked: set[CodeType] = set()


def calls_user_code(function: F) -> F:
    """Mark a function that calls user code itself, and return it unchanged.

    Ctrl-C may interrupt what a marked function calls. So a marked function should call no Python
    code of other libraries: it would be taken for the user's.

    Args:
        function: a Python function, a method, or a coroutine function.

    Returns:
        The same function.
    """
    assert isinstance(function, FunctionType)
    _marked.add(function.__code__)
    return function


def is_marked(code: CodeType) -> bool:
    """Return whether the function with this code object was marked."""
    return code in _marked
