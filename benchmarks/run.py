"""Runs the benchmarks and prints a table per scenario: the one command behind `make bench`.

Builds the server and the reference client, then runs the clients of a scenario in turn, `--rounds`
times. scenarios.py says what is measured, running.py how. See README.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import fnmatch
import json
import os
import pathlib
import platform
from collections.abc import Callable
from typing import Any

from report import rows_of, table
from running import Others, build, measure, probe
from scenarios import CLIENTS, SCENARIOS, quicker


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


def names(known: dict[str, Any]) -> Callable[[str], list[str]]:
    """A parser of lists such as "echo-1,timers-*", in the order of `known`."""

    def parse(text: str) -> list[str]:
        patterns = text.split(",")
        for pattern in patterns:
            if not fnmatch.filter(known, pattern):
                raise argparse.ArgumentTypeError(f"not one of {', '.join(known)}: {pattern}")
        return [n for n in known if any(fnmatch.fnmatch(n, pattern) for pattern in patterns)]

    return parse


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Client CPU and memory, beside other clients.")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each client (default: 5)")
    parser.add_argument(
        "--scenarios", type=names(SCENARIOS), default=list(SCENARIOS),
        help=f"comma-separated, * matches anything; of: {', '.join(SCENARIOS)}",
    )  # fmt: skip
    parser.add_argument(
        "--clients", type=names(CLIENTS), default=list(CLIENTS),
        help=f"comma-separated, * matches anything; of: {', '.join(CLIENTS)}",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="one round, a fifth of the work")
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
        args.rounds = 1
    return args


def main() -> None:
    args = arguments()
    build()
    scenarios = {name: SCENARIOS[name] for name in args.scenarios}
    if args.quick:
        scenarios = {name: quicker(scenario) for name, scenario in scenarios.items()}
    wanted = [name for name in args.clients if any(s.takes(name) for s in scenarios.values())]
    clients, versions = probe(wanted)
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    packages = [f"{package} {version}" for package, version in sorted(versions.items())]
    about = ", ".join([date, machine(), *packages])
    print(about)
    text = [about]
    everything: dict[str, Any] = {"about": about, "scenarios": {}}
    for name, scenario in scenarios.items():
        taking = [client for client in clients if scenario.takes(client)]
        others = Others()
        results = measure(name, scenario, taking, args.rounds, args.seconds)
        rows = rows_of(scenario, results)
        busy = f"Other processes took {others.share():.2f} CPU meanwhile."
        print(f"\n{scenario.heading()}\n{table(rows, markdown=False)}\n{busy}", flush=True)
        text.append(f"### {scenario.heading()}\n\n{table(rows, markdown=True)}\n\n{busy}")
        everything["scenarios"][name] = {
            **dataclasses.asdict(scenario),
            "heading": scenario.heading(),
            "others": busy,
            "clients": results,
        }
        # After each scenario, so that an interrupted run has not been for nothing.
        if args.json:
            args.json.write_text(json.dumps(everything, indent=1) + "\n")
        if args.markdown:
            args.markdown.write_text("\n\n".join(text) + "\n")


if __name__ == "__main__":
    main()
