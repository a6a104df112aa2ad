"""Copies of collections that another thread may be changing.

What it is: :func:`copy_of`, for reading what belongs to a loop's thread from any other one.

What it must not know: what is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = ["copy_of"]

T = TypeVar("T")

#: How often it is tried: an iteration fails only if something comes or goes just then.
ATTEMPTS = 100


def copy_of(items: Callable[[], Iterable[T]]) -> list[T]:
    """Return a list of what there is at about this moment. Any thread.

    Args:
        items: returns the items; called again if they change while they are being copied.

    Returns:
        The items; none if they have not stood still once in 100 attempts.
    """
    for _ in range(ATTEMPTS):
        try:
            return list(items())
        except RuntimeError:  # "changed size during iteration"
            continue
    return []
