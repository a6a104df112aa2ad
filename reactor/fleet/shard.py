"""A shard: a reactor inside asyncio, one feed with its share of the topics, and a sink.

What it is: :class:`Shard`, which runs in a process of its own, and :class:`ShardSpec`, what such a
process has to be told. Everything else it reads in NATS, so it comes back alone.

What it must not know: who has started it, and whether others live.

How it works. It takes a seat (lease, then epoch), opens its sink, reads how far its topics have
come, and subscribes them after that. When the plan changes, it gives up the slots that are not its
own any longer: it unsubscribes their topics, waits until all their updates are confirmed, and says
so in its lease. Only then does the next owner begin with them: no update is published by two at a
time, and the order stays. What is missed in between is told as a gap with its bounds, or replayed
where the service can do that.

It leaves for good when its seat is lost, when the server refuses what it publishes, when its node
is drained, and when the plan has no place for it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence
from enum import Enum
from typing import Any

from ..feeds import Feed, Gap, Update
from ..hosting.asyncio import AsyncioHost, asyncio_host
from .cancelling import cancel
from .connects import Connects
from .ledger import Ledger
from .names import Names
from .rules.records import Notice
from .rules.share import owners, share_of
from .seat import Identity, Seat
from .sinks.base import Post, Writer
from .spec import ShardSpec
from .store import Store, connect
from .wishes import Wishes

__all__ = ["Leaving", "Shard", "run_shard"]

_log = logging.getLogger("reactor.fleet")

#: Seconds that what was published may take to be confirmed, when topics are given up.
FLUSH = 10.0

#: Seconds between two counts of all topics.
COUNT = 2.0


class Leaving(Enum):
    """Why a shard leaves; the value is the exit status of its process."""

    STOPPED = 0  #: it was told to
    SURPLUS = 10  #: the plan has no place for it
    DRAINED = 11  #: its node is to have no shards
    FENCED = 12  #: another one has its shard


class Shard:
    """See the module. It belongs to a running loop of asyncio.

    Args:
        spec: what it has to be told.

    Attributes:
        feed: the feed, once the shard has a seat.
        seat: the seat.
    """

    def __init__(self, spec: ShardSpec) -> None:
        self.spec = spec
        self.feed: Feed | None = None
        self.seat: Seat | None = None
        self._leaving: Leaving | None = None
        self._over = asyncio.Event()
        self._changed = asyncio.Event()
        self._slots: set[int] = set()  # whose topics are ours now
        self._topics: set[str] = set()  # that are subscribed
        self._generation = 0  # of the slots
        self._ended: set[str] = set()  # topics that the service has ended
        self._counts: dict[str, Any] = {}
        self._writer: Writer | None = None
        self._updates = 0

    def leave(self, why: Leaving, reason: str = "") -> None:
        """Have :meth:`run` end; the first reason counts."""
        if self._leaving is None:
            self._leaving = why
            _log.info("leaving: %s %s", why.name.lower(), reason)
        self._over.set()
        self._changed.set()

    async def run(self) -> Leaving:
        """Run until it is to leave; returns why.

        Raises:
            OSError: NATS cannot be reached.
            WebSocketStateException: There is no such fleet.
        """
        spec = self.spec
        names = Names(spec.name)
        client = await connect(spec.servers, **spec.nats_options)
        try:
            store = await Store(client, names).open()
            ledger = None
            if spec.sink.fences:
                ledger = Ledger(client, names)
                await ledger.open(spec.sink.stream_options())
            identity = spec.identity()
            wishes = Wishes(store, identity.node, self._changed.set)
            await wishes.start()
            try:
                await self._run(store, ledger, wishes, identity)
            finally:
                await wishes.stop()
        finally:
            await client.close()
        return self._leaving or Leaving.STOPPED

    async def _run(
        self, store: Store, ledger: Ledger | None, wishes: Wishes, identity: Identity
    ) -> None:

        async def connect_again() -> Store:
            client = await connect(self.spec.servers, **self.spec.nats_options)
            try:
                return await Store(client, store.names).open()
            except BaseException:
                await client.close()
                raise

        seat = self.seat = Seat(store, ledger, identity, connect_again)
        number = await self._until_over(seat.take(lambda: self._free(wishes)))
        if number is None:
            return
        assert seat.epoch is not None
        _log.info("shard %d, epoch %d", number, seat.epoch.number)
        spec = self.spec
        post = Post(
            store.names,
            seat.epoch,
            spec.servers,
            spec.nats_options,
            ledger,
            seat.valid,
            seat.holds,
            lambda reason: self.leave(Leaving.FENCED, reason),
        )
        lease = asyncio.ensure_future(self._keep(seat))
        await asyncio.sleep(0)  # it is renewed from now on, however long the feed takes to be made
        try:
            await self._serve(store, wishes, number, seat, spec.sink.writer(post), lease)
        finally:
            await cancel([lease])
            await seat.close()

    async def _serve(
        self,
        store: Store,
        wishes: Wishes,
        number: int,
        seat: Seat,
        writer: Writer,
        lease: asyncio.Task[None],
    ) -> None:
        """Have a feed, and its updates in the sink, until the shard is to leave."""
        self._writer = writer
        async with asyncio_host() as loop:
            writer.start()
            self.feed = self._make_feed(loop, writer)
            tasks = [
                asyncio.ensure_future(self._follow(wishes, number, writer)),
                asyncio.ensure_future(self._count()),
                asyncio.ensure_future(self._unwant(store)),
            ]
            if self.spec.connects is not None:
                connects = Connects(store, loop._opener.gate, self.spec.connects)
                tasks.append(asyncio.ensure_future(connects.run()))
            try:
                await self._watch([lease, *tasks])
            finally:
                await cancel(tasks)
                self.feed.close()
                if self._leaving is not Leaving.FENCED:
                    await writer.flush(FLUSH)  # and the lease is renewed meanwhile
                    await seat.release()
                await writer.close()

    async def _watch(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        """Wait for the end; a task that fails is an end as well."""
        over = asyncio.ensure_future(self._over.wait())
        done, _ = await asyncio.wait([over, *tasks], return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        for task in done:
            if task is not over:
                task.result()

    async def _until_over(self, awaitable: Any) -> Any:
        """Await something, unless the shard is to leave before."""
        task = asyncio.ensure_future(awaitable)
        over = asyncio.ensure_future(self._over.wait())
        await asyncio.wait([task, over], return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if task.done():
            return task.result()
        await cancel([task])
        return None

    def _free(self, wishes: Wishes) -> Sequence[int]:
        """Return which shards we may take."""
        plan, wanted = wishes.plan, self.spec.shard
        if wanted is not None and plan is not None and wanted >= plan.shards:
            self.leave(Leaving.SURPLUS)
        if wishes.drained:
            if wanted is not None:
                self.leave(Leaving.DRAINED)
            return ()
        if plan is None:
            return ()
        return range(plan.shards) if wanted is None else [s for s in (wanted,) if s < plan.shards]

    # -- the feed ------------------------------------------------------------------------------

    def _make_feed(self, loop: AsyncioHost, writer: Writer) -> Feed:
        """Make the user's feed; what it is told goes to the sink as well."""
        spec = self.spec
        feed = spec.feed(loop, spec.url, **spec.options)
        _listen(feed, self, writer)
        return feed

    def ended(self, topic: str) -> None:
        """The service has ended a topic: nobody is to want it any longer."""
        self._topics.discard(topic)
        self._ended.add(topic)

    async def _unwant(self, store: Store) -> None:
        while True:
            if self._ended:
                some = set(self._ended)
                try:
                    await store.remove_topics(some)
                    self._ended -= some
                except Exception:  # noqa: BLE001 - the store is away: again
                    pass
            await asyncio.sleep(0.5)

    # -- the share -----------------------------------------------------------------------------

    async def _follow(self, wishes: Wishes, number: int, writer: Writer) -> None:
        """Have the topics that are wanted, and no others."""
        assert self.seat is not None
        while True:
            self._changed.clear()
            plan = wishes.plan
            if wishes.drained:
                return self.leave(Leaving.DRAINED)
            if plan is None or number >= plan.shards:
                return self.leave(Leaving.SURPLUS)
            try:
                await self._obey(wishes, number, writer)
            except Exception as exc:  # noqa: BLE001 - the store is away: again
                if self.seat.lost is None:  # else it is about to leave
                    _log.warning("the share is not complete: %s: %s", type(exc).__name__, exc)
                await asyncio.sleep(0.2)
                continue
            await self._changed.wait()

    async def _obey(self, wishes: Wishes, number: int, writer: Writer) -> None:
        plan, seat, feed = wishes.plan, self.seat, self.feed
        assert plan is not None
        assert seat is not None
        assert feed is not None
        mine = share_of(number, plan.shards)
        lost = self._slots - mine
        self._slots -= lost
        self._drop(wishes, feed, writer)
        if plan.generation != self._generation:
            if lost and not await writer.flush(FLUSH):
                raise OSError("what was published is not confirmed")
            # From now on others may have what was ours.
            if await seat.write(generation=plan.generation):
                self._generation = plan.generation
        gained = mine - self._slots
        if gained:
            if plan.previous and plan.previous != plan.shards:
                before = owners(plan.previous)
                await self._add(wishes, feed, writer)
                givers = {before[slot] for slot in gained} - {number}
                await seat.given_up(givers, plan.generation)
                if wishes.plan != plan:
                    return  # another change; _follow() comes again
            self._slots |= gained
        await self._add(wishes, feed, writer)

    def _wanted(self, wishes: Wishes) -> set[str]:
        topics = wishes.topics
        return {topic for slot in self._slots for topic in topics.get(slot, ())} - self._ended

    def _drop(self, wishes: Wishes, feed: Feed, writer: Writer) -> None:
        """Unsubscribe what is not ours, or not wanted."""
        gone = self._topics - self._wanted(wishes)
        for topic in gone:
            feed.unsubscribe(topic)
            writer.forget(topic)
        self._topics -= gone

    async def _add(self, wishes: Wishes, feed: Feed, writer: Writer) -> None:
        """Subscribe what is ours and wanted, after what is stored."""
        new = sorted(self._wanted(wishes) - self._topics)
        if not new:
            return
        found = await writer.positions(new)
        writer.seed(found)
        after = {topic: position.update(topic) for topic, position in found.items()}
        put = writer.put

        def take(update: Update) -> None:
            self._updates += 1
            put(update)

        feed.subscribe_many(new, take, after=after)
        self._topics |= set(new)

    # -- what there is to know -------------------------------------------------------------------

    async def _keep(self, seat: Seat) -> None:
        await seat.keep(self.figures)
        self.leave(Leaving.FENCED, seat.lost or "")

    async def _count(self) -> None:
        """Count the topics; that looks at all of them, so not all the time."""
        while True:
            assert self.feed is not None
            stats, loop = self.feed.stats(), self.feed.loop.stats(hosts=True)
            self._counts = {
                "live": stats.topics.get("LIVE", 0),
                "stale": stats.topics.get("STALE", 0),
                "refused": stats.topics.get("REFUSED", 0),
                "links": stats.open_links,
                "gaps": sum(stats.gaps.values()),
                "repeated": stats.duplicates,
                "messages": sum(host.messages_in for host in loop.hosts),
                "wire": sum(host.wire_in for host in loop.hosts),
                "busy": round(loop.busy, 3),
            }
            await asyncio.sleep(COUNT if len(self._topics) > 1000 else COUNT / 4)

    def figures(self) -> dict[str, Any]:
        """Return what the shard counts."""
        writer = self._writer
        return {
            "topics": len(self._topics),
            "updates": self._updates,
            **self._counts,
            **({} if writer is None else writer.figures()),
        }


