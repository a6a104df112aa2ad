"""What it costs to ask for thousands of connections in one line, with and without max_connecting.

    python benchmarks/connecting.py              # 5,000 connections; 50 or 256 at a time, or all
    python benchmarks/connecting.py --delay 0.5 --limits 256 none --rounds 1

Each case is a process of its own, over loopback, with the server in another one. It asks for all
connections in one loop, waits until all are open, and says by how much the resident set has grown,
for each connection. With ``--delay`` the server takes its time for each answer, so that as many as
may be are in flight.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from reactor import Reactor, WebSocketProtocol
from reactor.tasks import sleep

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes of the resident set."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE


def raise_limit() -> None:
    """Have as many descriptors as there may be."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def serve(port: Any, delay: float) -> None:
    """Accept whoever comes, after some seconds, until the process is ended."""
    raise_limit()

    async def admit(request: Any, sock: Any) -> None:
        await sleep(delay)

    with Reactor() as loop:
        options: dict[str, Any] = {"max_handshakes": None, "ping_interval": None}
        if delay:
            options["process_request"] = admit
        port.send(loop.listen("127.0.0.1", 0, WebSocketProtocol, **options).port)
        loop.run_forever()


class Opened(WebSocketProtocol):
    """Counts those that are open."""

    open = 0

    def on_open(self) -> None:
        Opened.open += 1


def connect(port: int, count: int, limit: int | None) -> dict[str, float]:
    """Ask for all connections at once; return what it has cost."""
    raise_limit()
    with Reactor(max_connecting=limit) as loop:
        first = loop.connect(f"ws://127.0.0.1:{port}/", Opened)  # what is loaded and made only once
        while not Opened.open:
            loop.run_once(1.0)
        before, begun, cpu = resident(), time.monotonic(), time.process_time()
        asked = [loop.connect(first.url, Opened, connect_timeout=60.0) for _ in range(count)]
        while Opened.open <= count:
            loop.run_once(1.0)
        seconds, cpu = time.monotonic() - begun, time.process_time() - cpu
        after = resident()
        assert len(asked) == count
    return {
        "KB a connection": (after - before) / count / 1024,
        "CPU us a connection": cpu / count * 1e6,
        "seconds": seconds,
    }


def measure(port: int, count: int, limit: str) -> dict[str, float]:
    """Run one case in a process of its own."""
    case = json.dumps([port, count, None if limit == "none" else int(limit)])
    done = subprocess.run(
        [sys.executable, __file__, "--case", case], capture_output=True, text=True, check=True
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--limits", nargs="+", default=["50", "256", "none"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(connect(*arguments.case)))
        return
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    server = context.Process(target=serve, args=(its, arguments.delay), daemon=True)
    server.start()
    port = ours.recv()
    try:
        for limit in arguments.limits:
            rounds = [measure(port, arguments.count, limit) for _ in range(arguments.rounds)]
            print(f"max_connecting {limit}, {arguments.count} connections")
            for name in rounds[0]:
                values = [each[name] for each in rounds]
                low, high = min(values), max(values)
                print(f"  {name:<20} {statistics.median(values):9.2f} ({low:.2f} - {high:.2f})")
    finally:
        server.kill()


if __name__ == "__main__":
    main()
