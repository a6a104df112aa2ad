"""The write queue: bytes that were given to a stream and that the kernel has not taken yet.

What it is: a queue that takes about as much memory as the bytes in it. Small writes share a
buffer; a large one is kept as the same object, which the receivers of a broadcast share.

What it must not know: sockets; water marks (see stream.py); frames, except that every write
consists of whole frames. So, between two pieces of the queue, a control frame may go ahead of the
rest (RFC 6455 section 5.4), and :meth:`WriteQueue.insert` puts it there.
"""

from __future__ import annotations

from collections import deque

__all__ = ["WriteQueue"]

#: A write of at least this many bytes is kept as it is: the objects around it then cost 5 %.
SHARED_SIZE = 4096

#: Small writes are collected in buffers up to this size, in bytes: a long queue takes few system
#: calls, and little is moved when a buffer grows.
BUFFER_SIZE = 64 * 1024


class WriteQueue:
    """A queue of bytes: see the module. Its length is the number of its pieces.

    Attributes:
        size: the number of bytes in it.
        most: the greatest number of bytes that it has held.
    """

    __slots__ = ("_pieces", "most", "size")

    def __init__(self) -> None:
        self._pieces: deque[bytearray | memoryview] = deque()
        self.size = self.most = 0

    def __len__(self) -> int:
        return len(self._pieces)

    def append(self, data: bytes, start: int = 0) -> None:
        """Add *data*, from the index *start* (default 0) on, at the end."""
        size = len(data) - start
        self.size += size
        if self.size > self.most:
            self.most = self.size
        pieces = self._pieces
        if size >= SHARED_SIZE:
            pieces.append(memoryview(data)[start:])
            return
        last = pieces[-1] if pieces else None
        if not isinstance(last, bytearray) or len(last) + size > BUFFER_SIZE:
            pieces.append(last := bytearray())
        last += memoryview(data)[start:] if start else data

    def insert(self, data: bytes) -> None:
        """Add *data* at the front. Allowed only right after :meth:`take` has ended a piece."""
        self.size += len(data)
        self._pieces.appendleft(memoryview(data))

    def keep_first(self) -> None:
        """Forget everything but the first piece."""
        first = self._pieces[0]
        self._pieces.clear()
        self._pieces.append(first)
        self.size = len(first)

    @property
    def first(self) -> bytearray | memoryview:
        """The first piece, of at least one byte; IndexError if there is none."""
        return self._pieces[0]

    def take(self, size: int) -> bool:
        """Remove the first *size* bytes of the first piece.

        Returns:
            Whether that ends the piece.
        """
        self.size -= size
        piece = self._pieces[0]
        if size == len(piece):
            self._pieces.popleft()
            return True
        if isinstance(piece, bytearray):
            del piece[:size]  # CPython moves the start of the buffer, not its bytes
        else:
            self._pieces[0] = piece[size:]
        return False
