"""What a callback is, in words: for the log, and for what the loop says of itself.

What it is: :func:`describe`.

What it must not know: who has callbacks. An object of ours whose methods are callbacks may have a
method ``whose()``, which says for whom they work.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..base.printable import printable

__all__ = ["describe"]


def describe(callback: Any) -> str:
    """Return what a callback is: its name, and for whom it works; safe to show.

    Nothing of the user's is called for that, not even a ``__repr__``.

    Args:
        callback: any callable.
    """
    for _ in range(10):
        if isinstance(callback, partial):
            callback = callback.func
        elif inner := getattr(callback, "is_timing", None):  # see slow.py
            callback = inner
        else:
            break
    name = getattr(callback, "__qualname__", None)
    if not isinstance(name, str):
        name = type(callback).__qualname__
    owner = getattr(callback, "__self__", None)
    if type(owner).__module__.partition(".")[0] == __name__.partition(".")[0]:
        whose = getattr(owner, "whose", None)
        if whose is not None:
            name = f"{name} for {whose()}"
    return printable(name)
