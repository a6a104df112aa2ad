"""``python benchmarks/lockstep``: clients with the same batches to deal with: see measuring.py."""

from __future__ import annotations

import argparse
import statistics

from measuring import SCENARIOS, SIZE, C, build, measure, ratio


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python benchmarks/lockstep", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clients", default="reactor,reactor-pure,picows")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    args = parser.parse_args()
    build()
    print(f"us of CPU a message ({SIZE} bytes), and times the first client")
    for name in args.scenarios.split(","):
        # The C client has no compression; picows neither.
        deflate = SCENARIOS[name].deflate
        first = "aiohttp-uvloop" if deflate else C
        others = [each for each in args.clients.split(",") if not (deflate and each == "picows")]
        clients = [first, *others]
        figures = measure(name, clients, args.rounds)
        row = [f"{first} {statistics.median(figures[first]):.2f}"]
        for client in others:
            times = ratio(figures[client], figures[first])
            row.append(f"{client} {statistics.median(figures[client]):.2f} (x{times:.2f})")
        print(f"{name:<12}", "   ".join(row), flush=True)


if __name__ == "__main__":
    main()
