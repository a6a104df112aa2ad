"""The placement on a Ray cluster: a detached actor for each shard.

What it is: :class:`Ray`. It needs ``pip install 'reactor-websocket[fleet-ray]'`` here and on the
nodes.

What it must not know: leases, plans.

How it works. An actor is restarted by Ray whenever its process dies; it starts its shard by itself
then, and under the same name, so that it need not wait for its lease. It is detached: it goes on
when the program that has made it ends. Ray does not notice a process that hangs, so it is killed on
its node, by a task that runs there; Ray restarts it then. Nothing is asked of an actor but to
leave: all control is in NATS.

Ray's head is a single process. While it is away, shards go on, but none is restarted. With
``restart=``, the head is started again by that command, and the shards are placed anew. The raylet
of the old head has to end first, which it does a minute after it has lost the head, or earlier, if
``ray start`` has ``RAY_gcs_rpc_server_reconnect_timeout_s`` in its environment (but not this
program, which Ray would end, too).
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..cancelling import cancel
from ..rules.leases import Lease
from ..shard import Leaving, Shard
from ..spec import ShardSpec
from .base import Placement

__all__ = ["Ray"]

_log = logging.getLogger("reactor.fleet")

#: Seconds between two looks at Ray's head, and looks in vain before it counts as dead.
LOOK, LOOKS = 1.0, 3

#: Seconds that a call to Ray may take.
TIMEOUT = 10.0


class ShardActor:
    """What Ray runs: it starts by itself, also when Ray restarts it."""

    def __init__(self, spec: ShardSpec) -> None:
        self._spec = spec
        self._shard: Shard | None = None
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        context = ray.get_runtime_context()
        spec = replace(
            self._spec,
            holder=f"ray-{context.get_actor_id()}",
            incarnation=secrets.token_hex(8),
            node=context.get_node_id(),
        )
        why = None
        try:
            self._shard = Shard(spec)
            why = await self._shard.run()
        except Exception:  # noqa: BLE001 - reported; Ray starts it again
            _log.exception("shard %s has failed", spec.shard)
            await asyncio.sleep(1.0)
        if why in (None, Leaving.FENCED):
            os._exit(1)  # Ray starts it again
        # Otherwise the actor waits to be ended.

    async def ready(self) -> int:
        """Return the process."""
        return os.getpid()

    async def leave(self) -> None:
        """Leave, and return when that is done."""
        if self._shard is not None:
            self._shard.leave(Leaving.STOPPED)
        await asyncio.wait([self._task])


def kill(pid: int) -> None:
    """End a shard's process on the node on which this runs, if it is still there."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if ShardActor.__name__.encode() in file.read():
                os.kill(pid, signal.SIGKILL)
    except OSError:
        pass  # it is gone


