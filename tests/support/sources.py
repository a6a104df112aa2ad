"""The four ways in which the event loop comes to call something."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from reactor.loop.event_loop import EventLoop
from reactor.timers import ManualClock

from .sockets import Sockets

KINDS = ("reader", "writer", "timer", "call")


class Sources:
    """Has the loop call something once, in its next turn, in the way that a kind names."""

    def __init__(self, loop: EventLoop, clock: ManualClock, sockets: Sockets) -> None:
        self._loop = loop
        self._clock = clock
        self._sockets = sockets

    def arrange(self, kind: str, callback: Callable[..., object], *args: object) -> None:
        """Arrange for one call of ``callback(*args)``, as one of KINDS."""
        getattr(self, f"_{kind}")(partial(callback, *args) if args else callback)

    def _reader(self, callback: Callable[[], object]) -> None:
        sock = self._sockets.readable()

        def read() -> None:
            sock.recv(1)
            callback()

        self._loop.add_reader(sock.fileno(), read)

    def _writer(self, callback: Callable[[], object]) -> None:
        fd = self._sockets.pair()[0].fileno()

        def write() -> None:
            self._loop.remove_writer(fd)
            callback()

        self._loop.add_writer(fd, write)

    def _timer(self, callback: Callable[[], object]) -> None:
        self._loop.call_later(0.001, callback)
        self._clock.advance(0.002)

    def _call(self, callback: Callable[[], object]) -> None:
        self._loop.call_soon(callback)
