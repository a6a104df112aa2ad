"""The coordinator, without processes."""

from __future__ import annotations

import asyncio

import pytest

from reactor.fleet import Coordinator, External, ShardSpec
from reactor.fleet.rules.leases import Lease

from .sinks.stage import until
from .support import Numbered, needs_server

pytestmark = [needs_server, pytest.mark.timeout(120)]


def test_what_the_shards_count_is_known_without_asking() -> None:
    """It looks at their leases in any case."""

    async def main() -> None:
        coordinator = Coordinator(ShardSpec("t", Numbered, "ws://localhost/", ""), External())
        assert coordinator.latest.shards == ()
        assert coordinator.latest_age == float("inf")
        await coordinator.start(["A"], 2)
        try:
            lease = Lease(0, "h", "i", "node", 7, 1, 3, figures={"topics": 1, "stored": 5})
            await coordinator.store.write_lease(lease, 0)
            await until(lambda: coordinator.latest.total("stored") == 5)
            one, two = coordinator.latest.shards
            assert (one.state, one.pid, one.epoch, one.topics) == ("running", 7, 3, 1)
            assert two.state == "missing"
            assert coordinator.latest_age < 60
            assert await coordinator.stats() == coordinator.latest
        finally:
            await coordinator.stop()

    asyncio.run(main())