def _listen(feed: Feed, shard: Shard, writer: Writer) -> None:
    """Have the sink told what the feed is told."""
    on_gap, on_refused, on_ended = feed.on_gap, feed.on_refused, feed.on_ended

    def gap(topic: Any, gap: Gap) -> None:
        writer.put(Notice.of_gap(topic, gap))
        on_gap(topic, gap)

    def refused(topic: Any, reason: Any, final: bool) -> None:
        if final:
            writer.put(Notice("refused", topic, reason))
        on_refused(topic, reason, final)

    def ended(topic: Any, reason: Any) -> None:
        writer.put(Notice("ended", topic, reason))
        shard.ended(topic)
        on_ended(topic, reason)

    feed.on_gap, feed.on_refused, feed.on_ended = gap, refused, ended  # type: ignore[method-assign]


def run_shard(spec: ShardSpec, stop_with: Any = None, on_interrupt: bool = True) -> int:
    """Run a shard until it leaves, in this process; returns the exit status.

    Args:
        spec: what it has to be told.
        stop_with: a descriptor; when it becomes readable, the shard leaves. None: SIGTERM only.
        on_interrupt: whether Ctrl-C is for the shard; otherwise whoever has started it ends it.
    """

    async def main() -> int:
        shard = Shard(spec)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, shard.leave, Leaving.STOPPED)
        if on_interrupt:
            loop.add_signal_handler(signal.SIGINT, shard.leave, Leaving.STOPPED)
        else:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if stop_with is not None:

            def orphaned() -> None:
                loop.remove_reader(stop_with)
                shard.leave(Leaving.STOPPED, "whoever has started it is gone")

            loop.add_reader(stop_with, orphaned)
        return (await shard.run()).value

    return asyncio.run(main())
