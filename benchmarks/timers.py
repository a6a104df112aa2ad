"""What timers cost, among many live ones.

fresh   sets a timer and cancels it at once, as happens to nearly all timeouts
random  cancels one of the live timers, taken at random, and sets another one in its place; this
        also measures how far apart in memory a scheduler looks
expire  lets all of them expire together, after the process has not looked for a second

The live timers of the first two are due in 20 to 60 seconds, so that none expires; after each
1000 pairs the scheduler gets a turn, in which it may tidy up. Prints the CPU time of all pairs (of
the expiry: of all timers) as one line of JSON.
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
from collections.abc import Callable, Iterator
from typing import Any

import common

PAIRS_PER_TURN = 1000
DUE = {"fresh": (20.0, 60.0), "random": (20.0, 60.0), "expire": (0.3, 1.3)}  # seconds from now


class Table:
    """The live timers. `schedule(when, callback)` returns an object with `cancel()`."""

    def __init__(
        self, args: argparse.Namespace, schedule: Callable[..., Any], second: float, clock: bool
    ) -> None:
        """Fill the table.

        Parameters:
            args: the command line.
            schedule: sets a timer.
            second: what a second is in the units that `schedule` takes.
            clock: whether the timers go by the clock, so that expiry has to be waited for.
        """
        number = type(second)
        source = random.Random(1)
        first, last = DUE[args.pattern]
        self.schedule = schedule
        self.pattern = args.pattern
        self.fired = itertools.count()
        self.pairs = args.pairs - args.pairs % PAIRS_PER_TURN
        self.whens = [number(source.uniform(first, last) * second) for _ in range(args.timers)]
        self.slots = [source.randrange(args.timers) for _ in range(self.pairs)]
        callback = self.fired.__next__
        self.timers = [schedule(when, callback) for when in self.whens]
        self.wait = last + 0.1 if clock else 0.0

    def turns(self) -> Iterator[None]:
        """Do what is measured, and report it; whenever this yields, the scheduler has a turn."""
        if self.pattern == "expire":
            time.sleep(self.wait)
        gc.collect()
        started = time.process_time()
        if self.pattern == "expire":
            yield
        else:
            step = self.fresh if self.pattern == "fresh" else self.random
            work = zip(self.slots, itertools.cycle(self.whens), strict=False)
            for _ in range(self.pairs // PAIRS_PER_TURN):
                step(itertools.islice(work, PAIRS_PER_TURN))
                yield
        seconds = time.process_time() - started
        expired = next(self.fired)
        expected = len(self.timers) if self.pattern == "expire" else 0
        if expired != expected:
            sys.exit(f"{expired} timers have expired instead of {expected}")
        print(json.dumps({"pairs": self.pairs, "timers": expired, "cpu_seconds": seconds}))

    def fresh(self, work: Iterator[tuple[int, float]]) -> None:
        schedule = self.schedule
        for _, when in work:
            schedule(when, nothing).cancel()

    def random(self, work: Iterator[tuple[int, float]]) -> None:
        schedule = self.schedule
        timers = self.timers
        for slot, when in work:
            timers[slot].cancel()
            timers[slot] = schedule(when, nothing)


def nothing() -> None:
    """The callback of the timers that are cancelled."""


def wheel(args: argparse.Namespace) -> None:
    """Our TimerWheel alone."""
    from reactor.timers import TimerWheel

    wheel = TimerWheel()
    table = Table(args, wheel.schedule, 1000, clock=False)
    step = 10_000 if args.pattern == "expire" else 1
    for turn, _ in enumerate(table.turns(), 1):
        for timer in wheel.advance(turn * step):
            timer.fire()


def call_later(args: argparse.Namespace) -> None:
    """Our wheel as users reach it: Reactor.call_later."""
    from reactor import Reactor

    loop = Reactor()
    for _ in Table(args, loop.call_later, 1.0, clock=True).turns():
        loop.run_once(0)


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

    def expire(self, now: float) -> None:
        while self.entries and self.entries[0][0] <= now:
            callback = heapq.heappop(self.entries)[2].callback
            if callback is not None:
                callback()

    def tidy_up(self) -> None:
        if self.cancelled * 2 > len(self.entries):
            self.entries = [entry for entry in self.entries if entry[2].callback is not None]
            heapq.heapify(self.entries)
            self.cancelled = 0


def heap(args: argparse.Namespace) -> None:
    """The standard library's heapq, with no event loop around it."""
    heap = Heap()
    for turn, _ in enumerate(Table(args, heap.schedule, 1.0, clock=False).turns(), 1):
        heap.tidy_up()
        heap.expire(turn * 10.0 if args.pattern == "expire" else 0.0)


async def asyncio_call_later(args: argparse.Namespace) -> None:
    """loop.call_later of the event loop that runs this."""
    for _ in Table(args, asyncio.get_running_loop().call_later, 1.0, clock=True).turns():
        await asyncio.sleep(0)  # what is due now runs in the next turn,
        if args.pattern == "expire":
            await asyncio.sleep(0)  # which has ended when this returns


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
    parser.add_argument("--pattern", choices=list(DUE), default="fresh")
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
