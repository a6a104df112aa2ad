"""How ``reactor run`` shows what goes on: a table in place, lines, or JSON.

What it is: three classes with the same methods. What it must not know: connections.

How it works. ``LineBoard`` prints a line every second, and below it what has failed since the last.
``TableBoard`` draws with rich, which is in the extra ``cli``: a table that is drawn anew in place.
"""

from __future__ import annotations

import json
import platform
import sys
from typing import Any

from ..compiled.replace import compiled
from .arguments import version
from .monitor import Row

__all__ = ["JSONBoard", "LineBoard", "TableBoard", "about_us", "facts", "make_board"]

#: Causes that are shown at a time.
MOST_CAUSES = 5

HEADINGS = ("time", "open", "connecting", "waiting", "msg/s", "p50 ms", "p99 ms", "reconnects")
WIDTHS = (8, 6, 10, 7, 8, 8, 8, 10)


def make_board(as_json: bool) -> LineBoard:
    """Return what fits to standard output."""
    if as_json:
        return JSONBoard()
    if sys.stdout.isatty():
        try:
            return TableBoard()
        except ImportError:
            pass  # the extra is not installed: lines serve as well
    return LineBoard()


class LineBoard:
    """Prints lines: for pipes, and where rich is not installed."""

    def begin(self, about: dict[str, Any]) -> None:
        """Say what this program runs on, and what it may.

        Args:
            about: ``version``, ``python``, ``compiled``, ``descriptors`` (or None), ``url``,
                ``count`` and ``duration``.
        """
        for line in describe(about):
            print(line)
        self._print_headings()

    def _print_headings(self) -> None:
        print("  ".join(text.rjust(width) for text, width in zip(HEADINGS, WIDTHS, strict=True)))

    def show(self, row: Row) -> None:
        """Show a second."""
        cells = zip(cells_of(row), WIDTHS, strict=True)
        print("  ".join(text.rjust(width) for text, width in cells))
        for cause, count in row.news[:MOST_CAUSES]:
            print(f"{count:>14} x  {cause}")
        if more := row.news[MOST_CAUSES:]:
            print(f"{sum(count for _, count in more):>14} x  other causes")
        sys.stdout.flush()

    def end(self, summary: dict[str, Any]) -> None:
        """Show the summary."""
        print()
        for line in summarize(summary):
            print(line)
        sys.stdout.flush()


class TableBoard(LineBoard):
    """Draws a table in place, and the most frequent causes below it.

    Raises:
        ImportError: rich is not installed.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        # No thread draws: this one does, once a second.
        self._live = Live(console=Console(), auto_refresh=False)

    def _print_headings(self) -> None:
        sys.stdout.flush()
        self._live.start()

    def show(self, row: Row) -> None:
        """Draw a second in the place of the one before."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None)
        for heading in HEADINGS:
            table.add_column(heading, justify="right")
        table.add_row(*cells_of(row))
        parts: list[Any] = [table]
        if row.causes:
            causes = Table(box=None, title="why connections have ended", title_justify="left")
            causes.add_column("times", justify="right")
            causes.add_column("cause")
            for cause, count in row.causes[:MOST_CAUSES]:
                causes.add_row(str(count), Text(cause))  # what came is no markup
            parts.append(causes)
        self._live.update(Group(*parts), refresh=True)

    def end(self, summary: dict[str, Any]) -> None:
        """Show the summary, below the last table."""
        self._live.stop()
        super().end(summary)


class JSONBoard(LineBoard):
    """Prints an object of JSON a line: of the type ``start``, ``second`` or ``summary``."""

    def begin(self, about: dict[str, Any]) -> None:
        """Say what this program runs on, and what it may."""
        _print_object("start", about)

    def show(self, row: Row) -> None:
        """Show a second."""
        _print_object("second", {**vars(row), "causes": dict(row.causes), "news": dict(row.news)})

    def end(self, summary: dict[str, Any]) -> None:
        """Show the summary."""
        _print_object("summary", summary)


def _print_object(kind: str, values: dict[str, Any]) -> None:
    print(json.dumps({"type": kind, **values}), flush=True)


# --- words --------------------------------------------------------------------------------------


def facts(descriptors: int | None) -> dict[str, Any]:
    """Return what this program runs on, and how many descriptors it may open (None: any number)."""
    return {
        "version": version().partition(" ")[2],
        "python": platform.python_version(),
        "compiled": compiled,
        "descriptors": descriptors,
    }


def about_us(descriptors: int | None) -> str:
    """Return the same in a line."""
    way = "compiled" if compiled else "pure Python"
    limit = "any number of" if descriptors is None else descriptors
    python = platform.python_version()
    return f"{version()}, {way}, on Python {python}; it may have {limit} descriptors open"


def describe(about: dict[str, Any]) -> list[str]:
    """Return what is known before the start, in lines."""
    plural = "" if about["count"] == 1 else "s"
    return [
        about_us(about["descriptors"]),
        f"{about['count']} subscription{plural} at {about['url']} for {about['duration']:g} s",
    ]


def cells_of(row: Row) -> list[str]:
    """Return the cells of a row, in the order of the headings."""
    return [
        f"{row.seconds:.1f}s",
        str(row.open),
        str(row.connecting),
        str(row.waiting),
        f"{row.rate:.0f}",
        _known(row.p50),
        _known(row.p99),
        str(row.reconnects),
    ]


def summarize(summary: dict[str, Any]) -> list[str]:
    """Return the summary in lines."""
    lines = [
        ("subscriptions", f"{summary['subscriptions']}, of which {summary['served']} got messages"),
        ("messages", summary["messages"]),
    ]
    if summary["messages_per_second"] is None:
        lines.append(("rates", f"none: only {summary['opened']} subscriptions were ever open"))
    else:
        lines += [
            ("messages per second", summary["messages_per_second"]),
            ("CPU per message", f"{summary['cpu_per_message_us']} us"),
            ("memory per connection", f"{summary['memory_per_connection_kib']} KiB"),
        ]
    lines += [
        ("latency", f"p50 {_known(summary['p50_ms'])} ms, p99 {_known(summary['p99_ms'])} ms"),
        ("pings answered", summary["pings_answered"]),
        ("reconnects", summary["reconnects"]),
        ("threads", summary["threads"]),
    ]
    shown = [f"{name:<21}  {value}" for name, value in lines]
    causes = list(summary["causes"].items())
    for number, (cause, count) in enumerate(causes[:MOST_CAUSES]):
        name = "" if number else "connections ended"
        shown.append(f"{name:<21}  {count} x  {cause}")
    if more := causes[MOST_CAUSES:]:
        shown.append(f"{'':<21}  {sum(count for _, count in more)} x  other causes")
    return shown


def _known(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
