"""Options under the names of websockets -> those of the reactor.

What it is: :func:`common_options`, what ``connect`` and ``serve`` have in common, and
:class:`Marks`, what a connection keeps of it for itself.

What it must not know: connections.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..protocols.deflate import Deflate
from ..protocols.messages import MOST

__all__ = ["Marks", "check_path", "common_options", "marks"]

DAY = 86400.0

Pair = tuple[int | None, int | None]


class Marks(NamedTuple):
    """The marks of a connection's two queues.

    Attributes:
        queue_high: with more messages than this in the queue, reading is paused; None: never.
        queue_low: with this many, reading resumes.
        write_high: with more bytes than this in the write queue, ``send`` waits.
        write_low: with this many, ``send`` goes on.
    """

    queue_high: int | None
    queue_low: int
    write_high: int
    write_low: int


def marks(max_queue: int | Pair | None, write_limit: int | tuple[int, int | None]) -> Marks:
    """Return the marks. Each may be a number, whose quarter is the low mark, or a pair.

    Raises:
        ValueError: one is negative, or a low mark above the high one.
    """
    queue_high, queue_low = _pair("max_queue", max_queue)
    write_high, write_low = _pair("write_limit", write_limit)
    if write_high is None:
        raise ValueError("write_limit must be a number of bytes, not None")
    return Marks(queue_high, queue_low, write_high, write_low)


def _pair(name: str, value: Any) -> tuple[int | None, int]:
    high, low = value if isinstance(value, tuple) else (value, None)
    if high is None:
        return None, 0
    if low is None:
        low = high // 4
    if not 0 <= low <= high:
        raise ValueError(f"{name} must be 0 or more, its low mark between 0 and that: {value!r}")
    return high, low


def common_options(
    marks: Marks,
    compression: Deflate | str | None,
    ping_interval: float | None,
    ping_timeout: float | None,
    close_timeout: float | None,
    max_size: int | Pair | None,
) -> dict[str, Any]:
    """Return options of ``Reactor.connect`` and ``Reactor.listen``."""
    size = max_size[0] if isinstance(max_size, tuple) else max_size
    return {
        "compression": compression,
        "ping_interval": ping_interval,
        "ping_timeout": ping_timeout,
        "close_timeout": DAY if close_timeout is None else close_timeout,
        "max_message_size": MOST if size is None else size,
        "fragments": True,
        "high_water": marks.write_high,
        "low_water": marks.write_low,
    }


def check_path(path: Any, sock: Any) -> None:
    """Check that there is the path of a Unix socket, or a socket.

    Raises:
        ValueError: there are both, or neither.
    """
    if path is None and sock is None:
        raise ValueError("no path and sock were specified")
    if path is not None and sock is not None:
        raise ValueError("path and sock can not be specified at the same time")
