"""What a stream tells the object that uses it: bytes, their end, and how full its queue is.

What it is: :class:`Receiver`, the interface that an object must have to be given to a stream.

What it must not know: which stream it is, and who uses it.

The water marks: a stream says once that its write queue has risen above the high mark, and once
that it has fallen to the low mark. Between the two, a receiver does well to write nothing more.
stream.py compares, in the two functions that change the size of the queue.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Receiver"]


class Receiver(Protocol):
    """The methods that a stream calls on its user. All are called on the loop's thread."""

    def data_received(self, data: bytes) -> None:
        """Bytes were received; never none."""

    def eof_received(self) -> None:
        """The peer will send nothing more. The stream can still write."""

    def queue_filled(self) -> None:
        """The write queue is above the high mark; ``queue_drained`` follows."""

    def queue_drained(self) -> None:
        """The write queue was above the high mark, and is now at or below the low mark."""

    def write_failed(self) -> None:
        """The stream can write nothing more; bytes received before are still passed up."""

    def connection_lost(self, error: Exception | None) -> None:
        """The stream is closed; *error* is what ended it, or None after an orderly end."""
