"""What a timer costs that is set and cancelled, as nearly all timeouts are, among many live ones.

The live timers are due in 20 to 60 seconds, so that none expires. Patterns:

fresh   sets a timer and cancels it at once
random  cancels one of the live timers, taken at random, and sets another one in its place; this
        also measures how far apart in memory a scheduler looks

After each 1000 pairs the scheduler gets a turn, in which it may tidy up. Prints the CPU time per
pair as one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import heapq
import itertools
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import common

PAIRS_PER_TURN = 1000


def nothing() -> None:
    """The callback of all timers."""


class Table:
    """The live timers. `schedule(when, callback)` returns an object with `cancel()`."""

    def __init__(self, args: argparse.Namespace, schedule: Callable[..., Any], unit: float) -> None:
        """Fill the table; `unit` is what a second is in the units that `schedule` takes."""
        number = type(unit)
        source = random.Random(1)
        self.schedule = schedule
        self.turns = args.pairs // PAIRS_PER_TURN
        self.turn = self.fresh if args.pattern == "fresh" else self.random
        whens = [number(source.uniform(20, 60) * unit) for _ in range(args.timers)]
        self.timers = [schedule(when, nothing) for when in whens]
        slots = [source.randrange(args.timers) for _ in range(self.turns * PAIRS_PER_TURN)]
        self.pairs = zip(slots, itertools.cycle(whens), strict=False)
        gc.collect()
        self.started = time.process_time()

    def fresh(self) -> None:
        schedule = self.schedule
        for _, when in itertools.islice(self.pairs, PAIRS_PER_TURN):
            schedule(when, nothing).cancel()

    def random(self) -> None:
        schedule = self.schedule
        timers = self.timers
        for slot, when in itertools.islice(self.pairs, PAIRS_PER_TURN):
            timers[slot].cancel()
            timers[slot] = schedule(when, nothing)

    def report(self) -> None:
        seconds = time.process_time() - self.started
        pairs = self.turns * PAIRS_PER_TURN
        print(json.dumps({"pairs": pairs, "cpu_seconds": seconds}))


def wheel(args: argparse.Namespace) -> None:
    """Our TimerWheel alone."""
    from reactor.timers import TimerWheel

    wheel = TimerWheel()
    table = Table(args, wheel.schedule, 1000)
    for now in range(1, table.turns + 1):
        table.turn()
        assert not wheel.advance(now)
    table.report()


def call_later(args: argparse.Namespace) -> None:
    """Our wheel as users reach it: Reactor.call_later."""
    from reactor import Reactor

    loop = Reactor()
    table = Table(args, loop.call_later, 1.0)
    for _ in range(table.turns):
        table.turn()
        loop.run_once(0)
    table.report()


class HeapTimer:
    __slots__ = ("callback", "heap")

    def __init__(self, heap: Heap, callback: Callable[[], None]) -> None:
        self.heap = heap
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None
        self.heap.cancelled += 1


class Heap:
    """The usual heap of timers: cancelled ones stay in it until half of it is cancelled."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, int, HeapTimer]] = []
        self.count = itertools.count()
        self.cancelled = 0

    def schedule(self, when: float, callback: Callable[[], None]) -> HeapTimer:
        timer = HeapTimer(self, callback)
        heapq.heappush(self.entries, (when, next(self.count), timer))
        return timer

    def tidy_up(self) -> None:
        if self.cancelled * 2 > len(self.entries):
            self.entries = [entry for entry in self.entries if entry[2].callback is not None]
            heapq.heapify(self.entries)
            self.cancelled = 0


def heap(args: argparse.Namespace) -> None:
    """The standard library's heapq, with no event loop around it."""
    heap = Heap()
    table = Table(args, heap.schedule, 1.0)
    for _ in range(table.turns):
        table.turn()
        heap.tidy_up()
    table.report()


async def asyncio_call_later(args: argparse.Namespace) -> None:
    """loop.call_later of the event loop that runs this."""
    table = Table(args, asyncio.get_running_loop().call_later, 1.0)
    for _ in range(table.turns):
        table.turn()
        await asyncio.sleep(0)
    table.report()


def asyncio_loop(args: argparse.Namespace) -> None:
    asyncio.run(asyncio_call_later(args))


def uvloop_loop(args: argparse.Namespace) -> None:
    import uvloop

    uvloop.run(asyncio_call_later(args))


KINDS = {
    "wheel": wheel,
    "call_later": call_later,
    "heapq": heap,
    "asyncio": asyncio_loop,
    "uvloop": uvloop_loop,
}
PACKAGES = {"wheel": "reactor-websocket", "call_later": "reactor-websocket", "uvloop": "uvloop"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--pattern", choices=["fresh", "random"], default="fresh")
    parser.add_argument("--timers", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--versions", action="store_true", help="try the imports and exit")
    args = parser.parse_args()
    if args.versions:
        args.timers, args.pairs = 1, 0
        with contextlib.redirect_stdout(sys.stderr):
            KINDS[args.kind](args)
        package = PACKAGES.get(args.kind)
        print(json.dumps({package: common.version(package)} if package else {}))
    else:
        KINDS[args.kind](args)


if __name__ == "__main__":
    main()
