"""Seats: who has a shard, when several want it, and when one of them hangs.

Nothing here hangs: a shard that does is one that does not renew its lease, which is what others
see of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from reactor.fleet import JetStream
from reactor.fleet.cancelling import cancel
from reactor.fleet.rules.leases import LEASE, Lease, LeaseTable
from reactor.fleet.seat import Identity, Seat
from reactor.fleet.store import Store, connect

from .sinks.stage import NAMES, Stage, staged
from .support import needs_server

pytestmark = [needs_server, pytest.mark.timeout(120)]


def play(scene: Callable[[Play], Awaitable[None]]) -> None:
    async def main(stage: Stage) -> None:
        await scene(Play(stage, await Store(stage.client, NAMES).open()))

    staged(JetStream(), main)


class Play:
    """Seats on one server."""

    def __init__(self, stage: Stage, store: Store) -> None:
        self.stage = stage
        self.store = store

    def seat(self, holder: str, incarnation: str | None = None) -> Seat:
        async def connect_again() -> Store:
            return await Store(await connect(self.stage.server.url), NAMES).open()

        who = Identity(holder, incarnation or holder, "node", 1)
        return Seat(self.store, self.stage.ledger, who, connect_again)

    async def lease(self) -> tuple[int, Lease]:
        revision, lease = await self.store.lease(0)
        assert lease is not None
        return revision, lease

    async def silent(self, seat: Seat) -> tuple[int, Lease]:
        """Have a seat find that the lease is silent; returns what it has read."""
        found = await self.lease()
        table = seat._table = LeaseTable()
        now = 0.0
        while not table.look({0: found}, now):
            now += LEASE / 4
        return found


def test_one_that_wakes_up_before_it_was_replaced_keeps_its_shard() -> None:
    async def scene(play: Play) -> None:
        hung, spare = play.seat("hung"), play.seat("spare")
        await hung.take(lambda: [0])
        read = await play.silent(spare)
        assert await hung.write()  # it wakes up
        assert not await spare._try(0, read)
        assert hung.valid()
        assert (await play.lease())[1].holder == "hung"

    play(scene)


def test_one_that_wakes_up_later_finds_out_and_what_it_publishes_is_refused() -> None:
    async def scene(play: Play) -> None:
        hung, spare = play.seat("hung"), play.seat("spare")
        await hung.take(lambda: [0])
        read = await play.silent(spare)
        assert await spare._try(0, read)
        await spare._begin(0)
        assert not await hung.write()
        assert hung.lost == "shard 0 has another holder"
        assert not hung.valid()
        assert hung.epoch is not None
        assert spare.epoch is not None
        last = await play.stage.ledger.last_epoch(0)
        assert last == spare.epoch
        assert spare.epoch.number == hung.epoch.number + 1
        assert await play.stage.ledger.write_epoch(hung.epoch, hung.epoch.sequence) is None

    play(scene)


def test_of_several_that_wait_one_takes_it() -> None:
    async def scene(play: Play) -> None:
        await play.seat("hung").take(lambda: [0])
        spares = [play.seat(f"spare-{number}") for number in range(4)]
        read = [await play.silent(spare) for spare in spares]
        tries = [spare._try(0, found) for spare, found in zip(spares, read, strict=True)]
        assert sorted(await asyncio.gather(*tries)) == [False, False, False, True]

    play(scene)


def test_a_successor_of_the_same_name_does_not_wait() -> None:
    """What Local has for a process that was killed: it is there again in less than the lease."""

    async def scene(play: Play) -> None:
        await play.seat("pod-0", "one").take(lambda: [0])
        successor = play.seat("pod-0", "two")
        looks = 0

        def wanted() -> list[int]:
            nonlocal looks
            looks += 1
            return [0]

        await successor.take(wanted)
        assert looks == 1
        assert successor.epoch is not None
        assert successor.epoch.number == 2

    play(scene)


def test_what_is_kept_is_renewed_with_figures_until_another_one_has_it() -> None:
    async def scene(play: Play) -> None:
        seat = play.seat("one")
        await seat.take(lambda: [0])
        told = asyncio.Event()
        loop = asyncio.get_running_loop()

        def figures() -> dict[str, Any]:
            loop.call_soon_threadsafe(told.set)
            return {"updates": 7}

        keeping = asyncio.ensure_future(seat.keep(figures))
        try:
            await told.wait()
            assert await seat.write(generation=3)
            revision, lease = await play.lease()
            assert (lease.generation, lease.figures) == (3, {"updates": 7})
            while await play.store.write_lease(Lease(0, "two", "two"), revision) is None:
                revision, _ = await play.lease()
            await keeping
            assert seat.lost
        finally:
            await cancel([keeping])
            await seat.close()

    play(scene)


def test_one_that_gives_its_shard_back_lets_others_have_it_at_once() -> None:
    async def scene(play: Play) -> None:
        seat = play.seat("one")
        await seat.take(lambda: [0])
        await seat.release()
        other = play.seat("two")
        await other.take(lambda: [0])
        assert (await play.lease())[1].holder == "two"

    play(scene)
