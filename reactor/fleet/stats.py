"""What a fleet counts, as its shards write it into their leases.

What it is: :class:`ShardStats`, :class:`FleetStats`, and :func:`stats_of`.

What it must not know: who shows them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from .rules.leases import Lease
from .store import Plan

__all__ = ["FleetStats", "ShardStats", "stats_of"]


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
        figures: everything else by name. Of the feed: live, stale, refused (topics), links, gaps,
            repeated, updates; of the reactor: messages, wire (bytes), busy (seconds); of the sink:
            sent, buffered, dropped, failed, errors, and for JetStream stored, duplicates, fenced
            (messages that were refused), resent, pending.
    """

    shard: int
    state: str = "missing"
    node: str = ""
    pid: int = 0
    epoch: int = 0
    topics: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)


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

    def total(self, name: str) -> float:
        """Return the sum of a figure over all shards."""
        return sum(shard.figures.get(name, 0) for shard in self.shards)


def stats_of(
    plan: Plan | None,
    found: Mapping[int, tuple[int, Lease] | None],
    placement: Mapping[str, Any],
    silent: Collection[int],
) -> FleetStats:
    """Return what the shards count.

    Args:
        plan: of the fleet; None: there is none.
        found: the leases of all shards, with revisions.
        placement: what the placement says.
        silent: shards whose leases are known to be silent.
    """
    if plan is None:
        return FleetStats(placement=placement)
    shards = tuple(
        _of(shard, None if entry is None else entry[1], plan.generation, shard in silent)
        for shard, entry in sorted(found.items())
    )
    return FleetStats(shards, plan.generation, placement)


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
        int(figures.get("topics", 0)),
        figures,
    )
