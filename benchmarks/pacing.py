"""``python benchmarks/pacing.py``: what ``Reactor(pacing=...)`` saves, and its price in latency.

A peer in a process of its own sends texts with the time in them, so many a second, to connections
in turn. The client takes them with and without naps, in turns; it prints the median of its CPU time
for each message, and of the latency from ``send()`` there to ``on_message`` here.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection as Pipe
from typing import NamedTuple

from reactor import Reactor, WebSocketProtocol

CONNECTIONS = 200
SIZE = 150


class Result(NamedTuple):
    """One run: microseconds of CPU for each message, and seconds of latency."""

    cpu: float
    p50: float
    p99: float


def send_texts(pipe: Pipe, rate: int, count: int) -> None:
    """The peer: accept all connections, then send *count* texts, *rate* a second."""
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, WebSocketProtocol)
        pipe.send(listener.port)
        while len(loop.connections) < CONNECTIONS:
            loop.run_once(1)
        pipe.recv()
        peers = [connection.protocol for connection in loop.connections]
        start, sent = time.monotonic(), 0
        while sent < count:
            due = min(count, int((time.monotonic() - start) * rate))
            while sent < due:
                text = repr(time.monotonic())
                peers[sent % CONNECTIONS].send(text.ljust(SIZE))
                sent += 1
            loop.run_once(0)
        while loop.connections:
            loop.run_once(1)


class Taker(WebSocketProtocol):
    """Notes how long each text took."""

    taken: list[float]

    def on_message(self, message: str | bytes) -> None:
        taken = self.taken
        taken.append(time.monotonic() - float(message))
        if len(taken) == taken_in_all:
            self.loop.stop()


taken_in_all = 0


def run(pacing: float, rate: int, count: int) -> Result:
    """Measure once."""
    global taken_in_all
    taken_in_all = count
    Taker.taken = []
    ours, theirs = multiprocessing.Pipe()
    peer = multiprocessing.get_context("spawn").Process(
        target=send_texts, args=(theirs, rate, count)
    )
    peer.start()
    with Reactor(pacing=pacing) as loop:
        url = f"ws://127.0.0.1:{ours.recv()}"
        takers = [loop.connect(url, Taker, ping_interval=None) for _ in range(CONNECTIONS)]
        while any(taker.state.name == "CONNECTING" for taker in takers):
            loop.run_once(1)
        ours.send("go")
        before = time.process_time()
        loop.run_forever()
        cpu = time.process_time() - before
    peer.join()
    percentiles = statistics.quantiles(Taker.taken, n=100)
    return Result(cpu / count * 1e6, percentiles[49], percentiles[98])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="10000,30000,60000")
    parser.add_argument("--pacings", default="0,0.0001,0.0002,0.0005")
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    pacings = [float(each) for each in args.pacings.split(",")]
    print("| messages/s | pacing | us of CPU | latency p50, us | p99, us |\n|---|---|---|---|---|")
    for rate in map(int, args.rates.split(",")):
        results: dict[float, list[Result]] = {pacing: [] for pacing in pacings}
        for _ in range(args.rounds):
            for pacing, found in results.items():
                found.append(run(pacing, rate, int(rate * args.seconds)))
        for pacing, found in results.items():
            cpu, p50, p99 = (statistics.median(each) for each in zip(*found, strict=True))
            print(
                f"| {rate:,} | {pacing:g} | {cpu:.2f} | {p50 * 1e6:.0f} | {p99 * 1e6:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
