"""A reactor that serves its page (reactor.monitor.serve), live in the terminal.

Shows what the page shows: the loop, and the connections that do most. In a pipe, or without rich
(the extra ``cli``), it prints a line every second. Ends with Ctrl-C, or after ``--duration``; the
exit status is 1 if the page could not be reached, or does not let us in.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..base.printable import printable, without_secrets
from ..exceptions import WebSocketBadStatusException
from ..monitor.page.series import Point
from ..protocols.websocket import WebSocketProtocol
from ..reactor import Reactor
from ..timers import Backoff
from .arguments import complain, duration, whole
from .output import write

__all__ = ["Watcher", "add_arguments", "page_of", "run"]

#: What rows may be sorted by: the name of the option's value, and how it is found in a row.
ORDERS: dict[str, Callable[[dict[str, Any]], float]] = {
    "in": lambda row: row["in_rate"] or 0.0,
    "out": lambda row: row["out_rate"] or 0.0,
    "queue": lambda row: row["queued"],
    "attempts": lambda row: row["attempts"],
    "silence": lambda row: row["silence"] or 0.0,
    "latency": lambda row: row["latency"] or 0.0,
}

#: What to do about an answer other than the upgrade.
ADVICE = {
    401: "the page needs its token: give the whole address that the program has, with ?token=...",
    403: "the page does not answer under this name: ask for localhost, or give the page a token",
    404: "there is no page of a reactor",
}

#: Statuses that may be others in a moment, though they begin with a 4.
PASSING = frozenset({408, 425, 429})

#: Seconds over which the rate of a connection is the mean.
RATE_OVER = 2.5


class Watcher(WebSocketProtocol):
    """What the page's WebSocket has told so far.

    Args:
        when_told: called after every second's point.

    Attributes:
        process: what is watched, in words.
        rows: the rows of the connections by their numbers, as dicts.
        point, facts: of the latest second; see monitor/page/series.py.
        problem: why it cannot be reached, or None.
        refused: whether it does not let us in, so that asking again is no use.
    """

    def __init__(self, when_told: Callable[[], object]) -> None:
        self.process = ""
        self.rows: dict[int, dict[str, Any]] = {}
        self.point = Point(0.0, 0.0, 0.0, 0.0, 0.0)
        self.facts: list[tuple[str, str]] = []
        self.problem: str | None = None
        self.refused = False
        self.seconds = 0  # that were told
        self._fields: list[str] = []
        self._when_told = when_told

    def on_message(self, message: str | bytes) -> None:
        """Take note."""
        told = json.loads(message)
        take = getattr(self, f"_take_{told['kind']}", None)
        if take is not None:
            take(told)

    def on_error(self, error: BaseException) -> None:
        """Remember why; give up if it will not change."""
        if isinstance(error, WebSocketBadStatusException):
            status = error.status_code
            named = printable(f"status {status} {error.status_message or ''}".strip())
            self.problem = f"{named}: {ADVICE[status]}" if status in ADVICE else named
            self.refused = 400 <= status < 500 and status not in PASSING
        else:
            self.problem = f"{type(error).__name__}: {printable(str(error))}"
        if self.refused:
            self.loop.stop()
        else:
            self._when_told()

    def ask(self, shown: list[int]) -> None:
        """Tell which rows are shown, so that these come every second."""
        if self.state.name == "OPEN":
            asked = {"rows": shown, "detail": None, "topics": None, "find": ""}
            self.send(json.dumps(asked))

    def _take_hello(self, told: dict[str, Any]) -> None:
        self.process, self._fields = printable(told["process"]), told["fields"]
        self.rows.clear()
        self.problem = None

    def _take_tick(self, told: dict[str, Any]) -> None:
        self.point = Point(*told["point"])
        self.facts = [(printable(name), printable(value)) for name, value in told["facts"]]
        self.seconds += 1
        self._when_told()

    def _take_gone(self, told: dict[str, Any]) -> None:
        for number in told["ids"]:
            self.rows.pop(number, None)

    def _take_rows(self, told: dict[str, Any]) -> None:
        for values in told["rows"]:
            row = dict(zip(self._fields, values, strict=True))
            before = self.rows.get(row["id"])
            row["in_rate"] = before["in_rate"] if before else None  # not known yet
            row["out_rate"] = before["out_rate"] if before else None
            row["since"] = since = before["since"] if before else row
            if row["now"] - since["now"] >= RATE_OVER:
                passed = row["now"] - since["now"]
                row["in_rate"] = (row["messages_in"] - since["messages_in"]) / passed
                row["out_rate"] = (row["messages_out"] - since["messages_out"]) / passed
                row["since"] = row
            self.rows[row["id"]] = row

    def busiest(self, order: str, find: str, most: int) -> list[dict[str, Any]]:
        """Return rows in an order of ORDERS, the greatest first.

        Args:
            order: its name.
            find: what they contain; case does not matter.
            most: how many are returned.
        """
        wanted = find.lower()
        rows = [row for row in self.rows.values() if wanted in _text(row).lower()]
        rows.sort(key=lambda row: (-ORDERS[order](row), row["id"]))
        return rows[:most]


def _text(row: dict[str, Any]) -> str:
    return f"{row['feed']} {row['place']} {row['host']} {row['activity']} {row['last_error'] or ''}"


def page_of(address: str) -> str:
    """Return the URL of a page's WebSocket.

    Args:
        address: what the program that is watched has printed, ``http://localhost:9090/?token=T``;
            or a host and a port, or a port on this machine.

    Raises:
        ValueError: it is none of these.
    """
    if address.isdecimal():
        address = f"localhost:{address}"
    if "://" not in address:
        address = f"http://{address}"
    parts = urlsplit(address)
    schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if parts.scheme not in schemes or not parts.hostname or parts.port == 0:
        raise ValueError(f"{without_secrets(address)!r} is not the address of a page")
    path = parts.path.rstrip("/")
    path = path if path.endswith("/live") else f"{path}/live"
    return urlunsplit((schemes[parts.scheme], parts.netloc, path, parts.query, ""))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See main.py."""
    parser.add_argument("address", nargs="?", default="9090", help="of the page, or its port")
    parser.add_argument("--sort", choices=ORDERS, default="in", help="what comes first")
    parser.add_argument("--find", default="", help="only connections that contain this text")
    parser.add_argument("--rows", type=whole, default=20, help="connections that are shown")
    parser.add_argument("--duration", type=duration, help="seconds; default: until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="an object in JSON every second")


def run(arguments: argparse.Namespace) -> int:
    """See main.py."""
    try:
        url = page_of(arguments.address)
    except ValueError as exc:
        return complain(f"argument address: {exc}")
    with Reactor() as loop:
        watcher = Watcher(lambda: show(watcher))
        show = _make_display(arguments)
        loop.connect(url, watcher, reconnect=Backoff(first=0.5, cap=10))
        if arguments.duration is not None:
            loop.call_later(arguments.duration, loop.stop)
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            pass
        finally:
            show.close()
    if watcher.seconds == 0 or watcher.refused:
        shown, problem = without_secrets(url), watcher.problem or "nothing came"
        print(f"reactor top: {shown}: {problem}", file=sys.stderr)
        return 1
    return 0


def _make_display(arguments: argparse.Namespace) -> _Lines:
    if arguments.json:
        return _JSON(arguments)
    if sys.stdout.isatty():
        try:
            return _Table(arguments)
        except ImportError:
            print("without rich there are lines: pip install 'reactor-websocket[cli]'")
    return _Lines(arguments)


class _Lines:
    """Shows a line every second."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments

    def shown(self, watcher: Watcher, most: int) -> list[dict[str, Any]]:
        """Return the rows to show, and have them told every second."""
        rows = watcher.busiest(self._arguments.sort, self._arguments.find, most)
        watcher.ask([row["id"] for row in rows])
        return rows

    def close(self) -> None:
        """Leave the terminal as it was."""

    def __call__(self, watcher: Watcher) -> None:
        if watcher.problem is not None:
            write(f"{watcher.problem}\n")
            return
        facts = ", ".join(f"{name} {value}" for name, value in watcher.facts)
        write(f"{headline(watcher)}, {facts}\n")


class _JSON(_Lines):
    """Shows an object every second."""

    def __call__(self, watcher: Watcher) -> None:
        rows = self.shown(watcher, self._arguments.rows)
        told = {
            "process": watcher.process,
            "problem": watcher.problem,
            **watcher.point._asdict(),
            "facts": dict(watcher.facts),
            "connections": [{k: v for k, v in row.items() if k != "since"} for row in rows],
        }
        write(json.dumps(told) + "\n")


class _Table(_Lines):
    """Shows a table that is drawn anew in its place."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from rich.live import Live

        super().__init__(arguments)
        self._live = Live(auto_refresh=False, screen=True)
        self._live.start()

    def __call__(self, watcher: Watcher) -> None:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        console = self._live.console
        rows = self.shown(watcher, max(1, min(self._arguments.rows, console.height - 6)))
        table = Table(expand=True, box=None, pad_edge=False)
        numbers = fitting(console.width)
        for name, options in (
            ("state", {"width": STATE, "no_wrap": True}),
            ("connection", {"ratio": 1, "no_wrap": True, "overflow": "ellipsis"}),
            *((name, {"justify": "right", "no_wrap": True}) for name in numbers),
        ):
            table.add_column(name, **options)  # type: ignore[arg-type]
        for row in rows:
            named = dict(zip(("state", "connection", *NUMBERS), cells(row), strict=True))
            table.add_row(*(Text(printable(named[str(each.header)])) for each in table.columns))
        facts = " · ".join(f"{name} {value}" for name, value in watcher.facts)
        lines = (
            (watcher.process, "bold"),
            (watcher.problem or headline(watcher), ""),
            (facts, "dim"),
        )
        head = [Text(line, style, no_wrap=True, overflow="ellipsis") for line, style in lines]
        self._live.update(Group(*head, Text(), table), refresh=True)

    def close(self) -> None:
        """See _Lines."""
        self._live.stop()


#: The columns of numbers, see cells(), and their widths.
NUMBERS = {"in/s": 8, "out/s": 8, "round trip": 10, "queue": 10, "attempts": 8, "silent for": 10}

#: In which order they are left out where a terminal is narrow, the last one first.
IMPORTANT = ("in/s", "silent for", "out/s", "queue", "round trip", "attempts")

#: The widths of the other columns; the name of a connection takes at least that.
STATE, CONNECTION = 10, 20


def fitting(width: int) -> list[str]:
    """Return the names of NUMBERS that a terminal of this width has room for."""
    left = width - STATE - 1 - CONNECTION
    shown = set()
    for name in IMPORTANT:
        if (left := left - NUMBERS[name] - 1) < 0:
            break
        shown.add(name)
    return [name for name in NUMBERS if name in shown]


def headline(watcher: Watcher) -> str:
    """Return what the loop does, in one line."""
    point = watcher.point
    rates = f"{point.messages_in:,.0f} in/s, {point.messages_out:,.0f} out/s"
    return f"{rates}, lag {point.lag * 1000:.1f} ms, busy {point.busy:.1%}"


def cells(row: dict[str, Any]) -> list[str]:
    """Return the cells of a connection: state, name, and NUMBERS."""
    place = row["place"] if row["role"] == "client" else row["host"] + row["place"]
    latency, silence = row["latency"], row["silence"]
    return [
        row["activity"],
        f"{row['feed']}: {place}" if row["feed"] else place,
        "" if row["in_rate"] is None else f"{row['in_rate']:.1f}",
        "" if row["out_rate"] is None else f"{row['out_rate']:.1f}",
        "" if latency is None else f"{latency * 1000:.1f} ms",
        str(row["queued"] or ""),
        str(row["attempts"] or ""),
        "" if silence is None else f"{silence:.1f} s",
    ]
