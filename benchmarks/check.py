"""Whether ours has become slower: the command behind `make bench-check`, a minute or two.

What is compared is the number of instructions that a message takes in the lock-step benchmark,
as valgrind counts them: it is the same on a busy machine and on a quiet one (within 1 %), so a few
per cent can be seen. It knows nothing of the kernel, of caches, or of the time: `make
bench-lockstep` and `make bench` measure these, on a quiet machine.

The figures are compared with those in limits.json, which has some for each version of Python, since
the interpreter's instructions are among them. More than TOLERANCE above them is a failure; figures
that are less by as much should become the new ones: `python benchmarks/check.py --renew` writes
what it measures. Do that with a change that is worth its cost, and with the compiled part built
from the current sources.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from lockstep.measuring import SCENARIOS, Scenario, build, count_instructions

LIMITS = Path(__file__).parent / "limits.json"
TOLERANCE = 0.05
CONNECTIONS = 40  # more of them cost no instructions, only time here
MESSAGES = 2000

CHECKED = (
    ("echo-200", "reactor"),
    ("echo-200/8", "reactor"),
    ("echo-1", "reactor"),
    ("fanin-200", "reactor"),
    ("fanin-200x3", "reactor"),
    ("echo-200-tls", "reactor"),
    ("echo-200-deflate", "reactor"),
    ("echo-200", "reactor-pure"),
    ("fanin-200", "reactor-pure"),
)

Figures = dict[str, int]


def shortened(scenario: Scenario) -> Scenario:
    """The same with fewer connections and messages."""
    connections = min(scenario.connections, CONNECTIONS)
    ready = min(scenario.ready, connections)
    rounds = MESSAGES // (ready * scenario.per)
    return scenario._replace(connections=connections, ready=ready, rounds=rounds)


def verdict(instructions: int, limit: int | None) -> str:
    """What to say of a figure."""
    if limit is None:
        return "nothing to compare with"
    change = instructions / limit - 1
    word = "TOO SLOW" if change > TOLERANCE else "ok" if change >= -TOLERANCE else "ok: renew it"
    return f"{change:+.1%} of {limit:,}  {word}"


def main() -> None:
    """Count, print, and compare or renew."""
    parser = argparse.ArgumentParser(prog="python benchmarks/check.py", description=__doc__)
    parser.add_argument("--renew", action="store_true", help="write what is measured as limits")
    args = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is needed, which counts the instructions: apt install valgrind")
    build()
    every: dict[str, Figures] = json.loads(LIMITS.read_text()) if LIMITS.exists() else {}
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    limits = every.get(version, {})
    if not limits and not args.renew:
        print(f"limits.json has nothing for Python {version}: see --renew")
    measured: Figures = {}
    slow = []
    for name, client in CHECKED:
        key = f"{name} {client}"
        try:
            measured[key] = round(count_instructions(shortened(SCENARIOS[name]), client))
        except RuntimeError as failure:
            sys.exit(f"{key}: a run failed: {failure}")
        result = verdict(measured[key], limits.get(key))
        if result.endswith("TOO SLOW"):
            slow.append(key)
        print(f"{name:<17} {client:<13} {measured[key]:>8,} instructions  {result}", flush=True)
    if args.renew:
        every[version] = measured
        LIMITS.write_text(json.dumps(every, indent=4, sort_keys=True) + "\n")
    elif slow:
        sys.exit(f"slower than benchmarks/limits.json has it: {', '.join(slow)}")


if __name__ == "__main__":
    main()
