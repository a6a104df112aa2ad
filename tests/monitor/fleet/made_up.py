"""A fleet that is only figures."""

from __future__ import annotations

from typing import Any

from reactor.fleet.stats import FleetStats, ShardStats

HOSTILE = "<img src=x onerror=alert(1)>"


class MadeUp:
    """What a monitor asks of a Fleet or a Coordinator."""

    name = "trades"

    def __init__(self) -> None:
        self.latest_age = 0.25
        self.latest = FleetStats(
            (
                shard(0, live=30, refused=1, stored=900, updates=1000, busy=2.5, topics=31),
                shard(1, state="silent", live=28, stored=800, fenced=3, node=HOSTILE),
                ShardStats(2),
            ),
            generation=4,
            placement={"placement": "local", "restarts": 2, "pids": {0: 17}},
        )


def shard(number: int, state: str = "running", node: str = "here", **figures: Any) -> ShardStats:
    return ShardStats(number, state, node, 17 + number, 2, figures.get("topics", 0), figures)
