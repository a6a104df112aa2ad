"""The seat of a shard: its lease and its epoch, and how both are kept.

What it is: :class:`Seat`: takes a shard, renews its lease, and says when it is lost.

What it must not know: feeds, sinks, topics.

How it works. A lease is taken by compare-and-set, then the epoch is begun: from then on nobody but
us can publish for this shard. The lease is renewed every second, with the figures of the shard. A
renewal that finds another one's lease is the end. While the store cannot be reached nothing is
known, and :attr:`Seat.valid` says since when.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .ledger import Ledger
from .rules.epochs import Epoch
from .rules.leases import LEASE, RENEW, Lease, LeaseTable, may_take
from .store import Store

__all__ = ["Identity", "Seat"]

#: Seconds between two looks at leases that may become free.
LOOK = 0.25


@dataclass(frozen=True)
class Identity:
    """Who a shard is.

    Args:
        holder: a name that lasts over restarts, and that one process has at a time.
        incarnation: this run of it.
        node: the machine.
        pid: the process.
    """

    holder: str
    incarnation: str
    node: str
    pid: int


class Seat:
    """See the module.

    Args:
        store: of the fleet.
        ledger: the stream of the updates; None: the sink has none, and nobody is fenced.
        identity: who takes it.

    Attributes:
        lease: what we hold; None before :meth:`take`.
        epoch: of the shard.
        lost: why we hold it no longer; None as long as we do.
    """

    def __init__(self, store: Store, ledger: Ledger | None, identity: Identity) -> None:
        self._store = store
        self._ledger = ledger
        self._identity = identity
        self._revision = 0
        self._renewed = 0.0
        self._writing = asyncio.Lock()
        self._table = LeaseTable()
        self.lease: Lease | None = None
        self.epoch: Epoch | None = None
        self.lost: str | None = None

    async def take(self, wanted: Callable[[], Iterable[int]]) -> int:
        """Take a shard; wait until one is free.

        Args:
            wanted: returns the shards that may be taken, the best first.

        Returns:
            Its number.
        """
        while True:
            shards = list(wanted())
            found = await self._store.all_leases(shards)
            self._table.look(found, time.monotonic())
            for shard in shards:
                if await self._try(shard, found[shard]):
                    await self._begin(shard)
                    return shard
            await asyncio.sleep(LOOK)

    async def _try(self, shard: int, found: tuple[int, Lease] | None) -> bool:
        me, old = self._identity, None if found is None else found[1]
        if not may_take(old, self._table.seat(shard), me.holder, me.incarnation):
            return False
        lease = Lease(shard, me.holder, me.incarnation, me.node, me.pid)
        if old is not None:
            lease = replace(lease, generation=old.generation, epoch=old.epoch)
        revision = 0
        if found is not None:
            revision = found[0]
        else:
            revision, _ = await self._store.lease(shard)  # of a key that was deleted
        written = await self._store.write_lease(lease, revision)
        if written is None:
            return False
        self.lease, self._revision, self._renewed = lease, written, time.monotonic()
        return True

    async def _begin(self, shard: int) -> None:
        """Begin the epoch."""
        assert self.lease is not None
        me, before = self._identity, self.lease.epoch
        if self._ledger is None:
            self.epoch = Epoch(shard, before + 1, me.incarnation)
        else:
            self.epoch = await self._ledger.begin_epoch(shard, me.incarnation, before + 1)
        self.lease = replace(self.lease, epoch=self.epoch.number)
        await self.write()

    def valid(self) -> bool:
        """Return whether the lease was renewed in time, as far as we know."""
        return self.lost is None and time.monotonic() - self._renewed < LEASE

    async def holds(self) -> bool:
        """Return whether the store says that the lease is ours."""
        assert self.lease is not None
        _, lease = await self._store.lease(self.lease.shard)
        return lease is not None and lease.incarnation == self._identity.incarnation

    async def write(self, **changes: Any) -> bool:
        """Write the lease anew.

        Args:
            changes: fields of it.

        Returns:
            Whether it is still ours.
        """
        assert self.lease is not None
        async with self._writing:
            begun = time.monotonic()
            lease = replace(self.lease, **changes)
            written = await self._store.write_lease(lease, self._revision)
            if written is None:
                # The answer to an earlier write may have been lost.
                revision, there = await self._store.lease(lease.shard)
                if there is None or there.incarnation != self._identity.incarnation:
                    self.lost = f"shard {lease.shard} has another holder"
                    return False
                written = await self._store.write_lease(lease, revision)
                if written is None:
                    return False
            self.lease, self._revision, self._renewed = lease, written, begun
            return True

    async def keep(self, figures: Callable[[], Mapping[str, Any]]) -> None:
        """Renew the lease until it is lost.

        Args:
            figures: returns what the shard counts.
        """
        while self.lost is None:
            try:
                await self.write(figures=figures())
            except Exception:  # noqa: BLE001 - the store is away; valid() says so
                await asyncio.sleep(RENEW / 4)
                continue
            await asyncio.sleep(RENEW)

    async def release(self) -> None:
        """Give the shard back."""
        if self.lost is None and self.lease is not None:
            try:
                await asyncio.wait_for(self.write(released=True), 2.0)
            except Exception:  # noqa: BLE001 - whoever wants it waits for three seconds then
                pass

    # -- the shards that topics come from ------------------------------------------------------

    async def given_up(self, shards: Iterable[int], generation: int) -> None:
        """Wait until others have given up what is ours from a generation on.

        A shard that is gone is sealed: with a new epoch, so that it cannot publish any longer if
        it should come back.

        Args:
            shards: who had it before.
            generation: which.
        """
        left = set(shards)
        table = LeaseTable()
        while left:
            found = await self._store.all_leases(left)
            for shard in table.look(found, time.monotonic()):
                if self._ledger is not None:
                    await self._ledger.begin_epoch(shard, f"sealed-{self._identity.incarnation}")
                left.discard(shard)
            for shard, entry in found.items():
                if entry is None or entry[1].released or entry[1].generation >= generation:
                    left.discard(shard)
            if left:
                await asyncio.sleep(0.1)
