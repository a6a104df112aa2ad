"""What a shard of a fleet costs, and how much it confirms: figures for docs/fleet.md.

    python benchmarks/fleet/measure.py publish          the sink alone, per message and in batches
    python benchmarks/fleet/measure.py start            100,000 topics: written, read, shared
    python benchmarks/fleet/measure.py shards --shards 2 --batch 200    end to end
    python benchmarks/fleet/measure.py away             seconds without updates after kill and hang

CPU is what the process itself has used; the load of others does not count in it. The service of
the last one is in processes of its own, and sends 150 bytes an update.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import statistics
import sys
import threading
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from reactor import Reactor, WebSocketProtocol
from reactor.feeds import Feed, Subscribed, Update
from reactor.fleet import CoreNats, Fleet, JetStream, Local
from reactor.fleet.embedded import EmbeddedNats
from reactor.fleet.ledger import Ledger
from reactor.fleet.names import Names
from reactor.fleet.rules.share import owners, share_of, slot_of
from reactor.fleet.sinks.base import Post
from reactor.fleet.store import Store, connect

TEXT = "x" * 150


def cpu(pid: int | str = "self") -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """KB that a process has for itself."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))


# -- the sink alone ------------------------------------------------------------------------------


async def publish(sink: Any, count: int) -> None:
    server = EmbeddedNats()
    client = await connect(await server.start())
    try:
        names = Names("b")
        await Store(client, names).open(create=True)
        ledger = Ledger(client, names)
        if sink.fences:
            await ledger.open(sink.stream_options())
            epoch = await ledger.begin_epoch(0, "me")
        else:
            from reactor.fleet.rules.epochs import Epoch

            epoch = Epoch(0, 1, "me")

        async def holds() -> bool:
            return True

        post = Post(names, epoch, server.url, {}, ledger, lambda: True, holds, print)
        writer = sink.writer(post)
        writer.start()
        topics = [f"T{number}" for number in range(500)]
        begun, used, theirs = time.perf_counter(), time.process_time(), cpu(server.pid)
        for number in range(count):
            writer.put(Update(topics[number % 500], TEXT, number // 500))
            if len(writer.buffer) > 20_000:
                await asyncio.sleep(0.001)
        assert await writer.flush(120.0)
        took, used = time.perf_counter() - begun, time.process_time() - used
        print(
            f"{sink.__class__.__name__:10} batch={getattr(sink, 'batch', None)!s:5}"
            f" {count / took:9,.0f}/s  client {used / count * 1e6:5.1f} us"
            f"  server {(cpu(server.pid) - theirs) / count * 1e6:5.1f} us an update",
            flush=True,
        )
        await writer.close()
    finally:
        await client.close()
        await server.stop()


# -- the store -----------------------------------------------------------------------------------


async def start(count: int) -> None:
    server = EmbeddedNats()
    client = await connect(await server.start())
    try:
        store = await Store(client, Names("b")).open(create=True)
        topics = [f"T{number:06d}" for number in range(count)]
        begun, used = time.perf_counter(), time.process_time()
        await store.add_topics(topics)
        print(f"{count} topics written  {time.perf_counter() - begun:.2f} s", end="")
        print(f", CPU {time.process_time() - used:.2f} s")
        begun, used = time.perf_counter(), time.process_time()
        assert len(await store.topics()) == count
        print(f"read by a shard        {time.perf_counter() - begun:.2f} s", end="")
        print(f", CPU {time.process_time() - used:.2f} s")
        used = time.process_time()
        owners(12)
        mine = share_of(3, 12)
        print(f"shares of 12 shards    CPU {time.process_time() - used:.3f} s", end="")
        print(f"; one has {sum(slot_of(topic) in mine for topic in topics)} topics")
    finally:
        await client.close()
        await server.stop()


# -- end to end ----------------------------------------------------------------------------------


class Source(WebSocketProtocol):
    """Sends updates of the topics of one connection, as fast as it was told."""

    rate = 20.0

    def __init__(self) -> None:
        self.topics: list[str] = []
        self.number = 0
        self.owed = 0.0

    def on_message(self, message: str | bytes) -> None:
        if not self.topics:
            self.number = int(time.time() * self.rate)  # it goes on over connections
            self.loop.call_later(0.02, self.batch)
        self.topics += json.loads(message)
        self.send(message)

    def batch(self) -> None:
        if self.state.name != "OPEN":
            return
        self.loop.call_later(0.02, self.batch)
        self.owed += 0.02 * self.rate
        while self.owed >= 1:
            self.owed -= 1
            self.number += 1
            for topic in self.topics:
                self.send(f"{topic} {self.number} {TEXT}")


def start_service(rate: float) -> tuple[Any, str]:
    """Start a Source in a process of its own; return the process, and its URL."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    service = context.Process(target=serve, args=(rate, theirs), daemon=True)
    service.start()
    return service, f"ws://127.0.0.1:{ours.recv()}/"


def serve(rate: float, pipe: Any) -> None:
    Source.rate = rate
    with Reactor() as loop:
        pipe.send(loop.listen("127.0.0.1", 0, Source, backlog=4096).port)
        loop.run_forever()


class Counting(Feed):
    """A feed whose parse costs next to nothing."""

    topics_per_link = 1
    message_pace = None
    stale_after = None
    idle_after = None

    def subscribe_message(self, topics: list[Any], link: Any) -> str:
        return json.dumps(topics)

    def parse(self, message: Any, link: Any) -> Any:
        if message[0] == "[":
            return Subscribed(json.loads(message))
        topic, number, data = message.split(" ", 2)
        return Update(topic, data, int(number))


def shards(arguments: argparse.Namespace) -> None:
    service, url = start_service(arguments.rate)
    sink: Any = JetStream(batch=arguments.batch or None)
    if arguments.core:
        sink = CoreNats()
    topics = [f"T{number}" for number in range(arguments.topics)]
    with Fleet(Counting, url, topics, arguments.shards, sink=sink) as fleet:
        fleet.wait()
        while fleet.stats().total("live") < arguments.topics:
            time.sleep(0.1)
        time.sleep(2.0)
        pids = [shard.pid for shard in fleet.stats().shards]
        server = fleet.coordinator.embedded
        assert server is not None
        name = "sent" if arguments.core else "stored"
        begun, before = time.perf_counter(), fleet.stats().total(name)
        used, busy, idle = [cpu(pid) for pid in pids], cpu(server.pid), cpu(service.pid)
        time.sleep(arguments.seconds)
        stats = fleet.stats()
        took, count = time.perf_counter() - begun, stats.total(name) - before
        shard_cpu = sum(cpu(pid) - was for pid, was in zip(pids, used, strict=True))
        print(
            f"{arguments.shards} shards, batch={arguments.batch}, core={arguments.core}: "
            f"{count / took:,.0f}/s {name} of {arguments.topics * arguments.rate:,.0f} offered; "
            f"CPU an update: shard {shard_cpu / count * 1e6:.1f} us, "
            f"nats-server {(cpu(server.pid) - busy) / count * 1e6:.1f} us, "
            f"service {(cpu(service.pid) - idle) / count * 1e6:.1f} us; "
            f"buffered {stats.total('buffered')}, dropped {stats.total('dropped')}; "
            f"private KB {[memory(pid) for pid in pids]}",
            flush=True,
        )
    service.terminate()


# -- how long topics are away --------------------------------------------------------------------


class Arrivals:
    """When the first update of each topic has come since a moment, by a connection of its own."""

    def __init__(self, servers: Any, fleet: str) -> None:
        self._servers, self._names = servers, Names(fleet)
        self._first: dict[str, float] = {}
        self._since = float("inf")
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10.0)

    async def _listen(self) -> None:
        client = await connect(self._servers)

        async def take(message: Any) -> None:
            now = time.monotonic()
            if now > self._since:
                self._first.setdefault(message.subject, now)

        await client.subscribe(self._names.update(">"), cb=take)
        await client.flush()

    def wait(self, topics: list[str], begun: float) -> float:
        """Return the seconds from *begun* until all of these topics had an update."""
        # What was under way when the process was stopped is not its successor's.
        self._first, self._since = {}, begun + 0.05
        subjects = [self._names.update(topic) for topic in topics]
        while not all(subject in self._first for subject in subjects):
            if time.monotonic() > begun + 60.0:
                raise TimeoutError("the topics do not come back")
            time.sleep(0.005)
        return max(self._first[subject] for subject in subjects) - begun


def away(arguments: argparse.Namespace) -> None:
    """Kill shards, and have them hang, in turns."""
    service, url = start_service(arguments.rate)
    topics = [f"T{number}" for number in range(arguments.topics)]
    count = max(2, arguments.shards)
    took: dict[str, list[float]] = {"SIGKILL": [], "SIGSTOP": []}
    with Fleet(Counting, url, topics, count, sink=JetStream(), placement=Local(2.0)) as fleet:
        fleet.wait()
        arrivals = Arrivals(fleet.nats, fleet.name)
        arrivals.wait(topics, time.monotonic())
        for number in range(2 * arguments.times):
            time.sleep(6.0)  # a process that has lived for long is started again at once
            shard = number // 2 % count
            name = ("SIGKILL", "SIGSTOP")[number % 2]
            share = share_of(shard, count)
            begun = time.monotonic()
            os.kill(fleet.stats().placement["pids"][shard], getattr(signal, name))
            took[name].append(
                arrivals.wait([topic for topic in topics if slot_of(topic) in share], begun)
            )
    service.terminate()
    for name, seconds in took.items():
        print(
            f"{name}: seconds until all topics of the shard have updates again: median "
            f"{statistics.median(seconds):.2f}, {min(seconds):.2f} to {max(seconds):.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["publish", "start", "shards", "away"])
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--core", action="store_true")
    parser.add_argument("--topics", type=int, default=500)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if arguments.what == "publish":
        for sink in (CoreNats(maxlen=10**6), JetStream(maxlen=10**6)):
            asyncio.run(publish(sink, arguments.count))
        for batch in (10, 50, 200):
            asyncio.run(publish(JetStream(batch=batch, maxlen=10**6), arguments.count))
    elif arguments.what == "start":
        asyncio.run(start(100_000))
    elif arguments.what == "away":
        away(arguments)
    else:
        shards(arguments)


if __name__ == "__main__":
    main()
