"""What every sink has: a buffer in front of it, and somebody who empties it.

What it is: :class:`Sink`, the settings that travel to the shards; :class:`Writer`, which a shard
has; :class:`Post`, what a writer knows of its shard.

What it must not know: what a certain sink does; feeds.

How it works. ``put`` is called on the loop's thread for each record, and never waits. A task of
the writer, :meth:`Writer.run`, takes from the buffer and sends. When it raises, it is logged, and
begun again after a moment; what it had not confirmed is its own business. A writer of batches waits
until a batch is full, or its first record has waited for ``linger``.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...exceptions import WebSocketStateException
from ..cancelling import cancel
from ..ledger import Ledger
from ..names import Names
from ..rules.epochs import Epoch
from ..rules.positions import Position
from ..rules.records import Record
from ..rules.window import Buffer

__all__ = ["Post", "Sink", "Writer", "need_package"]

_log = logging.getLogger("reactor.fleet")

#: Seconds before a sink that has failed is tried again, at first and at most.
FIRST_PAUSE, LAST_PAUSE = 0.05, 2.0


@dataclass
class Post:
    """What a writer knows of its shard.

    Args:
        names: of the fleet.
        epoch: of the shard.
        servers: URLs of NATS.
        options: for connections to it.
        ledger: the stream of the updates; None where the sink has none.
        valid: returns whether the shard's lease was renewed in time, as far as it knows.
        holds: returns (awaited) whether the store says that the shard's lease is ours.
        fenced: called when the server has refused us for good, with the reason.
    """

    names: Names
    epoch: Epoch
    servers: str | Sequence[str]
    options: Mapping[str, Any]
    ledger: Ledger | None
    valid: Callable[[], bool]
    holds: Callable[[], Any]
    fenced: Callable[[str], None]


@dataclass(frozen=True)
class Sink:
    """Settings of a sink; they travel to the shards, so all of them can be pickled.

    Args:
        maxlen: records that wait in a shard at most.
        drop: what goes when more come: "oldest" or "latest", as in a feed's Mailbox.
    """

    maxlen: int = field(default=100_000, kw_only=True)
    drop: str = field(default="oldest", kw_only=True)

    #: Whether the updates are in a stream of JetStream, which can refuse a shard.
    fences = False

    def __post_init__(self) -> None:
        Buffer(self.maxlen, self.drop)

    def writer(self, post: Post) -> Writer:
        """Return what a shard writes with."""
        raise NotImplementedError

    def stream_options(self) -> dict[str, Any] | None:
        """Return what the stream of the updates is to be like; None: there is none."""
        return None


def need_package(package: str, extra: str) -> None:
    """Say it early when the package of a sink is not there.

    Raises:
        WebSocketStateException: It is not.
    """
    if importlib.util.find_spec(package) is None:
        raise WebSocketStateException(
            f"this sink needs the package {package}: pip install 'reactor-websocket[{extra}]'"
        )


class Writer:
    """What a shard writes with. It belongs to one thread, that of the shard's loop.

    Args:
        sink: its settings.
        post: its shard.

    Attributes:
        sent: records that were handed over.
        failed: records that could not be, each for a reason of its own.
        errors: how often the sink has failed.
        size: records that make a full batch.
        linger: seconds that the first record of a batch waits for more.
    """

    size = 1
    linger = 0.0

    def __init__(self, sink: Sink, post: Post) -> None:
        self.post = post
        self.buffer = Buffer(sink.maxlen, sink.drop)
        self.sent = 0
        self.failed = 0
        self.errors = 0
        self._wake = asyncio.Event()
        self._waiting = False
        self._due: float | None = None  # when a batch that is not full goes
        self._idle = asyncio.Event()  # nothing waits, and nothing is unconfirmed
        self._task: asyncio.Task[None] | None = None

    # -- for the shard -------------------------------------------------------------------------

    def put(self, record: Record) -> None:
        """Take a record; never waits. Only the first one of a batch, and the last, are news."""
        self.buffer.put(record)
        if self._waiting and (len(self.buffer) >= self.size or self._due is None):
            self.poke()

    def forget(self, topic: str) -> None:
        """A topic is over."""
        self.buffer.forget(topic)

    async def positions(self, topics: Sequence[str]) -> dict[str, Position]:
        """Return how far topics have come, as far as the sink can tell."""
        return {}

    def seed(self, positions: Mapping[str, Position]) -> None:
        """Go on from positions that were found."""

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.ensure_future(self._run())

    async def flush(self, timeout: float) -> bool:
        """Wait until everything is handed over and confirmed.

        Args:
            timeout: seconds at most.

        Returns:
            Whether it is.
        """
        self._due = 0.0
        try:
            await asyncio.wait_for(self._until_idle(), timeout)
        except (TimeoutError, asyncio.TimeoutError):
            return False
        return True

    async def _until_idle(self) -> None:
        while not self.is_idle:
            self._idle.clear()
            self.poke()
            await self._idle.wait()

    async def close(self) -> None:
        """Send nothing more."""
        if self._task is not None:
            await cancel([self._task])
            self._task = None

    def figures(self) -> dict[str, int]:
        """Return what there is to count."""
        return {
            "sent": self.sent,
            "buffered": len(self.buffer),
            "dropped": self.buffer.dropped,
            "failed": self.failed,
            "errors": self.errors,
        }

    # -- for sinks -----------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, and nothing is unconfirmed."""
        return not len(self.buffer)

    async def run(self) -> None:
        """Take records and send them, for as long as it goes well."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether a batch is full, or its first record has waited long enough."""
        waiting = len(self.buffer)
        if waiting >= self.size:
            return True
        if not waiting:
            self._due = None
            return False
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._due is None:
            self._due = now + self.linger
            loop.call_later(self.linger, self.poke)
        return now >= self._due

    async def more(self) -> None:
        """Wait until something is in the buffer, or :meth:`poke` is called."""
        if self.is_idle:
            self._idle.set()
        self._wake.clear()
        self._waiting = True
        await self._wake.wait()

    def poke(self) -> None:
        """Have :meth:`more` return."""
        self._waiting = False
        self._wake.set()

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            try:
                await self.run()
                return
            except Exception as exc:  # noqa: BLE001 - reported; the sink is tried again
                self.errors += 1
                _log.warning("the sink has failed: %s: %s", type(exc).__name__, exc)
            if loop.time() - begun > 10.0:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)
