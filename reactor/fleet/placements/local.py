"""The placement on this machine: a process for each shard.

What it is: :class:`Local`. It needs nothing beside Python, and is the default.

What it must not know: leases, plans.

How it works. A process is forked from multiprocessing's "forkserver", which has imported what a
shard needs and nothing else: so it is there in some milliseconds, and what is imported is in
memory once. The feed's class is found by its name, also when it is of the program that was
started. When a process ends that was not told to,
another one is started at once; if it has not lived for long, after a while that grows. A process
whose parent is gone leaves, too: it watches a descriptor that closes then.

A process that hangs is not waited for: a new one takes its place, under the same name, so that it
need not wait for the lease. The old one has ``patience`` seconds to find out by itself, then it
is killed.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import secrets
import signal
from collections.abc import Collection
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from typing import Any

from ...timers import Backoff
from ..rules.leases import Lease
from ..shard import Leaving, run_shard
from ..spec import ShardSpec, this_node
from .base import Placement

__all__ = ["Local"]

_log = logging.getLogger("reactor.fleet")

#: Seconds that a shard has to leave when it is told to, before it is killed.
FAREWELL = 15.0

#: A process that has lived for so many seconds is started again at once.
LIVED = 5.0

#: The wait before a process is started again that has not.
AGAIN = Backoff(first=0.5, cap=15.0)


#: Ends after which there is no wait: it was killed, it was replaced, or is wanted again.
AT_ONCE = (-signal.SIGKILL, *(why.value for why in Leaving if why is not Leaving.STOPPED))


def child(spec: ShardSpec) -> None:
    """Run in the process of a shard."""
    parent = multiprocessing.parent_process()
    logging.basicConfig(format=f"%(asctime)s shard {spec.shard}: %(message)s")
    stop_with = None if parent is None else parent.sentinel
    # No cleaning up of what belongs to the parent; and a status that it can tell apart.
    status = 1
    try:
        status = run_shard(spec, stop_with, on_interrupt=False)
    except Exception:  # noqa: BLE001 - reported; the status says so
        _log.exception("shard %s has failed", spec.shard)
    logging.shutdown()
    os._exit(status)


class _Run:
    """One process of a shard."""

    __slots__ = ("begun", "incarnation", "process", "replaced", "shard")

    def __init__(
        self, shard: int, incarnation: str, process: ForkServerProcess, begun: float
    ) -> None:
        self.shard = shard
        self.incarnation = incarnation
        self.process = process
        self.begun = begun
        self.replaced = False


class Local(Placement):
    """Processes on this machine.

    Args:
        patience: seconds after which a process that hangs, and was replaced, is killed.

    Attributes:
        restarts: how many processes were started in the place of others.
    """

    def __init__(self, patience: float = 30.0) -> None:
        if patience < 0:
            raise ValueError(f"patience must be 0 or more seconds, not {patience!r}")
        self.restarts = 0
        self._patience = patience
        self._context = multiprocessing.get_context("forkserver")
        self._spec: ShardSpec | None = None
        self._name = ""
        self._runs: dict[int, _Run] = {}
        self._old: set[_Run] = set()  # that were replaced, and are not gone
        self._wanted: set[int] = set()
        self._drained = False
        self._failures: dict[int, int] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self, spec: ShardSpec) -> None:
        """See Placement."""
        self._spec = spec
        self._name = f"local-{secrets.token_hex(4)}"
        self._loop = asyncio.get_running_loop()
        self._context.set_forkserver_preload(["__main__", child.__module__])

    async def place(self, shards: Collection[int]) -> None:
        """See Placement."""
        self._wanted = set(shards)
        for shard in shards:
            if shard not in self._runs and shard not in self._timers:
                self._start(shard)

    def _start(self, shard: int) -> None:
        assert self._spec is not None
        assert self._loop is not None
        self._timers.pop(shard, None)
        if shard not in self._wanted or self._drained or shard in self._runs:
            return
        incarnation = secrets.token_hex(8)
        holder = f"{self._name}-{shard}"
        spec = replace(self._spec, shard=shard, holder=holder, incarnation=incarnation)
        process = self._context.Process(
            target=child, args=(spec,), name=f"shard-{shard}", daemon=True
        )
        process.start()
        run = self._runs[shard] = _Run(shard, incarnation, process, self._loop.time())
        self._loop.add_reader(process.sentinel, self._ended, run)

    def _ended(self, run: _Run) -> None:
        """A process is gone."""
        assert self._loop is not None
        self._loop.remove_reader(run.process.sentinel)
        run.process.join()
        status = run.process.exitcode
        run.process.close()
        if run.replaced:
            self._old.discard(run)
            return
        del self._runs[run.shard]
        if run.shard not in self._wanted or self._drained:
            return
        self.restarts += 1
        delay = 0.0
        if self._loop.time() - run.begun < LIVED and status not in AT_ONCE:
            failures = self._failures[run.shard] = self._failures.get(run.shard, 0) + 1
            delay = min(AGAIN.first * AGAIN.factor ** (failures - 1), AGAIN.cap)
        else:
            self._failures.pop(run.shard, None)
        _log.warning(
            "shard %d: its process has ended with %s; another one in %.1f s",
            run.shard,
            status,
            delay,
        )
        if delay:
            self._timers[run.shard] = self._loop.call_later(delay, self._start, run.shard)
        else:
            self._start(run.shard)

    async def replace(self, shard: int, lease: Lease) -> None:
        """See Placement."""
        run = self._runs.get(shard)
        if run is not None and run.incarnation != lease.incarnation:
            return  # it was replaced already, and the new one has not got so far
        if run is not None:
            del self._runs[shard]
            assert self._loop is not None
            _log.warning("shard %d: process %s hangs, and is replaced", shard, run.process.pid)
            run.replaced = True
            self._old.add(run)
            self.restarts += 1
            self._loop.call_later(self._patience, self._kill, run)
        self._start(shard)

    def _kill(self, run: _Run) -> None:
        if run in self._old:
            run.process.kill()

    async def drained(self, node: str, drained: bool) -> None:
        """See Placement."""
        if node == this_node():
            self._drained = drained
            if not drained:
                await self.place(self._wanted)

    async def stop(self) -> None:
        """See Placement."""
        self._wanted = set()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for run in self._old:
            run.process.kill()
        for run in self._runs.values():
            run.process.terminate()
        assert self._loop is not None
        deadline = self._loop.time() + FAREWELL
        while self._runs or self._old:
            if self._loop.time() > deadline:
                for run in self._runs.values():
                    run.process.kill()
            await asyncio.sleep(0.01)

    def describe(self) -> dict[str, Any]:
        """See Placement."""
        return {
            "placement": "local",
            "restarts": self.restarts,
            "pids": {shard: run.process.pid for shard, run in list(self._runs.items())},
            "replaced": [run.process.pid for run in self._old],
        }
