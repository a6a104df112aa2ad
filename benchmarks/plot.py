"""Draws the results of `run.py --json` as SVG: what docs/performance.md shows.

    python benchmarks/plot.py results.json docs/performance

One file per family of scenarios, of which at least one is in the results: bars for the clients,
with the ratio to the C client (or the best) written on them and a line from the lowest to the
highest run; lines for what is measured over a number. The same results give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import statistics
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from report import base_of, medians_of
from scenarios import LIMIT

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

Scenarios = dict[str, Any]  # name -> what run.py wrote about it

#: File: which scenarios are in it.
BARS = {
    "echo": r"echo-(1|200|2000|15000)",
    "echo-large": r"echo-(64k|1m)",
    "fanin": r"fanin-(1|200|2000)",
    "fanin-4k": r"fanin-(1|200|2000)-4k",
    "tls": r"(echo|fanin)-.*tls",
    "deflate": r".*-deflate",
    "blocking": r"blocking",
    "connect": r"connect.*",
    "memory": r"memory-.*",
    "idle-cpu": r"idle-cpu",
}
LINES = {"scale": r"scale-\d+", "timers": r"timers-.*"}

OURS, OURS_PURE, REFERENCE, PEER = "#c0392b", "#e59866", "#444444", "#9fb3c8"
OF_OURS = {"reactor": OURS, "reactor-blocking": OURS, "wheel": OURS}
OF_PURE = {"reactor-pure": OURS_PURE, "reactor-pure-blocking": OURS_PURE, "call_later": OURS_PURE}
COLOURS = {LIMIT: REFERENCE, **OF_OURS, **OF_PURE}
OF_LINES = ["#2471a3", "#1e8449", "#7d3c98", "#b7950b", "#707b7c"]  # of the peers, in their order
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "reactor",  # or the ids in the file would differ each time
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def save(path: pathlib.Path) -> None:
    plt.savefig(path, metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    plt.close()
    # matplotlib leaves blanks at the ends of lines.
    lines = (line.rstrip() for line in path.read_text().splitlines())
    path.write_text("\n".join(lines) + "\n")
    print(path)


def panels(count: int, width: float, height: float) -> list[Axes]:
    """Axes side by side, at most two of them."""
    columns = min(count, 2)
    rows = -(-count // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), squeeze=False, layout="tight"
    )
    axes = list(grid.flat)
    for unused in axes[count:]:
        figure.delaxes(unused)
    return axes[:count]


# ---- bars: one panel per scenario ----


def bars(scenarios: Scenarios) -> None:
    most = max(len(medians_of(scenario["clients"])) for scenario in scenarios.values())
    axes = panels(len(scenarios), 5.2, 0.9 + 0.25 * most)
    for axis, scenario in zip(axes, scenarios.values(), strict=True):
        bar_panel(axis, scenario)


def bar_panel(axis: Axes, scenario: dict[str, Any]) -> None:
    medians = medians_of(scenario["clients"])
    base = base_of(medians)
    names = list(medians)
    values = [medians[name] for name in names]
    runs = [scenario["clients"][name]["values"] for name in names]
    spread = [
        [v - min(run) for v, run in zip(values, runs, strict=True)],
        [max(run) - v for v, run in zip(values, runs, strict=True)],
    ]
    colours = [COLOURS.get(name, PEER) for name in names]
    axis.barh(names, values, color=colours, xerr=spread, error_kw={"elinewidth": 0.8})
    for position, (value, run) in enumerate(zip(values, runs, strict=True)):
        text = f" {value / base:.2f} x" if value >= 0 else ""
        axis.text(max(value, *run, 0), position, text, va="center", fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.14)
    axis.set_title(scenario["title"], fontsize=9, loc="left")
    axis.set_xlabel(" ".join(filter(None, [scenario["unit"], scenario["what"]])))


# ---- lines: over a number ----


def lines(axis: Axes, scenarios: list[dict[str, Any]], number: str) -> None:
    """A line per client; `number` is the field of the scenario that goes on the x axis."""
    clients: dict[str, list[tuple[int, list[float]]]] = {}
    for scenario in sorted(scenarios, key=lambda scenario: scenario[number]):
        for client, result in scenario["clients"].items():
            if result["values"]:
                clients.setdefault(client, []).append((scenario[number], result["values"]))
    others = iter(OF_LINES * len(clients))
    for client, points in clients.items():
        at = [x for x, _ in points]
        colour = COLOURS.get(client) or next(others)
        middle = [statistics.median(values) for _, values in points]
        axis.plot(at, middle, marker="o", markersize=3, label=client, color=colour)
        low = [min(values) for _, values in points]
        high = [max(values) for _, values in points]
        axis.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
    axis.legend(fontsize=7, frameon=False)
    axis.grid(alpha=0.3)


def scale(scenarios: Scenarios) -> None:
    (axis,) = panels(1, 6.5, 4.0)
    lines(axis, list(scenarios.values()), "idle")
    axis.set_ylim(bottom=0)
    axis.set_title("Echo on 200 connections, beside idle ones", fontsize=9, loc="left")
    axis.set_xlabel("idle connections in the same process")
    axis.set_ylabel("us of CPU per message")


def timers(scenarios: Scenarios) -> None:
    patterns: dict[str, list[dict[str, Any]]] = {}
    for scenario in scenarios.values():
        patterns.setdefault(scenario["pattern"], []).append(scenario)
    for axis, group in zip(panels(len(patterns), 5.2, 3.6), patterns.values(), strict=True):
        lines(axis, group, "timers")
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(group[0]["title"].rpartition(", ")[0], fontsize=9, loc="left")
        axis.set_xlabel("live timers")
        axis.set_ylabel(f"{group[0]['unit']} {group[0]['what']}")


# ---- the whole ----


def main() -> None:
    parser = argparse.ArgumentParser(description="Plots of the results of run.py.")
    parser.add_argument("results", type=pathlib.Path, help="what run.py --json wrote")
    parser.add_argument("directory", type=pathlib.Path, help="where the SVG files go")
    args = parser.parse_args()
    measured = {
        name: scenario
        for name, scenario in json.loads(args.results.read_text())["scenarios"].items()
        if medians_of(scenario["clients"])
    }
    args.directory.mkdir(parents=True, exist_ok=True)
    draw: Callable[[Scenarios], None]
    with mpl.rc_context(SETTINGS):
        for family, pattern in {**BARS, **LINES}.items():
            chosen = {name: s for name, s in measured.items() if re.fullmatch(pattern, name)}
            if chosen:
                draw = {"scale": scale, "timers": timers}.get(family, bars)
                draw(chosen)
                save(args.directory / f"{family}.svg")


if __name__ == "__main__":
    main()