class Ray(Placement):
    """Actors on a Ray cluster.

    Args:
        address: of the cluster, as for ``ray.init``; "auto" is the one of this machine.
        resources: options of each actor, as ``num_cpus`` (default: half a CPU) or ``memory``.
        init: further arguments of ``ray.init``.
        restart: the command that starts Ray's head again when it is dead, such as ``["ray",
            "start", "--head", "--port=6379"]``; None: somebody else does that.

    Attributes:
        restarts: how often the head was started again.
    """

    def __init__(
        self,
        address: str = "auto",
        resources: Mapping[str, Any] | None = None,
        init: Mapping[str, Any] | None = None,
        restart: Sequence[str] | None = None,
    ) -> None:
        self.restarts = 0
        self._address = address
        self._options = {"num_cpus": 0.5, **(resources or {})}
        self._init = dict(init or {})
        self._restart = restart
        self._spec: ShardSpec | None = None
        self._actors: dict[int, Any] = {}
        self._drained: set[str] = set()
        self._wanted: set[int] = set()
        self._watch: asyncio.Task[None] | None = None
        self._gcs = ""

    async def start(self, spec: ShardSpec) -> None:
        """See Placement."""
        self._spec = spec
        await asyncio.to_thread(self._connect)
        self._watch = asyncio.ensure_future(self._look())

    def _connect(self) -> None:
        if not ray.is_initialized():
            ray.init(
                address=self._address,
                namespace="reactor-fleet",
                log_to_driver=False,
                **self._init,
            )
        self._gcs = ray.get_runtime_context().gcs_address

    async def place(self, shards: Collection[int]) -> None:
        """See Placement."""
        gone = set(self._actors) - set(shards)
        self._wanted = set(shards)
        await asyncio.to_thread(self._place, sorted(shards))
        for shard in gone:
            asyncio.ensure_future(self._withdraw(shard))  # noqa: RUF006 - it keeps itself

    def _place(self, shards: Sequence[int]) -> None:
        for shard in shards:
            if shard not in self._actors:
                self._actors[shard] = self._make(shard)

    def _make(self, shard: int) -> Any:
        assert self._spec is not None
        options: dict[str, Any] = {
            "name": f"{self._spec.name}-{shard}",
            "lifetime": "detached",
            "max_restarts": -1,
            "max_concurrency": 4,
            "get_if_exists": True,
            **self._options,
        }
        if self._drained:
            node = self._free_node()
            if node is not None:
                options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
        return ray.remote(ShardActor).options(**options).remote(replace(self._spec, shard=shard))

    def _free_node(self) -> str | None:
        for node in ray.nodes():
            if node["Alive"] and node["NodeID"] not in self._drained:
                return str(node["NodeID"])
        return None

    async def _withdraw(self, shard: int) -> None:
        """End an actor when its shard has left."""
        actor = self._actors.pop(shard)
        try:
            await asyncio.wait_for(asyncio.wrap_future(actor.leave.remote().future()), TIMEOUT)
        except Exception as exc:  # noqa: BLE001 - it is ended in any case
            _log.warning("shard %d does not leave: %s", shard, type(exc).__name__)
        try:
            await asyncio.to_thread(ray.kill, actor)
        except Exception as exc:  # noqa: BLE001 - it is of a session that is over
            _log.warning("shard %d cannot be ended: %s", shard, type(exc).__name__)

    async def replace(self, shard: int, lease: Lease) -> None:
        """See Placement."""
        strategy = NodeAffinitySchedulingStrategy(lease.node, soft=False)
        killer = ray.remote(kill).options(num_cpus=0, scheduling_strategy=strategy)
        await asyncio.to_thread(killer.remote, lease.pid)

    async def drained(self, node: str, drained: bool) -> None:
        """See Placement."""
        if not drained:
            self._drained.discard(node)
            return
        self._drained.add(node)
        for shard, actor in list(self._actors.items()):
            place = await asyncio.to_thread(self._node_of, actor)
            if place == node:
                await self._withdraw(shard)
        await asyncio.to_thread(self._place, sorted(self._wanted))

    @staticmethod
    def _node_of(actor: Any) -> str:
        from ray.util.state import get_actor

        state = get_actor(actor._actor_id.hex())
        return str(state.node_id) if state is not None else ""

    async def stop(self) -> None:
        """See Placement."""
        if self._watch is not None:
            await cancel([self._watch])
        self._wanted = set()
        await asyncio.gather(*[self._withdraw(shard) for shard in list(self._actors)])

    async def _look(self) -> None:
        """Start Ray's head again when it is dead."""
        missed = 0
        while True:
            await asyncio.sleep(LOOK)
            host, _, port = self._gcs.rpartition(":")
            try:
                opening = asyncio.open_connection(host, int(port))
                _, writer = await asyncio.wait_for(opening, LOOK)
                writer.close()
                missed = 0
                continue
            except (OSError, ValueError, TimeoutError, asyncio.TimeoutError):
                missed += 1
            if missed < LOOKS or self._restart is None:
                continue
            _log.warning("Ray's head at %s is dead: it is started again", self._gcs)
            try:
                await asyncio.to_thread(self._begin_anew)
                missed = 0
            except Exception as exc:  # noqa: BLE001 - tried again
                _log.warning("that has failed: %s: %s", type(exc).__name__, exc)

    def _begin_anew(self) -> None:
        assert self._restart is not None
        ray.shutdown()
        subprocess.run(self._restart, check=True, stdout=subprocess.DEVNULL)
        self._actors.clear()  # of a session that is over
        self._connect()
        self._place(sorted(self._wanted))
        self.restarts += 1

    def describe(self) -> dict[str, Any]:
        """See Placement."""
        return {"placement": "ray", "restarts": self.restarts, "head": self._gcs}
