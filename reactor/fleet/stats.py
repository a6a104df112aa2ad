"""What a fleet counts, as its shards write it into their leases.

What it is: :class:`ShardStats`, :class:`FleetStats`, and :func:`gather`, which reads them.

What it must not know: who shows them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from .rules.leases import Lease
from .store import Store

__all__ = ["FleetStats", "ShardStats", "gather"]


@dataclass(frozen=True)
class ShardStats:
    """What one shard counts, at most a second ago.

    Args:
        shard: its number.
        state: "running", "missing" (nobody has its lease), "settling" (topics are handed over), or
            "silent" (its lease is not renewed; only the program that runs the fleet can tell).
            A silent shard was not replaced yet, and may wake up; what it counts is old.
        node, pid: where it runs.
        epoch: how often it was taken.
        topics: that it is to have.
        figures: everything else by name: live, stale, refused, links, gaps, updates, sent,
            stored, duplicates, refused, resent, pending, buffered, dropped, failed, errors.
    """

    shard: int
    state: str = "missing"
    node: str = ""
    pid: int = 0
    epoch: int = 0
    topics: int = 0
    figures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class FleetStats:
    """What a fleet counts.

    Args:
        shards: all of them, by number.
        generation: of the plan.
        placement: what the placement says.
    """

    shards: tuple[ShardStats, ...] = ()
    generation: int = 0
    placement: Mapping[str, Any] = field(default_factory=dict)

    def total(self, name: str) -> int:
        """Return the sum of a figure over all shards."""
        return sum(shard.figures.get(name, 0) for shard in self.shards)


async def gather(
    store: Store, placement: Mapping[str, Any] | None = None, silent: Collection[int] = ()
) -> FleetStats:
    """Read what the shards count.

    Args:
        store: of the fleet.
        placement: what the placement says.
        silent: shards whose leases are known to be silent.
    """
    plan = await store.plan()
    if plan is None:
        return FleetStats(placement=placement or {})
    found = await store.all_leases(range(plan.shards))
    shards = tuple(
        _of(shard, None if entry is None else entry[1], plan.generation, shard in silent)
        for shard, entry in sorted(found.items())
    )
    return FleetStats(shards, plan.generation, placement or {})


def _of(shard: int, lease: Lease | None, generation: int, silent: bool) -> ShardStats:
    if lease is None or lease.released:
        return ShardStats(shard)
    figures = lease.figures
    state = "running" if lease.generation >= generation else "settling"
    return ShardStats(
        shard,
        "silent" if silent else state,
        lease.node,
        lease.pid,
        lease.epoch,
        figures.get("topics", 0),
        figures,
    )
