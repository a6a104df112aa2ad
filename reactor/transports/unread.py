"""Bytes that were received for a stream before its time, and that it has taken back.

What it is: :class:`Unread`, which stands before the engine of such a stream until it has read them.

What it must not know: why they were received (see compiled/batch.pyx).
"""

from __future__ import annotations

from typing import Any

__all__ = ["Unread"]


class Unread:
    """What a stream receives from next: what was taken back, and then what comes.

    Args:
        real: the engine of the stream.
        found: the bytes, or the error that there was in their place.

    Attributes:
        real: see above.
        found: what has not been read yet; None: nothing.
        send: the engine's own.
    """

    __slots__ = ("found", "real", "send")

    def __init__(self, real: Any, found: bytes | OSError) -> None:
        self.real = real
        self.found: bytes | OSError | None = found
        self.send = real.send

    def recv(self, size: int) -> bytes:
        """Return what was taken back, all of it, or raise the error; then as the engine does."""
        found, self.found = self.found, None
        if found is None:
            data: bytes = self.real.recv(size)
            return data
        if isinstance(found, OSError):
            raise found
        return found
