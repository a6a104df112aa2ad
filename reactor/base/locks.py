"""A lock of the whole process: a forked child gets it anew.

What it is: :class:`ProcessLock`. In a child, the thread that held a lock when the process forked is
not there, and would never release it.

What it must not know: what it protects.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["ProcessLock"]


class ProcessLock:
    """A context manager. Made once, at import: it is never forgotten.

    Parameters:
        kind: ``threading.Lock``, or ``threading.RLock``.
    """

    __slots__ = ("_kind", "_lock")

    def __init__(self, kind: Callable[[], Any] = threading.Lock) -> None:
        self._kind = kind
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = self._kind()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
