"""A feed whose links are killed all the time: ``python -m tests.soak.feeds --seconds 300``.

2,000 topics on 100 links, each on two of them; the service, in a process of its own, kills 5 % of
its connections every second. No topic may be lost, no update come twice, every hole has to be told
before the update behind it, and memory has to be flat. Exit status 0: all is well; 1: it is not.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import time
from typing import Any

from reactor import Backoff, Reactor
from reactor.cli.collect import Collector
from reactor.cli.serving import raise_descriptor_limit
from reactor.feeds import Gap, TopicState, Update

from . import __main__ as soak

TOPICS, LINKS, REDUNDANCY = 2_000, 100, 2

#: Seconds after which memory has settled.
SETTLING = 60.0


class Soaked(Collector):
    """Checks every update against the one before."""

    topics_per_link = TOPICS * REDUNDANCY // LINKS
    redundancy = REDUNDANCY
    message_pace = None
    stale_after = 20.0

    def __init__(self, loop: Reactor, url: str, **options: Any) -> None:
        super().__init__(loop, url, **options)
        self.latest: dict[Any, int] = {}
        self.told: dict[Any, Gap] = {}
        self.holes = 0
        self.faults: list[str] = []

    def on_update(self, topic: Any, update: Update) -> None:
        super().on_update(topic, update)
        number, before = update.sequence, self.latest.get(topic)
        gap = self.told.pop(topic, None)
        self.latest[topic] = number
        if before is None:
            pass  # nobody knows what was missing before the first one
        elif number == before + 1:
            if gap is not None:
                self.faults.append(f"{topic}: a gap that is none, at {number}")
        elif number <= before:
            self.faults.append(f"{topic}: {number} after {before}")
        elif gap is None or gap.next is not update:
            self.faults.append(f"{topic}: {number} after {before}, and no gap was told")

    def on_gap(self, topic: Any, gap: Gap) -> None:
        self.holes += 1
        self.told[topic] = gap


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--kicks", type=float, default=0.05)
    arguments = parser.parse_args()
    raise_descriptor_limit()
    command = [sys.executable, "-m", "reactor", "exchange", "--port", "0", "--exit-with-stdin"]
    command += ["--kicks", str(arguments.kicks), "--rate", "1", "--ack-delay", "0.02"]
    command += ["--ack-twice", "0.1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        try:
            return _soak(child.stdout.readline().split()[-1], arguments.seconds)
        finally:
            child.stdin.close()
            child.wait(10)


def _soak(url: str, seconds: float) -> int:
    names = [f"T{number:04d}" for number in range(TOPICS)]
    memory: list[tuple[float, int]] = []
    with Reactor() as loop:
        feed = Soaked(loop, url, reconnect=Backoff(first=0.2, cap=2.0))
        feed.subscribe_many(names)
        begun = time.monotonic()

        def look() -> None:
            passed = time.monotonic() - begun
            gc.collect()
            memory.append((passed, soak.resident(soak.os.getpid())))
            stats = feed.stats()
            if int(passed) % 10 == 0:
                print(
                    f"{passed:6.0f}s  live {stats.topics['LIVE']}  links {stats.open_links}/"
                    f"{stats.links}  updates {stats.updates}  gaps {feed.holes}  "
                    f"memory {memory[-1][1] / 1e6:.1f} MB  faults {len(feed.faults)}",
                    flush=True,
                )
            if passed < seconds:
                loop.call_later(1.0, look)
            else:
                loop.stop()

        loop.call_later(1.0, look)
        loop.run_forever()
        # Whatever was just lost has half a minute to come back.
        until = time.monotonic() + 30
        while any(feed.state(name) is not TopicState.LIVE for name in names):
            if time.monotonic() > until:
                feed.faults.append("topics are lost")
                break
            loop.run_once(0.1)
        if len(feed.latest) != TOPICS:
            feed.faults.append(f"{TOPICS - len(feed.latest)} topics never had an update")
        feed.close()
    settled = [size for passed, size in memory if passed >= SETTLING]
    if len(settled) > 60:
        third = len(settled) // 3
        grown = min(settled[-third:]) - min(settled[:third])
        print(f"memory has grown by {grown / 1e6:.2f} MB since it has settled")
        if grown > soak.NOISE:
            feed.faults.append(f"memory has grown by {grown} bytes")
    for fault in feed.faults[:20]:
        print("FAULT", fault)
    print("all is well" if not feed.faults else f"{len(feed.faults)} faults")
    return 1 if feed.faults else 0


if __name__ == "__main__":
    sys.exit(main())
