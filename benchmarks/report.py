"""The results as tables: text for the terminal, Markdown for docs/performance.md."""

from __future__ import annotations

import statistics
from typing import Any

from running import size_of
from scenarios import CLIENTS, LIMIT, Scenario

#: The kinds of scenarios where "how many in a second" says something.
RATED = ("echo", "fanin", "blocking", "connect")
NUMBERS = ("min..max", "ratio", "per s", "runs")  # columns that are set flush right, with the unit


def medians_of(results: dict[str, Any]) -> dict[str, float]:
    """The median of each client that has run."""
    return {
        client: statistics.median(result["values"])
        for client, result in results.items()
        if result["values"]
    }


def base_of(medians: dict[str, float]) -> float:
    """What the ratios are relative to: the reference client, or the best where it is not there."""
    return medians.get(LIMIT, min(medians.values()))


def rows_of(scenario: Scenario, results: dict[str, Any]) -> list[list[str]]:
    """The table of a scenario, with the names of the columns first; [] if no client could run."""
    medians = medians_of(results)
    if not medians:
        return []
    base = base_of(medians)
    rated = scenario.kind in RATED
    names = ["client", scenario.unit, *NUMBERS, "note"]
    rows = []
    for client, result in results.items():
        note = note_of(scenario, client, result["failed"])
        values = result["values"]
        if values:
            rows.append(
                [
                    client,
                    figure(medians[client]),
                    f"{figure(min(values))}..{figure(max(values))}",
                    figure(medians[client] / base, 2),
                    f"{rate(scenario, result['runs']):,.0f}" if rated else "",
                    str(len(values)),
                    note,
                ]
            )
        else:
            rows.append([client, *["-"] * (1 + len(NUMBERS)), note])
    unused = {i for i in range(2, len(names)) if not any(row[i].strip("-") for row in rows)}
    return [[c for i, c in enumerate(row) if i not in unused] for row in [names, *rows]]


def figure(value: float, digits: int | None = None) -> str:
    if digits is None:
        digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def rate(scenario: Scenario, runs: list[dict[str, Any]]) -> float:
    """The median number in a second of wall time."""
    rates = [float(run[scenario.per]) / float(run["wall_seconds"]) for run in runs]
    return statistics.median(rates)


def note_of(scenario: Scenario, client: str, failed: str) -> str:
    connections, messages = size_of(scenario, CLIENTS[client])
    notes = [f"failed: {failed}"] if failed else []
    if connections != scenario.connections:
        notes.append(f"{connections:,} connections")
    if messages != scenario.messages:
        notes.append(f"{messages:,} messages each, not {scenario.messages:,}")
    return "; ".join(notes)


def table(rows: list[list[str]], markdown: bool) -> str:
    if not rows:
        return "no client could run"
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = [i == 1 or name in NUMBERS for i, name in enumerate(rows[0])]

    def pad(row: list[str]) -> list[str]:
        cells = zip(row, widths, right, strict=True)
        return [c.rjust(width) if flush else c.ljust(width) for c, width, flush in cells]

    padded = [pad(row) for row in rows]
    if not markdown:
        return "\n".join("  ".join(row).rstrip() for row in padded)
    rule = ["-" * (w - flush) + ":" * flush for w, flush in zip(widths, right, strict=True)]
    lines = [padded[0], rule, *padded[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
