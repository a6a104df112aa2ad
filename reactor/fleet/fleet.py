"""Fleet: many shards as one thing, for programs without asyncio.

What it is: the face of a coordinator, which runs in a thread of its own.

What it must not know: how a fleet is run.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ..base.mistakes import check_number
from ..client.gate import check_pace
from ..exceptions import WebSocketStateException
from ..feeds import Feed
from ..timers import Pace
from .coordinator import Coordinator
from .placements.base import Placement
from .placements.local import Local
from .sinks.base import Sink
from .sinks.jetstream import JetStream
from .spec import ShardSpec
from .stats import FleetStats

__all__ = ["Fleet"]

T = TypeVar("T")


class Fleet:
    """A feed in many processes, whose updates are in a stream of NATS JetStream.

    Args:
        feed: a subclass of Feed, or a function with the same arguments that returns one. The
            processes of the shards import it.
        url: as for Feed.
        topics: what is to be subscribed, text each; beside what is wanted already.
        shards: processes; 1 or more (default: 1).
        nats: URL or URLs of NATS; None: a nats-server is started on this machine, for as long as
            the fleet runs.
        placement: who starts the processes (default: ``Local()``, this machine).
        name: of the fleet: of its stream, and in its subjects.
        sink: where updates go (default: ``JetStream()``).
        options: further arguments of *feed*.
        nats_options: for connections to NATS, as for ``nats.connect``.
        connects: a limit of connects for all shards together, as ``Pace(100, per=1.0)``; None:
            none but those of the feed.
        store: a folder for what a nats-server of its own stores; None: a temporary one.

    Raises:
        ValueError, TypeError: An argument cannot be used; the message names it.

    All methods may be called from any thread, and wait for what they do. ``with Fleet(...) as
    fleet`` starts and stops it. Programs in asyncio may use :class:`.coordinator.Coordinator`.
    """

    def __init__(
        self,
        feed: Callable[..., Feed],
        url: Any,
        topics: Iterable[str] = (),
        shards: int = 1,
        nats: str | Sequence[str] | None = None,
        placement: Placement | None = None,
        name: str = "fleet",
        sink: Sink | None = None,
        options: Mapping[str, Any] | None = None,
        nats_options: Mapping[str, Any] | None = None,
        connects: Pace | None = None,
        store: str | None = None,
    ) -> None:
        if not callable(feed):
            raise TypeError(f"feed must be a subclass of Feed or a function, not {feed!r}")
        if isinstance(topics, (str, bytes)):
            raise TypeError(f"topics must be several topics, not {topics!r}")
        _check_shards(shards)
        check_pace(connects, "connects")
        self._topics = list(topics)
        self._shards = shards
        spec = ShardSpec(
            name,
            feed,
            url,
            nats or "",
            JetStream() if sink is None else sink,
            dict(options or {}),
            dict(nats_options or {}),
            connects,
        )
        #: What does the work, on a loop of its own.
        self.coordinator = Coordinator(spec, placement or Local(), store)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            coroutine.close()
            raise WebSocketStateException("the fleet is not started")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def start(self) -> Fleet:
        """Make the fleet, and start its shards. Returns itself; they may not be there yet.

        Raises:
            OSError: NATS cannot be reached.
            WebSocketStateException: It is started already; or there is no nats-server to start.
        """
        if self._loop is not None:
            raise WebSocketStateException("the fleet is started already")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="reactor-fleet", daemon=True)
        self._thread.start()
        try:
            self._call(self.coordinator.start(self._topics, self._shards))
        except BaseException:
            self._end()
            raise
        return self

    def _run(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def wait(self, timeout: float = 60.0) -> None:
        """Wait until all shards run, and each has the share that it is to have.

        Args:
            timeout: seconds at most.

        Raises:
            WebSocketTimeoutException: It takes longer.
        """
        self._call(self.coordinator.settled(timeout))

    def subscribe(self, *topics: str) -> None:
        """Want topics. They may be more than there were, or the same."""
        self._call(self.coordinator.store.add_topics(topics))

    def unsubscribe(self, *topics: str) -> None:
        """Want topics no longer."""
        self._call(self.coordinator.store.remove_topics(topics))

    def topics(self) -> list[str]:
        """Return all topics that are wanted."""
        return self._call(self.coordinator.store.topics())

    def rebalance(self, shards: int, timeout: float | None = 60.0) -> None:
        """Have another number of shards. Of n, one in n topics moves for each more or less.

        Args:
            shards: 1 or more.
            timeout: seconds until all topics are with their new shards; None: do not wait.

        Raises:
            WebSocketTimeoutException: It takes longer. It goes on all the same.
        """
        _check_shards(shards)
        self._call(self.coordinator.rebalance(shards, timeout))

    def drain(self, node: str, drained: bool = True) -> None:
        """Have no shards on a node, before it goes down.

        Args:
            node: its name, as ``stats()`` shows it.
            drained: False: have them again.
        """
        self._call(self.coordinator.drain(node, drained))

    def stats(self) -> FleetStats:
        """Return what the shards count: at most a second old."""
        return self._call(self.coordinator.stats())

    @property
    def name(self) -> str:
        """Its name."""
        return self.coordinator.spec.name

    @property
    def latest(self) -> FleetStats:
        """What the shards counted when that was read for the last time; asks nobody."""
        return self.coordinator.latest

    @property
    def latest_age(self) -> float:
        """Seconds since then: under one, while NATS can be reached."""
        return self.coordinator.latest_age

    @property
    def nats(self) -> str | Sequence[str]:
        """The URL or URLs of NATS."""
        return self.coordinator.spec.servers

    def stop(self) -> None:
        """End the shards that were started here, and an embedded nats-server. Idempotent.

        What is wanted stays in NATS; so does what is stored.
        """
        if self._loop is None:
            return
        try:
            self._call(self.coordinator.stop())
        finally:
            self._end()

    def _end(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def __enter__(self) -> Fleet:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _check_shards(shards: int) -> None:
    check_number("shards", shards, "1 or more")
    if not isinstance(shards, int):
        raise TypeError(f"shards must be 1 or more, not {shards!r}")
    if shards < 1:
        raise ValueError(f"shards must be 1 or more, not {shards!r}")
