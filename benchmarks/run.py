"""Runs the benchmarks and prints a table per scenario: the one command behind `make bench`.

Builds the server and the reference client, then runs the clients of a scenario in turn, `--rounds`
times: what slows the machine for a while slows all of them. Each run has a new server on a CPU of
its own (where there are two) and a new client process on another. See README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE / "build"
TIMEOUT = 60.0  # seconds that one client may take
LIMIT = "c"  # the client that the others are compared with


@dataclasses.dataclass(frozen=True)
class Scenario:
    title: str
    kind: str  # what the clients' --scenario gets, or "timers"
    per: str  # the count in the client's report by which its CPU time is divided
    unit: str
    factor: float  # from seconds (or bytes) to the unit
    connections: int = 0
    messages: int = 0  # per connection
    size: int = 150
    pattern: str = ""  # of the timers
    max_rounds: int = 1000


SCENARIOS = {
    "echo-200": Scenario(
        "Echo, 200 connections, 150 bytes", "echo", "messages", "us", 1e6, 200, 300
    ),
    "echo-1": Scenario(
        "Echo, 1 connection, 150 bytes", "echo", "messages", "us", 1e6, 1, 6000
    ),
    "fanin-200": Scenario(
        "Fan-in, 200 connections, 150 bytes", "fanin", "messages", "us", 1e6, 200, 1000
    ),
    "idle": Scenario(
        "Memory of an idle connection with keep-alive, 5,000 connections",
        "idle", "connections", "KB", 1e-3, 5000, max_rounds=3,
    ),
    "connect": Scenario(
        "Opening and closing a connection, 50 in flight", "connect", "connections", "us", 1e6, 1000
    ),
    "timers": Scenario(
        "Timer set and cancelled, 100,000 live", "timers", "pairs", "ns", 1e9, pattern="fresh"
    ),
    "timers-random": Scenario(
        "Live timer cancelled and another set, 100,000 live, in random order",
        "timers", "pairs", "ns", 1e9, pattern="random",
    ),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Client:
    command: tuple[str, ...]
    kinds: tuple[str, ...] = ("echo", "fanin", "idle", "connect")
    share: float = 1.0  # of the messages: less for the slow, to bound the time
    max_idle: int = 1_000_000  # connections in the idle scenario


CLIENTS = {
    "c": Client((str(BUILD / "client"),), ("echo", "fanin")),
    "reactor": Client(("client_reactor.py",)),
    "picows-uvloop": Client(("client_picows.py", "--loop", "uvloop")),
    "picows": Client(("client_picows.py",)),
    "aiohttp-uvloop": Client(("client_aiohttp.py", "--loop", "uvloop"), share=0.5),
    "aiohttp": Client(("client_aiohttp.py",), share=0.5),
    "websockets-uvloop": Client(("client_websockets.py", "--loop", "uvloop"), share=0.25),
    "websockets": Client(("client_websockets.py",), share=0.25),
    # Two threads per connection with keep-alive.
    "websocket-client": Client(("client_websocket_client.py",), share=0.25, max_idle=500),
    "wheel": Client(("timers.py", "--kind", "wheel"), ("timers",)),
    "call_later": Client(("timers.py", "--kind", "call_later"), ("timers",)),
    "heapq": Client(("timers.py", "--kind", "heapq"), ("timers",)),
    "asyncio": Client(("timers.py", "--kind", "asyncio"), ("timers",)),
    "uvloop": Client(("timers.py", "--kind", "uvloop"), ("timers",)),
}


class RunFailed(Exception):
    """A server or client did not do what it was asked; the message says why."""


# ---- one run ----


@contextlib.contextmanager
def pinned(index: int) -> Iterator[None]:
    """What is started in here runs on one CPU: the server on number 0, the clients on number 1."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(allowed)[index]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextlib.contextmanager
