"""Returning freed memory to the system.

What it is: a reminder to glibc, whose malloc() keeps freed memory below a block that is still in
use. After twenty slow readers had left, the 350 MB of their queues stayed with the process; and
OpenSSL's memory, with connections that come and go, grew for minutes.

What it must not know: what the memory was for.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache

__all__ = ["released"]

#: Freed bytes after which the system gets its memory back: about a millisecond's work.
TRIM_SIZE = 16 * 1024 * 1024

_since_trim = 0


@lru_cache(maxsize=1)
def _malloc_trim() -> Callable[[int], int] | None:
    """Return glibc's function; None if the C library is another one."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


def released(size: int) -> None:
    """Note that *size* bytes were freed. May be called on any thread, even on two at once."""
    global _since_trim
    _since_trim += size
    if _since_trim >= TRIM_SIZE:
        _since_trim = 0
        trim = _malloc_trim()
        if trim is not None:
            trim(0)
