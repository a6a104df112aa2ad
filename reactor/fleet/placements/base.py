"""What every placement does.

What it is: :class:`Placement`, and :class:`External`, the one that does nothing.

What it must not know: leases, plans. It is told which shards there are to be, and which of them
hang.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..rules.leases import Lease
from ..spec import ShardSpec

__all__ = ["External", "Placement"]


class Placement:
    """Starts shards, and starts them again. Its methods are called on one loop of asyncio."""

    async def start(self, spec: ShardSpec) -> None:
        """Get ready.

        Args:
            spec: what all shards are told; the number and who they are is to be added.
        """

    async def place(self, shards: Collection[int]) -> None:
        """Have these shards run, from now on and again whenever they die, and no others.

        Those that are to run no longer leave by themselves: they see the plan, too.
        """

    async def replace(self, shard: int, lease: Lease) -> None:
        """A shard does not renew its lease: have another one run in its place.

        Args:
            shard: which.
            lease: of the one that is silent; nothing is to be done if it is gone already.

        The one that hangs is refused by the server; it may be left alone or ended.
        """

    async def drained(self, node: str, drained: bool) -> None:
        """Have no shards on a node, or have them again. Those that are there leave."""

    async def stop(self) -> None:
        """End all shards that this placement has started, and wait until they are gone."""

    def describe(self) -> dict[str, Any]:
        """Return what there is to know, for ``Fleet.stats()``."""
        return {}


class External(Placement):
    """Somebody else runs the shards: systemd, Kubernetes, a person.

    Each runs ``reactor fleet shard``, which takes whatever shard is free. Have one process more
    than shards, and a shard that hangs is replaced after three seconds by the one that waits.
    """
