"""The lock-step benchmark: what is measured, who takes part, and how.

The instrument for a few per cent: live runs on two noisy cores vary by 20 %, and a server of its
own leaves the client another number of messages in every turn. Here the peer (peer.c) runs in the
client's thread, and steps when all that it has sent was received. What is compared are the medians
of rounds in which the clients take turns; or instructions (:func:`count_instructions`), which no
other process changes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
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
    deflate: int = 0
    size: int = SIZE


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
    "echo-200-deflate": Scenario(1, 200, 200, 1, 40, deflate=1, size=1024),
}

PYTHON = sys.executable
PURE = {"REACTOR_PURE_PYTHON": "1"}
C = "c"
CLIENTS: dict[str, tuple[list[str], dict[str, str]]] = {
    C: ([str(BUILD / "lockstep")], {}),
    "reactor": ([PYTHON, str(HERE / "client_reactor.py")], {}),
    "reactor-pure": ([PYTHON, str(HERE / "client_reactor.py")], PURE),
    "reactor-ssl": ([PYTHON, str(HERE / "client_reactor.py")], {"REACTOR_PYTHON_TLS": "1"}),
    "reactor-isal": ([PYTHON, str(HERE / "client_reactor.py"), "--engine=isal"], {}),
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


def run(scenario: Scenario, client: str, under: tuple[str, ...] = ()) -> dict[str, float]:
    """Run a client, under another program if there is one; return what it reports.

    Raises:
        RuntimeError: the client has failed; the text is what it said.
    """
    command, environment = CLIENTS[client]
    options = [f"--{name}={value}" for name, value in scenario._asdict().items()]
    if client == C:
        options = [part for option in options for part in option.split("=")]
    done = subprocess.run(
        [*under, *command, *options],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env={**os.environ, **environment},
        preexec_fn=_on_the_last_core,
    )
    if done.returncode != 0 or not done.stdout:
        raise RuntimeError(f"{client}: {done.stderr.strip() or done.returncode}")
    report: dict[str, float] = json.loads(done.stdout)
    return report


def run_once(scenario: Scenario, client: str) -> float:
    """Return microseconds of CPU for each message."""
    report = run(scenario, client)
    return report["cpu_seconds"] / report["messages"] * 1e6


def count_instructions(scenario: Scenario, client: str) -> float:
    """Return instructions for each message: the process's, without the kernel's and the peer's.

    peer.c tells valgrind where the first step begins, and leaves itself out.
    """
    with tempfile.TemporaryDirectory() as folder:
        counted = Path(folder) / "callgrind.out"
        flags = (
            "--quiet",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={counted}",
        )
        report = run(scenario, client, ("valgrind", *flags))
        [total] = re.findall(r"^(?:summary|totals): (\d+)", counted.read_text(), re.M)[:1]
    return int(total) / report["messages"]


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