def server(*mode: object) -> Iterator[int]:
    """A load server; yields its port."""
    with pinned(0):
        process = subprocess.Popen(
            [BUILD / "server", *map(str, mode)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        assert process.stdout is not None
        word, _, port = process.stdout.readline().partition(" ")
        if word != "PORT":
            raise RunFailed("the server did not start")
        yield int(port)
    finally:
        process.kill()
        process.communicate()


def command_of(client: Client) -> list[str]:
    first, *rest = client.command
    return [sys.executable, str(HERE / first), *rest] if first.endswith(".py") else [first, *rest]


def run_client(command: list[str]) -> dict[str, Any]:
    """Run a client to its end; returns what it reported."""
    paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    with pinned(1):
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise RunFailed(f"no result after {TIMEOUT:.0f} seconds") from None
    finally:
        process.kill()
        process.communicate()
    if process.returncode != 0:
        raise RunFailed((err.strip() or f"exit status {process.returncode}").splitlines()[-1])
    report: dict[str, Any] = json.loads(out)
    return report


def run_once(scenario: Scenario, client: Client) -> dict[str, Any]:
    command = command_of(client)
    if scenario.kind == "timers":
        return run_client([*command, "--pattern", scenario.pattern])
    connections, messages = size_of(scenario, client)
    if scenario.kind == "fanin":
        mode: tuple[object, ...] = ("push", connections, messages, scenario.size)
    else:
        mode = ("idle" if scenario.kind == "idle" else "echo",)
    options = {
        "--scenario": scenario.kind,
        "--connections": connections,
        "--messages": messages,
        "--size": scenario.size,
    }
    with server(*mode) as port:
        options["--port"] = port
        return run_client([*command, *(str(word) for item in options.items() for word in item)])


def size_of(scenario: Scenario, client: Client) -> tuple[int, int]:
    """The connections, and the messages of each, for this client."""
    connections = scenario.connections
    if scenario.kind == "idle":
        connections = min(connections, client.max_idle)
    return connections, round(scenario.messages * client.share)


def value_of(scenario: Scenario, report: dict[str, Any]) -> float:
    """The figure for the table, in the unit of the scenario."""
    if scenario.kind == "idle":
        return float(report["bytes_per_connection"]) * scenario.factor
    return float(report["cpu_seconds"]) / int(report[scenario.per]) * scenario.factor


# ---- a scenario ----


def measure(
    name: str, scenario: Scenario, clients: list[str], rounds: int, seconds: float
) -> dict[str, Any]:
    """Run the clients in turn; returns {client: {"values": [...], "runs": [...]}}.

    No round starts that would not end within `seconds`, except for the first.
    """
    results: dict[str, Any] = {client: {"values": [], "runs": []} for client in clients}
    started = time.monotonic()
    for number in range(min(rounds, scenario.max_rounds)):
        round_started = time.monotonic()
        for client in list(results):
            try:
                report = run_once(scenario, CLIENTS[client])
            except RunFailed as failure:
                print(f"{name}: {client} failed in round {number + 1}: {failure}", file=sys.stderr)
                del results[client]
                continue
            results[client]["runs"].append(report)
            results[client]["values"].append(value_of(scenario, report))
        now = time.monotonic()
        if now - started + (now - round_started) > seconds:
            break
    return results


def rows_of(scenario: Scenario, results: dict[str, Any]) -> list[list[str]]:
    if not results:
        return []
    medians = {client: statistics.median(result["values"]) for client, result in results.items()}
    base = medians.get(LIMIT, min(medians.values()))
    rows = [["client", scenario.unit, "min..max", "ratio", "runs", "note"]]
    for client, median in medians.items():
        values = results[client]["values"]
        connections, messages = size_of(scenario, CLIENTS[client])
        note = ""
        if connections != scenario.connections:
            note = f"{connections:,} connections"
        elif messages != scenario.messages:
            note = f"{messages:,} messages per connection, not {scenario.messages:,}"
        digits = 0 if median >= 100 else 1 if median >= 10 else 2
        rows.append(
            [
                client,
                f"{median:.{digits}f}",
                f"{min(values):.{digits}f}..{max(values):.{digits}f}",
                f"{median / base:.2f}",
                str(len(values)),
                note,
            ]
        )
    return rows


def table(rows: list[list[str]], markdown: bool) -> str:
    if not rows:
        return "no client could run"
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def pad(row: list[str]) -> list[str]:
        cells = enumerate(zip(row, widths, strict=True))
        return [c.rjust(width) if 0 < i < 5 else c.ljust(width) for i, (c, width) in cells]

    padded = [pad(row) for row in rows]
    if not markdown:
        return "\n".join("  ".join(row).rstrip() for row in padded)
    rule = ["-" * width for width in widths]
    rule[1:5] = [dashes[1:] + ":" for dashes in rule[1:5]]
    lines = [padded[0], rule, *padded[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ---- the whole ----


def build() -> None:
    compiler = os.environ.get("CC") or shutil.which("cc") or "cc"
    BUILD.mkdir(exist_ok=True)
    for name in ("server", "client"):
        source, target = HERE / f"{name}.c", BUILD / name
        if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
            continue
        try:
            subprocess.run([compiler, "-O2", "-o", target, source], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"{name}.c was not compiled; it needs a C compiler on Linux: {error}")


def probe(clients: list[str]) -> tuple[list[str], dict[str, str]]:
    """Which clients can run here, and the versions of their packages."""
    able, versions = [], {}
    for name in clients:
        if name != LIMIT:
            try:
                versions.update(run_client([*command_of(CLIENTS[name]), "--versions"]))
            except RunFailed as failure:
                print(f"skipped: {name}: {failure}", file=sys.stderr)
                continue
        able.append(name)
    return able, versions


def machine() -> str:
    cpu = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            models = [line.partition(":")[2].strip() for line in file if "model name" in line]
        cpu = models[0] if models else cpu
    except OSError:
        pass
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} "
        f"{platform.release().partition('-')[0]}, {os.cpu_count()} x {cpu}"
    )


class Others:
    """How busy other processes, and other guests of the same host, keep the CPUs meanwhile."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.before = self.seconds()

    @staticmethod
    def seconds() -> float:
        try:
            with open("/proc/stat") as file:
                ticks = [int(word) for word in file.readline().split()[1:]]
        except OSError:
            return 0.0
        user, nice, system, _idle, _iowait, irq, softirq, steal = ticks[:8]
        busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        return busy - sum(os.times()[:4])  # ours: this process and the children that have ended

    def share(self) -> float:
        """In CPUs: 0.5 is half of one."""
        return max(0.0, (self.seconds() - self.before) / (time.monotonic() - self.started))


def names(known: dict[str, Any]) -> Any:
    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"not one of {', '.join(known)}: {unknown[0]}")
        return chosen

    return parse


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Client CPU and memory, beside other clients.")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each client (default: 5)")
    parser.add_argument(
        "--scenarios", type=names(SCENARIOS), default=list(SCENARIOS),
        help=f"comma-separated, of: {', '.join(SCENARIOS)}",
    )  # fmt: skip
    parser.add_argument(
        "--clients", type=names(CLIENTS), default=list(CLIENTS),
        help=f"comma-separated, of: {', '.join(CLIENTS)}",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="two rounds, a fifth of the work")
    parser.add_argument(
        "--seconds", type=float, default=55.0,
        help="no further round of a scenario would end later than this (default: 55)",
    )  # fmt: skip
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write every run here")
    parser.add_argument("--markdown", type=pathlib.Path, metavar="FILE", help="write tables here")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    if args.quick:
        args.rounds = min(args.rounds, 2)
    return args


def quicker(scenario: Scenario) -> Scenario:
    if scenario.kind == "idle":
        title = scenario.title.replace("5,000", "1,000")
        return dataclasses.replace(scenario, title=title, connections=1000)
    return dataclasses.replace(scenario, messages=scenario.messages // 5)


def main() -> None:
    args = arguments()
    build()
    scenarios = {name: SCENARIOS[name] for name in args.scenarios}
    if args.quick:
        scenarios = {name: quicker(scenario) for name, scenario in scenarios.items()}
    kinds = {scenario.kind for scenario in scenarios.values()}
    clients, versions = probe([name for name in args.clients if kinds & set(CLIENTS[name].kinds)])
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    packages = [f"{package} {version}" for package, version in sorted(versions.items())]
    about = ", ".join([date, machine(), *packages])
    print(about)
    text = [about]
    everything: dict[str, Any] = {"about": about, "scenarios": {}}
    for name, scenario in scenarios.items():
        able = [client for client in clients if scenario.kind in CLIENTS[client].kinds]
        others = Others()
        results = measure(name, scenario, able, args.rounds, args.seconds)
        rows = rows_of(scenario, results)
        busy = f"Other processes took {others.share():.2f} CPU meanwhile."
        what = "" if scenario.kind == "idle" else f" of CPU per {scenario.per[:-1]}"
        title = f"{scenario.title} ({scenario.unit}{what})"
        print(f"\n{title}\n{table(rows, markdown=False)}\n{busy}", flush=True)
        text.append(f"### {title}\n\n{table(rows, markdown=True)}\n\n{busy}")
        everything["scenarios"][name] = {
            "title": title,
            "unit": scenario.unit,
            "others": busy,
            "clients": results,
        }
    if args.json:
        args.json.write_text(json.dumps(everything, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text("\n\n".join(text) + "\n")


if __name__ == "__main__":
    main()
