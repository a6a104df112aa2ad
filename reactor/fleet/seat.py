"""The seat of a shard: its lease and its epoch, and how both are kept.

What it is: :class:`Seat`: takes a shard, renews its lease, and says when it is lost.

What it must not know: feeds, sinks, topics.

How it works. A lease is taken by compare-and-set, then the epoch is begun: from then on nobody but
us can publish for this shard. The lease is renewed every second, with the figures of the shard, by
a thread of its own: a shard that has more to do than it can is slow, and to replace it would make
that worse. A process that hangs has no threads that run; and when the loop of the shard does not go
on for :data:`STUCK` seconds, the thread renews nothing, either. A renewal that finds another one's
lease is the end. While the store cannot be reached nothing is known, and :meth:`Seat.valid` says
so.

A lease that is SILENT is still its holder's until somebody has taken it. Both write on the
condition that it is as they have read it, so one of them wins: a shard that wakes up before it was
replaced goes on as if nothing had been, one that wakes up later leaves.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .ledger import Ledger
from .rules.epochs import Epoch
from .rules.leases import LEASE, RENEW, Lease, LeaseTable, may_take
from .store import Store

__all__ = ["ANSWER", "Identity", "Seat"]

#: Seconds that the answer to a renewal may take. When one is lost, with a server that is killed,
#: there has to be time for another renewal: RENEW + ANSWER + RENEW / 4 is less than LEASE.
ANSWER = 1.0

#: Seconds without a turn of the shard's loop after which its lease is not renewed any longer.
STUCK = 20.0

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
        connect: connects to the store once more, for the thread.

    Attributes:
        lease: what we hold; None before :meth:`take`.
        epoch: of the shard.
        lost: why we hold it no longer; None as long as we do.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger | None,
        identity: Identity,
        connect: Callable[[], Awaitable[Store]],
    ) -> None:
        self._store = store
        self._connect = connect
        self._ledger = ledger
        self._identity = identity
        self._revision = 0
        self._renewed = 0.0
        self._turned = time.monotonic()  # when the shard's loop last went on
        self._beat: _Beat | None = None
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
        if self._beat is None:
            return await self.write_with(self._store, changes)
        return await self._beat.write(changes)

    async def write_with(self, store: Store, changes: Mapping[str, Any]) -> bool:
        """The same, by a connection; one at a time."""
        assert self.lease is not None
        begun = time.monotonic()
        lease = replace(self.lease, **changes)
        written = await store.write_lease(lease, self._revision)
        if written is None:
            # The answer to an earlier write may have been lost.
            revision, there = await store.lease(lease.shard)
            if there is None or there.incarnation != self._identity.incarnation:
                self.lost = f"shard {lease.shard} has another holder"
                return False
            written = await store.write_lease(lease, revision)
            if written is None:
                return False
        self.lease, self._revision, self._renewed = lease, written, begun
        return True

    async def keep(self, figures: Callable[[], Mapping[str, Any]]) -> None:
        """Have the lease renewed, until it is lost.

        Args:
            figures: returns what the shard counts; called by the thread.
        """
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        self._turned = time.monotonic()
        self._beat = _Beat(self, self._connect, figures, lambda: _from_thread(loop, over.set))
        self._beat.start()
        while not over.is_set():
            self._turned = time.monotonic()
            try:
                await asyncio.wait_for(over.wait(), RENEW / 4)
            except (TimeoutError, asyncio.TimeoutError):
                pass

    @property
    def stuck(self) -> bool:
        """Whether the shard's loop does not go on."""
        return time.monotonic() - self._turned > STUCK

    async def release(self) -> None:
        """Give the shard back, if it is ours."""
        if self.lost is None and self.lease is not None:
            try:
                await asyncio.wait_for(self.write(released=True), 2.0)
            except Exception:  # noqa: BLE001 - whoever wants it waits for three seconds then
                pass

    async def close(self) -> None:
        """Renew the lease no longer."""
        if self._beat is not None:
            self._beat.stop()
            await asyncio.to_thread(self._beat.join, 5.0)
            self._beat = None

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


def _from_thread(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        pass  # it is closed


class _Beat(threading.Thread):
    """Renews a lease, on a loop and a connection of its own."""

    def __init__(
        self,
        seat: Seat,
        connect: Callable[[], Awaitable[Store]],
        figures: Callable[[], Mapping[str, Any]],
        lost: Callable[[], object],
    ) -> None:
        super().__init__(name="reactor-lease", daemon=True)
        self._seat = seat
        self._connect = connect
        self._figures = figures
        self._lost = lost
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._writing = asyncio.Lock()
        self._store: asyncio.Future[Store] = self._loop.create_future()

    def run(self) -> None:
        """See Thread."""
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._renew())
        finally:
            self._loop.close()

    def stop(self) -> None:
        """End the thread. Any thread."""
        _from_thread(self._loop, self._stopping.set)

    async def write(self, changes: Mapping[str, Any]) -> bool:
        """Have the lease written; on the shard's loop."""
        writing = self._write(changes)
        try:
            future = asyncio.run_coroutine_threadsafe(writing, self._loop)
        except RuntimeError:
            writing.close()
            raise OSError("the lease is not kept any longer") from None
        return await asyncio.wrap_future(future)

    async def _write(self, changes: Mapping[str, Any]) -> bool:
        store = await asyncio.shield(self._store)
        async with self._writing:
            return await self._seat.write_with(store, changes)

    async def _renew(self) -> None:
        seat = self._seat
        while not self._store.done():
            if self._stopping.is_set():
                return
            try:
                self._store.set_result(await self._connect())
            except Exception:  # noqa: BLE001 - the store is away: again
                await asyncio.sleep(RENEW / 4)
        while seat.lost is None and not self._stopping.is_set():
            pause = RENEW
            if not seat.stuck and not (seat.lease and seat.lease.released):
                try:
                    await asyncio.wait_for(self._write({"figures": self._figures()}), ANSWER)
                except Exception:  # noqa: BLE001 - the store is away; valid() says so
                    pause = RENEW / 4
            try:
                await asyncio.wait_for(self._stopping.wait(), pause)
            except (TimeoutError, asyncio.TimeoutError):
                pass
        if seat.lost is not None:
            self._lost()
        await self._store.result().client.close()
