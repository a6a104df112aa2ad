"""The wake-up: a byte on a socket pair, which ends the wait of a poll.

What it is: :class:`Wakeup`, the way into the event loop from other threads and signal handlers.

What it must not know: which loop waits, and why it is woken.
"""

from __future__ import annotations

import socket

__all__ = ["Wakeup"]


class Wakeup:
    """A socket pair: one end is watched by the loop's poller, a byte is sent to the other.

    Attributes:
        reader: the descriptor that is watched.
        writer: the descriptor that a byte may be written to, as ``signal.set_wakeup_fd`` does.
    """

    __slots__ = ("_closed", "_receiver", "_sender", "reader", "writer")

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self.reader = self._receiver.fileno()
        self.writer = self._sender.fileno()
        self._closed = False

    def send(self) -> None:
        """End the current wait, or the next one. Any thread."""
        try:
            self._sender.send(b"\0")
        except BlockingIOError:
            pass  # the pair is full of wake-ups already
        except OSError:
            if not self._closed:
                raise

    def drain(self) -> None:
        """Read the bytes that were sent: called when ``reader`` is readable."""
        try:
            self._receiver.recv(4096)
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Close both ends. After that, ``send`` does nothing."""
        self._closed = True
        self._receiver.close()
        self._sender.close()
