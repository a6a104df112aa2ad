"""The placement on this machine, with processes that are only made up.

That a shard is live again soon rests on three things, which need no clock: its process is started
again in the turn in which its end is seen (here); the new one has the old one's name and takes the
lease at once (test_seat.py); one that hangs is told after the lease and one look at most
(rules/test_leases.py), and then replaced at once (here).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from reactor.fleet import Local, ShardSpec
from reactor.fleet.rules.leases import Lease
from reactor.fleet.shard import Leaving
from reactor.fleet.spec import this_node

from ..sinks.stage import until


class Process:
    """What multiprocessing makes: its sentinel can be read when it has ended."""

    def __init__(self, context: Context, spec: ShardSpec) -> None:
        self.context = context
        self.spec = spec
        self.pid = 100 + len(context.made)
        self.exitcode: int | None = None
        self.sentinel, self._alive = os.pipe()
        self.joined = False

    def start(self) -> None:
        self.context.made.append(self)

    def end(self, status: int) -> None:
        if self.exitcode is None:
            self.exitcode = status
            os.close(self._alive)

    def join(self) -> None:
        self.joined = True

    def close(self) -> None:
        os.close(self.sentinel)

    def terminate(self) -> None:
        self.end(0)

    def kill(self) -> None:
        self.end(-9)


class Context:
    def __init__(self) -> None:
        self.made: list[Process] = []

    def set_forkserver_preload(self, names: list[str]) -> None:
        pass

    def Process(self, target: Any, args: tuple[ShardSpec], **_: Any) -> Process:
        return Process(self, *args)


def place(
    scene: Callable[[Local, list[Process]], Awaitable[None]], shards: int = 1, **options: Any
) -> None:
    async def main() -> None:
        local, context = Local(**options), Context()
        local._context = context  # type: ignore[assignment]
        await local.start(ShardSpec("t", lambda: None, "ws://x", "nats://x"))  # type: ignore[arg-type,return-value]
        await local.place(range(shards))
        try:
            await scene(local, context.made)
        finally:
            await local.stop()

    asyncio.run(main())


def lease_of(process: Process) -> Lease:
    spec = process.spec
    return Lease(spec.shard or 0, str(spec.holder), str(spec.incarnation), "here", process.pid)


def test_one_that_is_killed_is_started_again_in_the_turn_in_which_that_is_seen() -> None:
    async def scene(local: Local, made: list[Process]) -> None:
        made[0].end(-9)
        await until(lambda: made[0].joined)
        assert len(made) == 2
        assert not local._timers
        old, new = made[0].spec, made[1].spec
        assert (new.shard, new.holder) == (old.shard, old.holder)  # so it need not wait
        assert new.incarnation != old.incarnation
        assert local.describe()["restarts"] == 1

    place(scene)


@pytest.mark.parametrize("why", [why for why in Leaving if why is not Leaving.STOPPED])
def test_and_so_is_one_that_has_left_for_a_reason(why: Leaving) -> None:
    async def scene(local: Local, made: list[Process]) -> None:
        made[0].end(why.value)
        await until(lambda: made[0].joined)
        assert (len(made), local._timers) == (2, {})

    place(scene)


def test_one_that_fails_at_once_is_started_again_later() -> None:
    async def scene(local: Local, made: list[Process]) -> None:
        made[0].end(1)
        await until(lambda: made[0].joined)
        assert len(made) == 1
        assert list(local._timers) == [0]

    place(scene)


def test_one_that_hangs_is_replaced_at_once_and_killed_when_it_was_waited_for() -> None:
    async def scene(local: Local, made: list[Process]) -> None:
        await local.replace(0, lease_of(made[0]))
        assert len(made) == 2
        assert local.describe()["pids"] == {0: made[1].pid}
        await until(lambda: made[0].joined)
        assert made[0].exitcode == -9
        assert (len(made), local.describe()["replaced"]) == (2, [])

    place(scene, patience=0.0)


def test_what_is_told_of_one_that_was_replaced_already_changes_nothing() -> None:
    async def scene(local: Local, made: list[Process]) -> None:
        old = lease_of(made[0])
        await local.replace(0, old)
        await local.replace(0, old)
        assert len(made) == 2

    place(scene)


def test_those_that_are_wanted_no_longer_end_for_good() -> None:
    async def scene(local: Local, made: list[Process]) -> None:
        await local.place([0])
        made[1].end(Leaving.SURPLUS.value)
        await until(lambda: made[1].joined)
        assert len(made) == 2
        await local.place([0, 1])
        assert [process.spec.shard for process in made] == [0, 1, 1]

    place(scene, shards=2)


def test_a_machine_that_is_drained_has_none() -> None:
    async def scene(local: Local, made: list[Process]) -> None:
        await local.drained("elsewhere", True)
        await local.drained(this_node(), True)
        made[0].end(Leaving.DRAINED.value)
        await until(lambda: made[0].joined)
        assert len(made) == 1
        await local.drained(this_node(), False)
        assert len(made) == 2

    place(scene)


def test_patience_is_a_time() -> None:
    with pytest.raises(ValueError, match="patience"):
        Local(patience=-1)
