"""How the commands that watch connections show what goes on: a table in place, lines, or JSON.

What it is: three classes with the same methods, and what they are given. What it must not know:
connections.

How it works. ``LineBoard`` prints a line every second, and below it what has failed since the last.
``TableBoard`` draws with rich, which is in the extra ``cli``: a table that is drawn anew in place.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..compiled.replace import compiled
from .arguments import version
from .output import write

__all__ = ["JSONBoard", "LineBoard", "Second", "Summary", "TableBoard", "facts", "make_board"]

#: Causes that are shown at a time.
MOST_CAUSES = 5

#: Characters of a column at least.
WIDTH = 7


@dataclass(frozen=True)
class Second:
    """What is going on in this second.

    Attributes:
        cells: for people: headings of columns, and what is in them.
        values: the same as data, by name; what is not known is None.
        causes: why connections have ended, and how often, in all; the most frequent ones first.
        news: the same, for the time since the last second.
    """

    cells: dict[str, str]
    values: dict[str, Any]
    causes: list[tuple[str, int]]
    news: list[tuple[str, int]]


@dataclass(frozen=True)
class Summary:
    """What came of it.

    Attributes:
        lines: for people: names, and what came.
        values: the same as data, by name; what is not known is None.
        causes: as in a Second.
    """

    lines: dict[str, object]
    values: dict[str, Any]
    causes: list[tuple[str, int]]


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

    def __init__(self) -> None:
        self._has_headings = False

    def begin(self, about: dict[str, Any]) -> None:
        """Say what this program runs on, and what it may.

        Args:
            about: ``version``, ``python``, ``compiled``, ``descriptors`` (or None), ``url``,
                ``page``, ``count`` and ``duration``.
        """
        way = "compiled" if about["compiled"] else "pure Python"
        limit = "any number of" if about["descriptors"] is None else about["descriptors"]
        plural = "" if about["count"] == 1 else "s"
        what = f"{about['count']} subscription{plural}"
        write(
            f"reactor {about['version']}, {way}, on Python {about['python']}; "
            f"it may have {limit} descriptors open\n"
            f"live in a browser: {about['page']} (in a terminal: reactor top {about['page']})\n"
            f"{what} at {about['url']} for {about['duration']:g} s\n"
        )

    def show(self, second: Second) -> None:
        """Show a second."""
        widths = [max(len(heading), WIDTH) for heading in second.cells]
        lines = [] if self._has_headings else [_row(second.cells, widths)]
        self._has_headings = True
        lines.append(_row(second.cells.values(), widths))
        lines += [f"{count:>14} x  {cause}" for cause, count in second.news[:MOST_CAUSES]]
        if more := second.news[MOST_CAUSES:]:
            lines.append(f"{sum(count for _, count in more):>14} x  other causes")
        write("".join(line + "\n" for line in lines))

    def end(self, summary: Summary) -> None:
        """Show the summary."""
        lines = [(name, str(value)) for name, value in summary.lines.items()]
        for number, (cause, count) in enumerate(summary.causes[:MOST_CAUSES]):
            lines.append(("" if number else "connections ended", f"{count} x  {cause}"))
        if more := summary.causes[MOST_CAUSES:]:
            lines.append(("", f"{sum(count for _, count in more)} x  other causes"))
        write("\n" + "".join(f"{name:<21}  {value}\n" for name, value in lines))


def _row(cells: Iterable[str], widths: list[int]) -> str:
    return "  ".join(text.rjust(width) for text, width in zip(cells, widths, strict=True))


class TableBoard(LineBoard):
    """Draws a table in place, and the most frequent causes below it.

    Raises:
        ImportError: rich is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live

        # No thread draws: this one does, once a second.
        self._live = Live(console=Console(), auto_refresh=False)

    def begin(self, about: dict[str, Any]) -> None:
        """Say what this program runs on, and what it may; the table begins below that."""
        super().begin(about)
        self._live.start()

    def show(self, second: Second) -> None:
        """Draw a second in the place of the one before."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None)
        for heading in second.cells:
            table.add_column(heading, justify="right")
        table.add_row(*second.cells.values())
        parts: list[Any] = [table]
        if second.causes:
            causes = Table(box=None, title="why connections have ended", title_justify="left")
            causes.add_column("times", justify="right")
            causes.add_column("cause")
            for cause, count in second.causes[:MOST_CAUSES]:
                causes.add_row(str(count), Text(cause))  # what came is no markup
            parts.append(causes)
        self._live.update(Group(*parts), refresh=True)

    def end(self, summary: Summary) -> None:
        """Show the summary, below the last table."""
        self._live.stop()
        super().end(summary)


class JSONBoard(LineBoard):
    """Prints an object of JSON a line: of the type ``start``, ``second`` or ``summary``."""

    def begin(self, about: dict[str, Any]) -> None:
        """Say what this program runs on, and what it may."""
        _print_object("start", about)

    def show(self, second: Second) -> None:
        """Show a second."""
        causes = {"causes": dict(second.causes), "news": dict(second.news)}
        _print_object("second", {**second.values, **causes})

    def end(self, summary: Summary) -> None:
        """Show the summary."""
        _print_object("summary", {**summary.values, "causes": dict(summary.causes)})


def _print_object(kind: str, values: dict[str, Any]) -> None:
    write(json.dumps({"type": kind, **values}) + "\n")


def facts(descriptors: int | None) -> dict[str, Any]:
    """Return what this program runs on, and how many descriptors it may open (None: any number)."""
    return {
        "version": version().partition(" ")[2],
        "python": platform.python_version(),
        "compiled": compiled,
        "descriptors": descriptors,
    }
