"""A fleet in one terminal: shards are killed and hang, and a consumer counts what is lost.

It starts a nats-server, the exchange (see exchange.py), which can replay what was missed, and the
shards of a fleet. One shard is killed, another one is stopped and woken up again when it was
replaced. A consumer reads the stream of updates meanwhile: it must find each number of each topic
once, in order, with nothing missing. Only then the exit status is 0.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from ..timers import Backoff
from .collect import Collector
from .serving import child_server

if TYPE_CHECKING:
    from ..fleet import Coordinator, Placement, ShardStats

__all__ = ["Consumer", "Demo", "DemoFeed", "run"]

#: What the exchange is like: difficult, but it can replay.
EXCHANGE = ("--ack-delay", "0.02", "--ack-twice", "0.1", "--topics", "50", "--replay", "100000")

#: Seconds that anything may take, on a busy machine.
PATIENCE = 120.0


class DemoFeed(Collector):
    """Comes back fast, from an exchange that allows it."""

    message_pace = None  # type: ignore[assignment]

    def __init__(self, loop: Any, url: str, **options: Any) -> None:
        super().__init__(loop, url, reconnect=Backoff(first=0.05, cap=0.5), **options)


class Consumer:
    """Reads the stream of a fleet, as any consumer would, and counts.

    Attributes:
        last: the latest number of each topic.
        updates: how many came.
        missing, twice: updates that are not there, or that came before.
        gaps: notices of gaps.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.last: dict[str, int] = {}
        self.updates = self.missing = self.twice = self.gaps = 0

    async def read(self, client: Any) -> None:
        """Read until it is cancelled."""
        js = client.jetstream()
        name = self._name
        subscription = await js.subscribe(f"{name}.>", stream=name, ordered_consumer=True)
        while True:
            message = await subscription.next_msg(None)
            kind = message.subject.split(".", 2)[1]
            if kind == "u":
                self.take(message.headers["Nats-Msg-Id"])
            elif kind == "n":
                self.gaps += 1

    def take(self, identity: str) -> None:
        """Take the id of an update: topic and number."""
        topic, number = identity.split(" ")[:2]
        last = self.last.get(topic)
        self.updates += 1
        if last is not None and int(number) <= last:
            self.twice += 1
            return
        if last is not None:
            self.missing += int(number) - last - 1
        self.last[topic] = int(number)


class Demo:
    """See the module.

    Args:
        coordinator: of the fleet.
        arguments: of the command line.
    """

    def __init__(self, coordinator: Coordinator, arguments: argparse.Namespace) -> None:
        self._coordinator = coordinator
        self._arguments = arguments
        self._consumer = Consumer(coordinator.spec.name)
        self._begun = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line, with the time and what was counted."""
        consumer = self._consumer
        print(
            f"{time.monotonic() - self._begun:6.1f}s  {consumer.updates:8d} updates"
            f"  {consumer.missing:4d} missing  {consumer.twice:4d} twice   {text}",
            flush=True,
        )

    async def run(self) -> bool:
        """Run it; returns whether nothing was lost, and nothing came twice."""
        from ..fleet.cancelling import cancel
        from ..fleet.store import connect

        topics = [f"T{number:05d}" for number in range(self._arguments.count)]
        await self._coordinator.start(topics, self._arguments.shards)
        client = await connect(self._coordinator.spec.servers)
        reading = asyncio.ensure_future(self._consumer.read(client))
        try:
            await self._all_live("all topics are live")
            await self._flow()
            await self._kill()
            await self._hang()
            await self._flow()
            await self._coordinator.placement.stop()
            complete = await self._compare(client)
        finally:
            await cancel([reading])
            await client.close()
        return complete and not (self._consumer.missing or self._consumer.twice)

    async def _shards(self) -> tuple[ShardStats, ...]:
        return (await self._coordinator.stats()).shards

    async def _all_live(self, text: str) -> None:
        async def live() -> bool:
            shards = await self._shards()
            count: int = self._arguments.count
            return sum(one.figures.get("live", 0) for one in shards) == count

        await self._until(live)
        self.say(text)

    async def _until(self, condition: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while not await condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"it does not go on, for {PATIENCE:.0f} s")
            await asyncio.sleep(0.05)

    async def _flow(self) -> None:
        """Let a few seconds of updates come."""
        for _ in range(3):
            await asyncio.sleep(1.0)
            self.say("")

    async def _kill(self) -> None:
        old = (await self._shards())[0]
        os.kill(old.pid, signal.SIGKILL)
        self.say(f"shard 0 (process {old.pid}) is killed")
        await self._replaced(old)

    async def _replaced(self, old: ShardStats) -> None:
        async def replaced() -> bool:
            return (await self._shards())[old.shard].epoch > old.epoch

        begun = time.monotonic()
        await self._until(replaced)
        seconds = time.monotonic() - begun
        self.say(f"shard {old.shard} has another process, after {seconds:.2f} s")
        await self._all_live("all topics are live again")

    async def _hang(self) -> None:
        old = (await self._shards())[-1]
        os.kill(old.pid, signal.SIGSTOP)
        self.say(f"shard {old.shard} (process {old.pid}) hangs: SIGSTOP")
        await self._replaced(old)
        try:
            os.kill(old.pid, signal.SIGCONT)
        except ProcessLookupError:
            return  # its placement has ended it

        async def gone() -> bool:
            replaced = (await self._coordinator.stats()).placement.get("replaced", [])
            return old.pid not in replaced

        self.say("it wakes up, and publishes what it has")
        await self._until(gone)
        self.say("it was refused, and has left")

    async def _compare(self, client: Any) -> bool:
        """Whether the consumer has come to the end of the stream."""
        js = client.jetstream()
        consumer = self._consumer

        async def all_read() -> bool:
            before = consumer.updates
            await asyncio.sleep(0.5)
            return consumer.updates == before

        await self._until(all_read)
        state = (await js.stream_info(self._coordinator.spec.name, subjects_filter=">")).state
        stored = sum(number for name, number in (state.subjects or {}).items() if ".u." in name)
        self.say(f"{stored} updates are in the stream; {consumer.gaps} notices")
        topics: int = self._arguments.count
        return stored == consumer.updates and len(consumer.last) == topics


def _placement(arguments: argparse.Namespace) -> Placement:
    from ..fleet import Local

    if arguments.placement == "ray":
        from ..fleet.placements.ray import Ray

        return Ray("local", {"num_cpus": 0.1}, {"num_cpus": 2, "include_dashboard": False})
    return Local()


def run(arguments: argparse.Namespace) -> int:
    """See fleet.py."""
    from ..fleet import Coordinator, JetStream, ShardSpec

    with child_server("exchange", *EXCHANGE, "--rate", str(arguments.rate)) as url:
        spec = ShardSpec("demo", DemoFeed, url, "", JetStream())
        coordinator = Coordinator(spec, _placement(arguments))

        async def main() -> bool:
            try:
                return await Demo(coordinator, arguments).run()
            finally:
                await coordinator.stop()

        complete = asyncio.run(main())
    print("nothing was lost, and nothing came twice" if complete else "something is wrong")
    return 0 if complete else 1
