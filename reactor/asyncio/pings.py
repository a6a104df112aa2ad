"""The pings that a program has sent itself, and the futures that wait for their pongs.

What it is: :class:`Pings`, which every connection has. The keep-alive's pings are not among them.

What it must not know: how a ping is sent.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from time import monotonic

from .exceptions import ConcurrencyError

__all__ = ["Pings"]


class Pings:
    """The pings of one connection that wait for their pongs.

    Args:
        loop: the asyncio loop.

    Attributes:
        latency: seconds between the latest ping and its pong; None before the first pong.
    """

    __slots__ = ("_loop", "_waiting", "latency")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[bytes, tuple[asyncio.Future[float], float]] = {}  # in order
        self.latency: float | None = None

    def check(self, payload: bytes | None) -> bytes:
        """Return the payload for a ping.

        Args:
            payload: what the program has given; None: four random bytes.

        Raises:
            ConcurrencyError: A ping with this payload is waiting for its pong.
        """
        if payload is None:
            payload = os.urandom(4)
            while payload in self._waiting:
                payload = os.urandom(4)
        elif payload in self._waiting:
            raise ConcurrencyError("a ping with this payload is waiting for its pong already")
        return payload

    def sent(self, payload: bytes) -> asyncio.Future[float]:
        """Return a future for the seconds until the pong to this ping comes."""
        pong: asyncio.Future[float] = self._loop.create_future()
        self._waiting[bytes(payload)] = pong, monotonic()
        return pong

    def answered(self, payload: bytes) -> None:
        """A pong has come. It answers earlier pings, too (RFC 6455 section 5.5.3)."""
        if payload not in self._waiting:
            return
        now = monotonic()
        for each in list(self._waiting):
            pong, sent_at = self._waiting.pop(each)
            if not pong.done():
                pong.set_result(now - sent_at)
            if each == payload:
                self.latency = now - sent_at
                return

    def end(self, error: Callable[[], Exception]) -> None:
        """No pong comes any more: every future gets an exception of its own.

        Args:
            error: makes one.
        """
        for pong, _ in self._waiting.values():
            if not pong.done():
                pong.set_exception(error())
                pong.exception()  # marks it as retrieved: nobody need await this future
        self._waiting.clear()
