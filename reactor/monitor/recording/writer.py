"""The writer: a thread that puts what was recorded into files.

What it is: :class:`Writer`. What it must not know: what it writes.

How it works. The loop's thread hands bytes over through a queue with a limit, and never waits:
where there is no room, it is told so. The thread takes all that there is a few times a second, and
writes it in one piece: so it seldom runs, and hardly ever competes with the loop for the
interpreter. What cannot be written (a disk that is full) ends the recording: the file is cut back
to its last whole piece, the log says so once, and everything else is counted as dropped.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from weakref import WeakSet

__all__ = ["Writer", "zstandard"]

logger = logging.getLogger("reactor.monitor")

#: Seconds for which the thread lets things gather.
GATHER = 0.05

#: Seconds that all recorders have at the end of the process.
FAREWELL = 2.0

#: Only the user may read what is recorded.
MODE = 0o600


class _Next:
    """In the queue: what follows goes to another file."""

    def __init__(self, path: Path, remove: Path | None) -> None:
        self.path = path
        self.remove = remove


class Writer:
    """See the module. The loop's thread only, unless a method says so.

    Args:
        path: the file; it must not exist, unless *overwrite* says so.
        limit: bytes that may wait.
        overwrite: whether files that exist are replaced.

    Attributes:
        error: what has ended the recording, or None.
    """

    def __init__(self, path: Path, limit: int, overwrite: bool) -> None:
        self._limit = limit
        self._overwrite = overwrite
        self._items: deque[bytes | _Next] = deque()
        self._handed = self._written = 0  # bytes; each is changed by one thread
        self._idle = True
        self._signal: SimpleQueue[None] = SimpleQueue()
        self._ending = threading.Event()
        self._process = os.getpid()
        self.error: Exception | None = None
        self._file: _File = _File(path, overwrite)
        self._thread = threading.Thread(target=self._run, name="reactor-recorder", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        _open.add(self)
        self._thread.start()

    @property
    def path(self) -> Path:
        """The file that is written now, or was when the recording ended."""
        return self._file.path

    @property
    def has_room(self) -> bool:
        """Whether more may be put."""
        return self.error is None and self._handed - self._written < self._limit

    def put(self, data: bytes, must: bool = False) -> bool:
        """Have *data* written. Return False if there is no room, and it will not be.

        Args:
            data: some bytes.
            must: True: without them the file could not be read, so there is room for them.
        """
        if not (self.has_room or (must and self.error is None)):
            return False
        self._handed += len(data)
        self._append(data)
        return True

    def turn_to(self, path: Path, remove: Path | None) -> None:
        """Have what follows written to another file.

        Args:
            path: that file.
            remove: a file that is to be removed then, or None.
        """
        self._append(_Next(path, remove))

    def _append(self, item: bytes | _Next) -> None:
        self._items.append(item)
        if self._idle:
            self._idle = False
            self._signal.put(None)

    def close(self, timeout: float) -> bool:
        """Write what waits, and close the file. Any thread.

        Args:
            timeout: seconds to wait for the end.

        Returns:
            Whether it has come.
        """
        _open.discard(self)
        if os.getpid() != self._process:
            return True  # a forked child, which has no such thread
        self._ending.set()
        self._signal.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._idle = True
            if not self._items:
                if self._ending.is_set():
                    break
                self._signal.get()
            self._ending.wait(GATHER)
            self._work(self._write)
        self._work(self._file.close)

    def _work(self, step: Callable[[], object]) -> None:
        if self.error is not None:
            self._items.clear()
            return
        try:
            step()
        except Exception as exc:  # noqa: BLE001 - logged, once
            self.error = exc
            logger.error("the recording to %s has ended: %s", self._file.path, exc)
            self._file.give_up()

    def _write(self) -> None:
        """Write all that there is."""
        pieces: list[bytes] = []
        while self._items:
            item = self._items.popleft()
            if isinstance(item, bytes):
                pieces.append(item)
                continue
            self._write_pieces(pieces)
            self._file.close()
            if item.remove is not None:
                item.remove.unlink(missing_ok=True)
            self._file = _File(item.path, self._overwrite)
        self._write_pieces(pieces)

    def _write_pieces(self, pieces: list[bytes]) -> None:
        if pieces:
            try:
                self._file.write(pieces)
            finally:
                self._written += sum(map(len, pieces))
                pieces.clear()


class _File:
    """A file that is written in pieces, compressed if its name ends in ``.zst``."""

    def __init__(self, path: Path, overwrite: bool) -> None:
        self.path = path
        self._compressor: Any = None
        if path.suffix == ".zst":
            self._compressor = zstandard().ZstdCompressor().compressobj()
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if overwrite else os.O_EXCL)
        self._fd = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), MODE)
        self._size = 0  # of what is written completely

    def write(self, pieces: list[bytes]) -> None:
        if self._compressor is not None:
            data = self._compressor.compress(b"".join(pieces))
            pieces = [data + self._compressor.flush(zstandard().COMPRESSOBJ_FLUSH_BLOCK)]
        self._put(pieces)

    def _put(self, pieces: list[bytes]) -> None:
        rest = memoryview(b"".join(pieces))
        size = len(rest)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        finally:
            written = size - len(rest)
            ends = accumulate(map(len, pieces))
            self._size += max((end for end in ends if end <= written), default=0)

    def close(self) -> None:
        if self._fd < 0:
            return
        try:
            if self._compressor is not None:
                self._put([self._compressor.flush()])
        finally:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def give_up(self) -> None:
        """Keep what is whole."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            os.ftruncate(fd, self._size)
        except OSError:
            pass  # a pipe, or a disk that is gone; why the recording ended is known already
        finally:
            os.close(fd)


def zstandard() -> Any:
    """Return the module zstandard.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return import_module("zstandard")
    except ImportError as exc:
        raise ImportError(
            "recordings that are compressed by zstd need the package zstandard: "
            "pip install 'reactor-websocket[recording]'"
        ) from exc


#: Those whose end the process waits for.
_open: WeakSet[Writer] = WeakSet()


def _close_all() -> None:
    for writer in list(_open):
        writer.close(FAREWELL)


atexit.register(_close_all)
