"""Runs one client against one server: two processes, each on a CPU of its own where there are two.

Whatever is started here is stopped here, by its own process object. See README.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from scenarios import BUILD, CLIENTS, HERE, LIMIT, Client, Scenario

TIMEOUT = 120.0  # seconds that one client may take
CERTIFICATE = BUILD / f"certificate-{os.getpid()}.pem"  # of the server that runs now: it writes it
FEWEST = 50  # messages per connection, or the first and the last would count for too much
HEADERS = ("buffer.h", "frames.h", "handshake.h", "tls.h")


class RunFailed(Exception):
    """A server or client did not do what it was asked; the message says why."""


def build() -> None:
    """Compile the server and the reference client, where they are older than their sources."""
    compiler = os.environ.get("CC") or shutil.which("cc") or "cc"
    BUILD.mkdir(exist_ok=True)
    newest_header = max((HERE / name).stat().st_mtime for name in HEADERS)
    for name in ("server", "client"):
        source, target = HERE / f"{name}.c", BUILD / name
        if target.exists() and target.stat().st_mtime > max(source.stat().st_mtime, newest_header):
            continue
        command = [compiler, "-O2", "-o", str(target), str(source)]
        try:
            tls = subprocess.run([*command, "-lssl", "-lcrypto"], capture_output=True)
            if tls.returncode != 0:
                subprocess.run([*command, "-DNO_TLS"], check=True)
                print(f"{name}.c was compiled without TLS: no OpenSSL headers?", file=sys.stderr)
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"{name}.c was not compiled; it needs a C compiler on Linux: {error}")


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
        CERTIFICATE.unlink(missing_ok=True)


def command_of(client: Client) -> list[str]:
    first, *rest = client.command
    return [sys.executable, str(HERE / first), *rest] if first.endswith(".py") else [first, *rest]


def run_client(client: Client, arguments: list[str]) -> dict[str, Any]:
    """Run a client to its end; returns what it reported."""
    paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    environment["REACTOR_PURE_PYTHON"] = "1" if client.pure else "0"
    with pinned(1):
        process = subprocess.Popen(
            [*command_of(client), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
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
    """One run of one client, with a server of its own; returns what the client reported."""
    options: dict[str, object]
    if scenario.kind == "timers":
        # Enough for a heap to throw out its cancelled timers, which it does when they are half.
        pairs = max(200_000, scenario.timers + scenario.timers // 50)
        options = {"--pattern": scenario.pattern, "--timers": scenario.timers, "--pairs": pairs}
        return run_client(client, words(options))
    connections, messages = size_of(scenario, client)
    mode: list[object] = []
    options = {
        "--scenario": scenario.kind,
        "--connections": connections,
        "--messages": messages,
        "--size": scenario.size,
        "--idle": scenario.idle,
    }
    flags = []
    if scenario.tls:
        mode += ["--tls", CERTIFICATE]
        options["--tls"] = CERTIFICATE
    if scenario.resume:
        mode.append("--tickets")
        flags.append("--resume")
    if scenario.deflate:
        mode.append("--deflate")
        flags.append("--deflate")
    if scenario.kind == "fanin":
        mode += ["push", connections, messages, scenario.size]
    else:
        mode.append("idle" if scenario.kind.startswith("idle") else "echo")
    with server(*mode) as port:
        options["--port"] = port
        return run_client(client, [*words(options), *flags])


def words(options: dict[str, object]) -> list[str]:
    return [str(word) for option in options.items() for word in option]


def size_of(scenario: Scenario, client: Client) -> tuple[int, int]:
    """The connections, and the messages of each, for this client."""
    connections = min(scenario.connections, client.max_connections)
    fewest = min(scenario.messages, FEWEST)
    return connections, max(round(scenario.messages * client.share), fewest)


def value_of(scenario: Scenario, report: dict[str, Any]) -> float:
    """The figure for the table, in the unit of the scenario."""
    if scenario.kind == "idle":
        return float(report["bytes_per_connection"]) * scenario.factor
    return float(report["cpu_seconds"]) / float(report[scenario.per]) * scenario.factor


def probe(clients: list[str]) -> tuple[list[str], dict[str, str]]:
    """Which clients can run here, and the versions of their packages."""
    able, versions = [], {}
    for name in clients:
        if name != LIMIT:
            try:
                versions.update(run_client(CLIENTS[name], ["--versions"]))
            except RunFailed as failure:
                print(f"skipped: {name}: {failure}", file=sys.stderr)
                continue
        able.append(name)
    return able, versions


def measure(
    name: str, scenario: Scenario, clients: list[str], rounds: int, seconds: float
) -> dict[str, Any]:
    """Run the clients in turn: what slows the machine for a while slows all of them.

    Parameters:
        name: of the scenario, for messages.
        scenario: what to run.
        clients: who takes part.
        rounds: runs of each client, at most.
        seconds: no round but the first starts that would not end within this time.

    Returns {client: {"values": [...], "runs": [...], "failed": why}}; who has failed once, with
    a reason other than "", is left out of the rounds that follow.
    """
    results: dict[str, Any] = {
        client: {"values": [], "runs": [], "failed": ""} for client in clients
    }
    started = time.monotonic()
    for number in range(min(rounds, scenario.max_rounds)):
        round_started = time.monotonic()
        for client, result in results.items():
            if result["failed"]:
                continue
            try:
                report = run_once(scenario, CLIENTS[client])
            except RunFailed as failure:
                print(f"{name}: {client} failed in round {number + 1}: {failure}", file=sys.stderr)
                result["failed"] = str(failure)
                continue
            result["runs"].append(report)
            result["values"].append(value_of(scenario, report))
        now = time.monotonic()
        if now - started + (now - round_started) > seconds:
            break
    return results


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
