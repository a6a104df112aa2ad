"""A lock for the whole process, which a forked child gets anew.

What it is: :class:`ProcessLock`. The thread that held a lock when the process forked does not exist
in the child, and would never release it there.

What it must not know: what it protects.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["ProcessLock"]


class ProcessLock:
    """A context manager. Make it once, at import: it is never freed.

    Args:
        kind: ``threading.Lock`` (default) or ``threading.RLock``.
    """

    __slots__ = ("_kind", "_lock")

    def __init__(self, kind: Callable[[], Any] = threading.Lock) -> None:
        self._kind = kind
        self._renew()
        if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = self._kind()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
