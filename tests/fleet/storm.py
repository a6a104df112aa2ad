"""A storm: a fleet whose shards are killed, hang and move, and whose server is killed, for minutes.

``python -m tests.fleet.storm --seconds 600``, or ``--rounds 1`` for everything once. At the end the
whole stream is read: what was confirmed is there, once; the numbers of each topic rise; where some
are missing, a notice says so. The exit status is 0 only then.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from reactor.fleet import Fleet, Local

from .support import Journal, Numbered, audit, exchange, stored, wait_until

TOPICS = [f"T{number}" for number in range(200)]


class Storm:
    """What happens to one fleet.

    Args:
        fleet: it runs.
        draw: where chance comes from.
        rate: updates a second.
    """

    def __init__(self, fleet: Fleet, draw: random.Random, rate: float) -> None:
        self.fleet = fleet
        self.draw = draw
        self.rate = rate
        self.counts: Counter[str] = Counter()
        self.slowest: dict[str, float] = {}
        self.stopped: list[int] = []

    def run(self, seconds: float) -> None:
        """Let it rage; each step ends with all topics live."""
        self.settle("start", time.monotonic())
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.step(self.draw.choice([self.kill, *self.steps()]))

    def run_rounds(self, rounds: int) -> None:
        """Let each thing happen so often, in any order."""
        self.settle("start", time.monotonic())
        for _ in range(rounds):
            for step in self.draw.sample(self.steps(), len(self.steps())):
                self.step(step)

    def steps(self) -> list[Callable[[], None]]:
        """What may happen."""
        return [self.kill, self.hang, self.kill_server, self.kill_all, self.move]

    def step(self, step: Callable[[], None]) -> None:
        """Have something happen, and wait until all is well again."""
        begun = time.monotonic()
        step()
        self.settle(step.__name__, begun)
        self.wake()
        self.grow()

    def settle(self, what: str, begun: float) -> None:
        """Wait until all topics are live, and take the time since *begun*."""

        def live() -> bool:
            stats = self.fleet.stats()
            return stats.total("live") == len(TOPICS) and all(
                shard.state == "running" and shard.pid not in self.stopped for shard in stats.shards
            )

        wait_until(live, 120.0)
        took = time.monotonic() - begun
        self.counts[what] += 1
        self.slowest[what] = max(took, self.slowest.get(what, 0.0))
        print(f"{what:12} all topics are live after {took:5.2f} s", flush=True)

    def grow(self) -> None:
        """Wait until more is stored."""
        before = stored(self.fleet)
        more = self.draw.randrange(1 + int(self.rate))
        wait_until(lambda: stored(self.fleet) > before + more)

    def pids(self) -> list[int]:
        """The processes of the shards."""
        return list(self.fleet.stats().placement["pids"].values())

    def kill(self) -> None:
        """kill -9 of one shard."""
        self.kill_these({self.draw.choice(self.pids())})

    def kill_all(self) -> None:
        """kill -9 of all."""
        self.kill_these(set(self.pids()))

    def kill_these(self, pids: set[int]) -> None:
        """kill -9, and wait until nothing is told any longer of what these processes counted."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not pids & {s.pid for s in self.fleet.stats().shards}, 120.0)

    def hang(self) -> None:
        """SIGSTOP of one shard; it wakes up when it was replaced."""
        pid = self.draw.choice(self.pids())
        os.kill(pid, signal.SIGSTOP)
        self.stopped.append(pid)

    def wake(self) -> None:
        """SIGCONT of those that hang."""
        while self.stopped:
            try:
                os.kill(self.stopped.pop(), signal.SIGCONT)
            except ProcessLookupError:
                pass

    def kill_server(self) -> None:
        """kill -9 of nats-server."""
        server = self.fleet.coordinator.embedded
        assert server is not None
        pid = server.pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: server.pid != pid)

    def move(self) -> None:
        """Another number of shards."""
        shards = len(self.fleet.stats().shards)
        self.fleet.rebalance(self.draw.choice([n for n in (1, 2, 3, 4) if n != shards]))


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rounds", type=int, help="everything so often, instead of for a time")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--rate", type=float, default=10.0, help="updates a second of a topic")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    with (
        tempfile.TemporaryDirectory() as folder,
        exchange("--rate", str(arguments.rate), "--kicks", "0.02", "--replay", "200") as url,
    ):
        sink = Journal(folder=folder)
        placement = Local(patience=20.0)
        with Fleet(
            Numbered, url, TOPICS, shards=3, sink=sink, name="storm", placement=placement
        ) as fleet:
            draw = random.Random(arguments.seed)
            storm = Storm(fleet, draw, arguments.rate * len(TOPICS))
            if arguments.rounds is None:
                storm.run(arguments.seconds)
            else:
                storm.run_rounds(arguments.rounds)
            fleet._call(placement.stop())
            found = audit(fleet.nats, "storm", Path(folder))
    print(f"{found.count} updates, {sum(map(len, found.gaps.values()))} notices of gaps")
    print(
        f"{dict(storm.counts)}, the slowest: { {k: round(v, 2) for k, v in storm.slowest.items()} }"
    )
    for fault in found.faults[:20]:
        print("FAULT", fault)
    if not found.faults:
        print("nothing that was confirmed is missing, and nothing came twice")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
