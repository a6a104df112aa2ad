"""What all the Python clients share: the command line, the clock and the output.

Not a client itself. It imports no WebSocket library, so that no client pays for another's imports.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.metadata
import itertools
import json
import os
import random
import resource
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

IN_FLIGHT = 50  # connections that are being opened at the same time
PING_INTERVAL = 20.0  # seconds; keep-alive in the scenarios idle and idle-cpu
PING_TIMEOUT = 10.0  # seconds
SETTLE = 10.0  # seconds before idle-cpu measures one interval: the pings come in its middle
END = "end"  # the last message that the pushing server sends to each client
KINDS = ("echo", "fanin", "idle", "idle-cpu", "connect", "blocking")
DISTINCT = 1021  # texts that take turns with compression: prime, so that none comes again soon


def arguments(*packages: str, loops: bool = False) -> argparse.Namespace:
    """Read the command line and raise the limit on file descriptors.

    Parameters:
        packages: distributions whose versions `--versions` prints.
        loops: whether there is a choice of asyncio's own event loop or uvloop.

    Returns the options, with `url` and `context` (an SSLContext, or None) added.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--scenario", choices=KINDS)
    parser.add_argument("--port", type=int)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--messages", type=int, default=100, help="per connection")
    parser.add_argument("--size", type=int, default=150, help="bytes per message")
    parser.add_argument("--idle", type=int, default=0, help="further connections, silent")
    parser.add_argument("--tls", metavar="FILE", help="TLS; the certificate of the server")
    parser.add_argument("--resume", action="store_true", help="resume TLS sessions")
    parser.add_argument("--deflate", action="store_true", help="permessage-deflate, JSON texts")
    parser.add_argument(
        "--seconds", type=float, default=PING_INTERVAL, help="how long idle-cpu measures"
    )
    parser.add_argument("--versions", action="store_true", help="print versions and exit")
    if loops:
        parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    args = parser.parse_args()
    if loops and args.loop == "uvloop":
        __import__("uvloop")
        packages += ("uvloop",)
    if args.versions:
        print(json.dumps({name: version(name) for name in packages}))
        sys.exit()
    if args.scenario is None or args.port is None:
        parser.error("--scenario and --port are required")
    args.url = f"{'wss' if args.tls else 'ws'}://127.0.0.1:{args.port}/"
    # One for all connections: everything else is much slower, and takes much more memory.
    args.context = ssl.create_default_context(cafile=args.tls) if args.tls else None
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return args


def payloads(args: argparse.Namespace) -> Iterator[str]:
    """What the connections send, one text after the other, without end."""
    if args.deflate:
        return itertools.cycle(json_texts(args.size))
    return itertools.repeat("x" * args.size)


def json_texts(size: int) -> list[str]:
    """DISTINCT texts of `size` ASCII characters as an exchange sends them, always the same."""
    source = random.Random(1)

    def text(number: int) -> str:
        levels: list[list[str]] = []
        while True:
            order = {"channel": "book", "symbol": "ABC-XYZ", "number": number, "levels": levels}
            line = json.dumps(order)
            if len(line) > size - 40:
                return line + " " * (size - len(line))
            levels.append([f"{source.uniform(90, 110):.2f}", f"{source.expovariate(0.5):.4f}"])

    return [text(1000 + number) for number in range(DISTINCT)]


def version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "source"


def require_compiled(compiled: bool) -> None:
    """Ours is measured twice: the run that is to be compiled must not be pure unnoticed."""
    if not compiled and os.environ.get("REACTOR_PURE_PYTHON", "0") in ("", "0"):
        sys.exit("the compiled part of reactor is not built: pip install -e . with a C compiler")


class Meter:
    """CPU (user + system, all threads of this process) and wall time since it was created."""

    def __init__(self) -> None:
        gc.collect()
        self.wall = time.monotonic()
        self.cpu = time.process_time()

    def report(self, **counts: int) -> None:
        cpu = time.process_time() - self.cpu
        wall = time.monotonic() - self.wall
        print(json.dumps({**counts, "cpu_seconds": cpu, "wall_seconds": wall}))


class MemoryMeter:
    """Growth of the resident set since it was created."""

    def __init__(self) -> None:
        self.before = self.resident()

    @staticmethod
    def resident() -> int:
        gc.collect()
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def report(self, connections: int) -> None:
        grown = self.resident() - self.before
        print(json.dumps({"connections": connections, "bytes_per_connection": grown / connections}))


def check(received: int, args: argparse.Namespace) -> None:
    """Every message must have arrived."""
    expected = args.connections * args.messages
    if received != expected:
        sys.exit(f"{received} messages arrived instead of {expected}")


def run_asyncio(main: Callable[[argparse.Namespace], Coroutine[Any, Any, None]], args: Any) -> None:
    if args.loop == "uvloop":
        import uvloop

        uvloop.run(main(args))
    else:
        asyncio.run(main(args))


async def repeat(count: int, step: Callable[[], Awaitable[T]]) -> list[T]:
    """The results of `count` calls of `step`, of which at most IN_FLIGHT run at the same time."""
    results: list[T] = []
    started = 0

    async def worker() -> None:
        nonlocal started
        while started < count:
            started += 1
            results.append(await step())

    await asyncio.gather(*(worker() for _ in range(min(count, IN_FLIGHT))))
    return results
