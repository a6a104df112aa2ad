"""What the cyclic garbage collector costs a program with many connections that keep objects.

    python benchmarks/collector.py                      # 5,000 connections, every recipe
    python benchmarks/collector.py --count 15000 --recipes default threshold

Each recipe of docs/how-to/garbage-collector.md has a process of its own, over loopback, with the
server in another one. When all connections are open, the recipe is applied to what is there. Then
messages come, and the handlers keep what they have parsed; the collector runs by the number of
objects that are new and kept. The table has the longest pause, the time in the collector for each
message, and all CPU time for each message: the median of the rounds, and their range.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from connecting import raise_limit

from reactor import Reactor, WebSocketProtocol

MESSAGE = json.dumps({"topic": "T1", "sequence": 1, "best": [101.5, 101.6], "size": 3})


def freeze() -> None:
    """Have the collector look no more at what is there."""
    gc.collect()
    gc.freeze()


def raise_thresholds() -> None:
    """Have the collector look less often."""
    gc.set_threshold(50_000, 20, 100)


def freeze_survivors() -> None:
    """Freeze what is there, and from now on what a collection of the middle generation leaves."""

    def collected(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] >= 1:
            gc.freeze()

    freeze()
    gc.callbacks.append(collected)


RECIPES: dict[str, Callable[[], None]] = {
    "default": gc.collect,  # type: ignore[dict-item]  # its result is of no interest
    "freeze": freeze,
    "threshold": raise_thresholds,
    "survivors": freeze_survivors,
}


class Sender(WebSocketProtocol):
    """The server's side: sends as many messages as it is asked for."""

    def on_message(self, message: str | bytes) -> None:
        for _ in range(int(message)):
            self.send(MESSAGE)


def serve(port: Any) -> None:
    """Serve until the process is ended."""
    raise_limit()
    gc.disable()
    with Reactor() as loop:
        options: dict[str, Any] = {"max_handshakes": None, "ping_interval": None}
        port.send(loop.listen("127.0.0.1", 0, Sender, **options).port)
        loop.run_forever()


class Keeper(WebSocketProtocol):
    """Keeps what it has parsed."""

    opened = received = 0

    def on_open(self) -> None:
        Keeper.opened += 1
        self.kept: list[Any] = []

    def on_message(self, message: str | bytes) -> None:
        Keeper.received += 1
        self.kept.append(json.loads(message))


class Pauses:
    """Measures each run of the collector, in CPU time: other processes are none of its business."""

    def __init__(self) -> None:
        self.longest = self.total = self._began = 0.0
        self.count = 0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        """See gc.callbacks."""
        if phase == "start":
            self._began = time.thread_time()
            return
        pause = time.thread_time() - self._began
        self.longest = max(self.longest, pause)
        self.total += pause
        self.count += 1


def ask(loop: Reactor, keepers: list[Keeper], each: int) -> None:
    """Have every connection sent so many messages, and wait for them; some hundred at a time."""
    for start in range(0, len(keepers), 200):
        wanted = Keeper.received
        for keeper in keepers[start : start + 200]:
            keeper.send(str(each))
            wanted += each
        while Keeper.received < wanted:
            loop.run_once(1.0)


def measure(port: int, count: int, messages: int, recipe: str) -> dict[str, float]:
    """Open the connections, and measure with one recipe."""
    raise_limit()
    with Reactor() as loop:
        url = f"ws://127.0.0.1:{port}/"
        options: dict[str, Any] = {"proxy": None, "ping_interval": None, "connect_timeout": 120.0}
        keepers = [loop.connect(url, Keeper, **options) for _ in range(count)]
        while Keeper.opened < count:
            loop.run_once(1.0)
        RECIPES[recipe]()
        pauses = Pauses()
        gc.callbacks.append(pauses)
        cpu, before = time.process_time(), Keeper.received
        ask(loop, keepers, messages)
        cpu, received = time.process_time() - cpu, Keeper.received - before
        gc.callbacks.remove(pauses)
    return {
        "longest pause, ms": pauses.longest * 1e3,
        "pauses": float(pauses.count),
        "collector, us a message": pauses.total / received * 1e6,
        "all CPU, us a message": cpu / received * 1e6,
    }


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--keep", type=int, default=40, help="messages for each connection")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(*arguments.case)))
        return
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    server = context.Process(target=serve, args=(its,), daemon=True)
    server.start()
    port = ours.recv()
    try:
        figures: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.recipes}
        for _ in range(arguments.rounds):
            for recipe, rounds in figures.items():
                case = json.dumps([port, arguments.count, arguments.keep, recipe])
                command = [sys.executable, __file__, "--case", case]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                rounds.append(json.loads(done.stdout))
    finally:
        server.kill()
    print(f"{arguments.count} connections, each keeps {arguments.keep} messages; {sys.version}")
    for recipe, rounds in figures.items():
        print(recipe)
        for name in rounds[0]:
            values = [each[name] for each in rounds]
            low, high = min(values), max(values)
            print(f"  {name:<24} {statistics.median(values):9.2f} ({low:.2f} - {high:.2f})")


if __name__ == "__main__":
    main()
