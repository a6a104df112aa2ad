"""A shard, in this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from reactor.fleet import Coordinator, External, ShardSpec
from reactor.fleet.shard import Leaving, Shard

from .sinks.stage import until
from .support import Numbered, needs_server

pytestmark = [needs_server, pytest.mark.timeout(120)]

#: Nobody is there; it does not matter, as nothing is subscribed.
URL = "ws://127.0.0.1:9/"


def beside(feed: Any, scene: Callable[[Coordinator, Shard], Awaitable[None]]) -> None:
    """Play a scene with a shard of a fleet of one."""

    async def main() -> None:
        coordinator = Coordinator(ShardSpec("t", feed, URL, ""), External())
        await coordinator.start([], 1)
        try:
            await scene(coordinator, Shard(coordinator.spec))
        finally:
            await coordinator.stop()

    asyncio.run(main())


def test_the_lease_is_renewed_while_the_feed_is_still_being_made() -> None:
    renewed = threading.Event()
    in_time: list[bool] = []

    class Slow(Numbered):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            in_time.append(renewed.wait(60))  # the loop of the shard does not turn meanwhile
            super().__init__(*arguments, **options)

    async def scene(coordinator: Coordinator, shard: Shard) -> None:
        def figures() -> dict[str, Any]:
            renewed.set()
            return {}

        shard.figures = figures  # type: ignore[method-assign]
        running = asyncio.ensure_future(shard.run())
        await until(lambda: shard.feed is not None, 90.0)
        assert in_time == [True]
        shard.leave(Leaving.STOPPED)
        assert await running is Leaving.STOPPED

    beside(Slow, scene)


def test_one_that_leaves_gives_its_shard_back() -> None:
    async def scene(coordinator: Coordinator, shard: Shard) -> None:
        running = asyncio.ensure_future(shard.run())
        await until(lambda: coordinator.latest.shards and coordinator.latest.shards[0].pid)
        shard.leave(Leaving.STOPPED)
        assert await running is Leaving.STOPPED
        _, lease = await coordinator.store.lease(0)
        assert lease is not None
        assert lease.released

    beside(Numbered, scene)


def test_one_whose_lease_another_one_has_leaves_for_good() -> None:
    async def scene(coordinator: Coordinator, shard: Shard) -> None:
        running = asyncio.ensure_future(shard.run())
        await until(lambda: shard.feed is not None)
        written = None
        while written is None:  # between two renewals
            revision, lease = await coordinator.store.lease(0)
            assert lease is not None
            other = type(lease)(0, "other", "other")
            written = await coordinator.store.write_lease(other, revision)
        assert await running is Leaving.FENCED
        _, lease = await coordinator.store.lease(0)
        assert lease == other  # and it is left alone

    beside(Numbered, scene)


def test_a_feed_that_cannot_be_made_ends_the_shard_with_its_error() -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("no feed")

    async def scene(coordinator: Coordinator, shard: Shard) -> None:
        with pytest.raises(ZeroDivisionError):
            await shard.run()
        assert "reactor-lease" not in [thread.name for thread in threading.enumerate()]

    beside(broken, scene)
