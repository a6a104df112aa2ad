"""See the package. Exit status 0: all is well; 1: it is not."""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reactor import Backoff, Reactor, WebSocketProtocol

from ..support.certificates import Authority

#: Seconds after which memory has settled: every pool and cache has been in use, and the heap of the
#: server has found its size. It goes from 38 to 46 MB in the first five minutes, and is at 47 after
#: twelve.
SETTLING = 240.0

#: How much more memory than then is noise: glibc's and pymalloc's own.
NOISE = 4_000_000

#: Seconds between messages of a connection.
PACE = 0.5


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


class Soaked(WebSocketProtocol):
    """Sends numbers, and checks that their echoes come in order."""

    live = opens = ends = echoes = faults = 0

    def __init__(self) -> None:
        self.sent = 0
        self.seen = 0
        self.up = False

    def on_open(self) -> None:
        """See WebSocketProtocol."""
        self.up = True
        Soaked.live += 1
        Soaked.opens += 1
        self.seen = self.sent  # echoes of what an earlier connection sent are lost with it
        self.loop_tick()

    on_reconnect = on_open

    def loop_tick(self) -> None:
        """Send the next number."""
        if self.up:
            self.sent += 1
            self.send(f"{self.sent}:" + "x" * (self.sent * 37 % 3000))

    def on_message(self, message: str | bytes) -> None:
        """See WebSocketProtocol."""
        self.seen += 1
        Soaked.echoes += 1
        if message != f"{self.seen}:" + "x" * (self.seen * 37 % 3000):
            Soaked.faults += 1
            print(f"expected {self.seen}, got {message[:20]!r}", file=sys.stderr)

    def on_close(self, code: int | None, reason: str) -> None:
        """See WebSocketProtocol."""
        if self.up:
            self.up = False
            Soaked.live -= 1
            Soaked.ends += 1


def soak(url: str, sslopt: dict[str, str], server: int, args: argparse.Namespace) -> bool:
    """Run it. Returns whether all is well."""
    began = time.monotonic()
    memory: list[tuple[float, int, int]] = []
    with Reactor() as loop:
        backoff = Backoff(first=0.05, cap=0.5)
        protocols = [
            loop.connect(url, Soaked, sslopt=sslopt, reconnect=backoff, ping_interval=5)
            for _ in range(args.connections)
        ]

        def tick() -> None:
            loop.call_later(PACE, tick)
            for protocol in protocols:
                protocol.loop_tick()

        def look() -> None:
            loop.call_later(5, look)
            memory.append((time.monotonic() - began, resident(os.getpid()), resident(server)))
            seconds, ours, theirs = memory[-1]
            print(
                f"{seconds:5.0f} s  {Soaked.live}/{args.connections} open, {Soaked.opens} opens, "
                f"{Soaked.echoes} echoes; {ours / 1e6:.1f} MB here, {theirs / 1e6:.1f} MB there",
                flush=True,
            )

        loop.call_later(PACE, tick)
        loop.call_later(5, look)
        loop.call_later(args.seconds, loop.stop)
        loop.run_forever()
        live, ends = Soaked.live, Soaked.ends
    print(f"{ends} connections ended and opened anew, {Soaked.faults} faults, {live} open")
    return judge(memory, live, args)


def judge(memory: list[tuple[float, int, int]], live: int, args: argparse.Namespace) -> bool:
    """Print the verdict; returns it."""
    good = Soaked.faults == 0 and live > 0.8 * args.connections
    settled = [row for row in memory if row[0] >= SETTLING]
    for name, column in (("here", 1), ("there", 2)):
        if len(settled) < 12:
            print(f"memory {name}: the run is too short to judge")
            continue
        first = statistics.median(row[column] for row in settled[:6])
        last = statistics.median(row[column] for row in settled[-6:])
        flat = last - first < NOISE
        good = good and flat
        print(f"memory {name}: {(last - first) / 1e6:+.2f} MB  {'ok' if flat else 'GROWS'}")
    return good


def main() -> int:
    """Start the server and soak."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--kills", type=float, default=0.05, help="share a second")
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as name:
        authority = Authority(Path(name))
        command = [sys.executable, "-m", "tests.soak.server", *authority.write(Path(name))]
        with subprocess.Popen(
            [*command, "--kills", str(args.kills)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as server:
            assert server.stdout is not None
            try:
                url = f"wss://127.0.0.1:{server.stdout.readline().strip()}/"
                good = soak(url, authority.sslopt, server.pid, args)
            finally:
                server.communicate("over\n", timeout=10)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
