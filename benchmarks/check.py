"""Whether ours has become slower: the one command behind `make bench-check`, about a minute.

Short runs of three scenarios, the C client and ours taking turns. Fails where the ratio of the
medians is beyond the limit below. The limits are what a quiet machine measured and about half of
it again, because the machines where this runs are not quiet; what they catch is a hot path that
has grown, not a few per cent. tests/ counts calls per message for those.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys

from running import RunFailed, build, probe, run_once, value_of
from scenarios import CLIENTS, LIMIT, SCENARIOS, Scenario

ROUNDS = 5
CHECKED = ("reactor", "reactor-pure")

#: Scenario: how many times the CPU time of the C client per message is too much.
RATIOS = {
    "echo-200": {"reactor": 1.9, "reactor-pure": 2.8},
    "echo-1": {"reactor": 1.9, "reactor-pure": 2.6},
    "fanin-200": {"reactor": 1.7, "reactor-pure": 2.0},
}
#: Messages of each connection: enough for some tenths of a second of CPU time.
MESSAGES = {"echo-200": 150, "echo-1": 4000, "fanin-200": 800}


def measure(scenario: Scenario) -> dict[str, list[float]]:
    """The figures of each client, in the scenario's unit."""
    values: dict[str, list[float]] = {client: [] for client in (LIMIT, *CHECKED)}
    for _ in range(ROUNDS):
        for client, figures in values.items():
            figures.append(value_of(scenario, run_once(scenario, CLIENTS[client])))
    return values


def check(name: str) -> bool:
    """Measure a scenario and print its ratios. Returns whether they are within the limits."""
    scenario = dataclasses.replace(SCENARIOS[name], messages=MESSAGES[name])
    medians = {client: statistics.median(v) for client, v in measure(scenario).items()}
    good = True
    for client in CHECKED:
        ratio, limit = medians[client] / medians[LIMIT], RATIOS[name][client]
        verdict = "ok" if ratio <= limit else "TOO SLOW"
        print(
            f"{name:<10} {client:<13} {medians[client]:6.2f} {scenario.unit}, "
            f"{ratio:.2f} x C (limit {limit:.2f})  {verdict}",
            flush=True,
        )
        good = good and ratio <= limit
    return good


def main() -> None:
    build()
    able, _ = probe(list(CHECKED))
    if able != list(CHECKED):
        sys.exit(1)  # probe() has said why
    try:
        results = [check(name) for name in RATIOS]
    except RunFailed as failure:
        sys.exit(f"a run failed: {failure}")
    if not all(results):
        sys.exit("slower than benchmarks/check.py allows")


if __name__ == "__main__":
    main()
