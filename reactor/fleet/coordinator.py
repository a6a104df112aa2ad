"""The coordinator: makes a fleet, and sees that all of its shards run.

What it is: :class:`Coordinator`, for programs in asyncio; fleet.py is its face for all others.

What it must not know: how processes are started (placements), what a shard does.

How it works. It writes what is wanted into the store, and has the placement start shards. Then it
looks at their leases a few times a second: a shard whose lease is silent hangs, and is replaced.
That is all; shards run without it, and there may be none for hours, or several.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping

from nats.aio.client import Client

from ..exceptions import WebSocketStateException, WebSocketTimeoutException
from .cancelling import cancel
from .embedded import EmbeddedNats
from .ledger import Ledger
from .names import Names
from .placements.base import Placement
from .rules.leases import Lease, LeaseTable, Seat
from .spec import ShardSpec
from .stats import FleetStats, stats_of
from .store import Plan, Store, connect

__all__ = ["Coordinator"]

_log = logging.getLogger("reactor.fleet")

#: Seconds between two looks at the leases.
LOOK = 0.25


class Coordinator:
    """See the module.

    Args:
        spec: what the shards are told; ``servers`` may be empty: then a nats-server is started.
        placement: starts shards.
        store: a folder for that nats-server; None: a temporary one.
    """

    def __init__(self, spec: ShardSpec, placement: Placement, store: str | None = None) -> None:
        self.spec = spec
        self.placement = placement
        self.names = Names(spec.name)
        self.embedded = None if spec.servers else EmbeddedNats(store)
        self._client: Client | None = None
        self._store: Store | None = None
        self._watch: asyncio.Task[None] | None = None
        self._table = LeaseTable()
        self._replaced: dict[int, str] = {}  # incarnations that were told to be replaced
        #: What the shards counted when their leases were read for the last time.
        self.latest = FleetStats()
        self._latest_at = float("-inf")

    @property
    def store(self) -> Store:
        """What the fleet keeps in NATS.

        Raises:
            WebSocketStateException: The fleet was not started.
        """
        if self._store is None:
            raise WebSocketStateException("the fleet is not started")
        return self._store

    @property
    def name(self) -> str:
        """The name of the fleet."""
        return self.spec.name

    async def open(self, create: bool = True) -> None:
        """Connect, without starting anything but an embedded nats-server.

        Args:
            create: whether a fleet that is not there is made.
        """
        if self.embedded is not None:
            from dataclasses import replace

            self.spec = replace(self.spec, servers=await self.embedded.start())
        spec = self.spec
        self._client = await connect(spec.servers, **spec.nats_options)
        options = spec.sink.stream_options()
        replicas = 1 if options is None else options.get("num_replicas", 1)
        if create and options is not None:
            await Ledger(self._client, self.names).open(options)
        self._store = await Store(self._client, self.names).open(create, replicas)

    async def start(self, topics: Iterable[str], shards: int) -> None:
        """Make the fleet, want topics beside those that are wanted already, and start shards."""
        try:
            await self.open()
            await self.store.add_topics(topics)
            plan = await self.store.set_shards(shards)
            await self.placement.start(self.spec)
            await self.placement.place(range(plan.shards))
            self._watch = asyncio.ensure_future(self._look())
        except BaseException:
            await self.close()
            raise

    async def _look(self) -> None:
        """Replace shards that hang, and follow plans that others have made."""
        table = self._table
        placed = None
        while True:
            try:
                plan = await self.store.plan()
                if plan is not None:
                    if placed not in (None, plan.shards):
                        await self.placement.place(range(plan.shards))
                    placed = plan.shards
                    found = await self.store.all_leases(range(plan.shards))
                    now = time.monotonic()
                    lapsed = table.look(found, now)
                    self.latest, self._latest_at = self._stats(plan, found), now
                    for shard in lapsed:
                        await self._silent(shard, table)
            except asyncio.CancelledError:
                raise
            except Exception as exc:  # noqa: BLE001 - the store is away: again
                _log.debug("the leases cannot be read: %s: %s", type(exc).__name__, exc)
            await asyncio.sleep(LOOK)

    async def _silent(self, shard: int, table: LeaseTable) -> None:
        lease = table.lease(shard)
        if lease is not None and self._replaced.get(shard) != lease.incarnation:
            self._replaced[shard] = lease.incarnation
            _log.warning("shard %d on %s (process %d) is silent", shard, lease.node, lease.pid)
            await self.placement.replace(shard, lease)

    # -- what may be asked for -------------------------------------------------------------------

    async def rebalance(self, shards: int, timeout: float | None = 60.0) -> Plan:
        """Have another number of shards.

        Args:
            shards: 1 or more.
            timeout: seconds until all topics are with their new shards; None: do not wait. An
                earlier change has to be over in any case.

        Raises:
            WebSocketTimeoutException: They are not. It goes on all the same.
        """
        if timeout is not None:
            await self.settled(timeout)
        plan = await self.store.set_shards(shards)
        await self.placement.place(range(shards))
        if timeout is not None:
            await self.settled(timeout)
        return plan

    async def settled(self, timeout: float) -> None:
        """Wait until every shard is there and has given up what is not its own.

        Raises:
            WebSocketTimeoutException: It takes longer.
        """
        deadline = time.monotonic() + timeout
        missing: list[int] = []
        while time.monotonic() < deadline:
            plan = await self.store.plan()
            if plan is None:
                return
            found = await self.store.all_leases(range(plan.shards))
            missing = [
                shard
                for shard, entry in found.items()
                if entry is None or entry[1].released or entry[1].generation < plan.generation
            ]
            if not missing:
                return
            await asyncio.sleep(0.05)
        raise WebSocketTimeoutException(f"after {timeout} s these shards are not ready: {missing}")

    async def drain(self, node: str, drained: bool = True) -> None:
        """Have no shards on a node (before it goes down), or have them again."""
        await self.store.set_drained(node, drained)
        await self.placement.drained(node, drained)

    async def stats(self) -> FleetStats:
        """Return what the shards count: at most a second old."""
        plan = await self.store.plan()
        found = {} if plan is None else await self.store.all_leases(range(plan.shards))
        return self._stats(plan, found)

    def _stats(
        self, plan: Plan | None, found: Mapping[int, tuple[int, Lease] | None]
    ) -> FleetStats:
        silent = {shard for shard in self._table.shards() if self._table.seat(shard) is Seat.SILENT}
        return stats_of(plan, found, self.placement.describe(), silent)

    @property
    def latest_age(self) -> float:
        """Seconds since :attr:`latest` was read; under one, while NATS can be reached."""
        return time.monotonic() - self._latest_at

    async def close(self) -> None:
        """Disconnect, and end an embedded nats-server; the shards run on."""
        if self._watch is not None:
            await cancel([self._watch])
            self._watch = None
        if self._client is not None:
            await self._client.close()
            self._client = self._store = None
        if self.embedded is not None:
            await self.embedded.stop()

    async def stop(self) -> None:
        """End the shards that the placement has started, and disconnect."""
        if self._watch is not None:
            await cancel([self._watch])
            self._watch = None
            try:
                await self.placement.stop()
            finally:
                await self.close()
        else:
            await self.close()
