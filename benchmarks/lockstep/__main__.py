"""``python benchmarks/lockstep``: clients with the same batches to deal with, in the peer's thread.

The instrument for a few per cent: live runs on two noisy cores vary by 20 %, and a server of its
own leaves the client another number of messages in every turn. Here the peer (peer.c) runs in the
client's thread, and steps when all that it has sent was received. What is compared are the medians
of rounds in which the clients take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
BUILD = HERE.parent / "build"
TIMEOUT = 120.0
SIZE = 150


class Scenario(NamedTuple):
    """How many messages are ready at a time, and how often."""

    echo: int
    connections: int
    ready: int  # of the connections, in each step
    per: int  # messages for each of these, in one write
    rounds: int
    tls: int = 0


SCENARIOS = {
    "echo-200": Scenario(1, 200, 200, 1, 60),
    "echo-200/32": Scenario(1, 200, 32, 1, 400),
    "echo-200/8": Scenario(1, 200, 8, 1, 1500),
    "echo-1": Scenario(1, 1, 1, 1, 8000),
    "fanin-200": Scenario(0, 200, 200, 1, 80),
    "fanin-200x3": Scenario(0, 200, 200, 3, 50),
    "echo-200-tls": Scenario(1, 200, 200, 1, 60, 1),
    "echo-1-tls": Scenario(1, 1, 1, 1, 6000, 1),
    "fanin-200-tls": Scenario(0, 200, 200, 1, 80, 1),
    "fanin-200x3-tls": Scenario(0, 200, 200, 3, 50, 1),
}

PYTHON = sys.executable
PURE = {"REACTOR_PURE_PYTHON": "1"}
C = "c"
CLIENTS: dict[str, tuple[list[str], dict[str, str]]] = {
    C: ([str(BUILD / "lockstep")], {}),
    "reactor": ([PYTHON, str(HERE / "client_reactor.py")], {}),
    "reactor-pure": ([PYTHON, str(HERE / "client_reactor.py")], PURE),
    "reactor-ssl": ([PYTHON, str(HERE / "client_reactor.py")], {"REACTOR_PYTHON_TLS": "1"}),
    "reactor-uring": ([PYTHON, str(HERE / "client_reactor.py")], {"REACTOR_BACKEND": "io_uring"}),
    "picows": ([PYTHON, str(HERE / "client_picows.py")], {}),
}
# reactor.asyncio, websockets, aiohttp, and hosted handlers; for example "aiohttp-uvloop".
for library in ("asyncio", "websockets", "aiohttp", "handlers"):
    for loop in ("asyncio", "uvloop"):
        name = "reactor" if library == "asyncio" else library
        CLIENTS[f"{library}-{loop}"] = (
            [PYTHON, str(HERE / "client_asyncio.py"), "--library", name, "--loop", loop],
            {},
        )


def build() -> None:
    """Compile the peer and the reference client, where they are older than their sources."""
    compiler = os.environ.get("CC") or shutil.which("cc") or "cc"
    BUILD.mkdir(exist_ok=True)
    sources = [*HERE.glob("*.c"), *HERE.parent.glob("*.h")]
    newest = max(path.stat().st_mtime for path in sources)
    for target, flags in (("peer.so", ["-shared", "-fPIC", "peer.c"]), ("lockstep", ["client.c"])):
        path = BUILD / target
        if not path.exists() or path.stat().st_mtime < newest:
            command = [compiler, "-O2", *flags, "-o", str(path), "-lpthread"]
            tls = subprocess.run([*command, "-lssl", "-lcrypto"], cwd=HERE, capture_output=True)
            if tls.returncode != 0:
                subprocess.run([*command, "-DNO_TLS"], cwd=HERE, check=True)
                print(f"{target} was compiled without TLS: no OpenSSL headers?", file=sys.stderr)


def run_once(scenario: Scenario, client: str) -> float:
    """Return microseconds of CPU for each message.

    Raises:
        RuntimeError: the client has failed; the text is what it said.
    """
    command, environment = CLIENTS[client]
    options = [f"--{name}={value}" for name, value in scenario._asdict().items()]
    if client == C:
        options = [part for option in options for part in option.split("=")] + ["--size", str(SIZE)]
    else:
        options.append(f"--size={SIZE}")
    done = subprocess.run(
        [*command, *options],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env={**os.environ, **environment},
        preexec_fn=_on_the_last_core,
    )
    if done.returncode != 0 or not done.stdout:
        raise RuntimeError(f"{client}: {done.stderr.strip() or done.returncode}")
    result = json.loads(done.stdout)
    return float(result["cpu_seconds"]) / int(result["messages"]) * 1e6


def _on_the_last_core() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def measure(name: str, clients: list[str], rounds: int) -> dict[str, list[float]]:
    """Return the figures of each client, round by round; every other round in reverse order."""
    figures: dict[str, list[float]] = {client: [] for client in clients}
    for round_ in range(rounds):
        for client in clients if round_ % 2 == 0 else reversed(clients):
            figures[client].append(run_once(SCENARIOS[name], client))
    return figures


def ratio(figures: list[float], limit: list[float]) -> float:
    """Return how many times the reference: the median of the ratios within each round."""
    return statistics.median(own / other for own, other in zip(figures, limit, strict=True))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python benchmarks/lockstep", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clients", default="reactor,reactor-pure,picows")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    args = parser.parse_args()
    build()
    clients = [C, *args.clients.split(",")]
    print(f"us of CPU a message ({SIZE} bytes), and times the C client")
    for name in args.scenarios.split(","):
        figures = measure(name, clients, args.rounds)
        row = [f"{C} {statistics.median(figures[C]):.2f}"]
        for client in clients[1:]:
            times = ratio(figures[client], figures[C])
            row.append(f"{client} {statistics.median(figures[client]):.2f} (x{times:.2f})")
        print(f"{name:<12}", "   ".join(row), flush=True)


if __name__ == "__main__":
    main()
