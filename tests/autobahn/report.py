"""The table of all runs, the list of misses, and the document that has both."""

from __future__ import annotations

import platform
import zlib
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version

import reactor

from .runner import INFORMATIONAL_AT_BEST, Outcome, Run

VERDICTS = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED")

TITLES = {
    1: "framing",
    2: "pings and pongs",
    3: "reserved bits",
    4: "opcodes",
    5: "fragmentation",
    6: "UTF-8",
    7: "closing",
    9: "limits and speed",
    10: "automatic fragmentation",
    12: "compression",
    13: "compression parameters",
}

DOCUMENT = """\
# Conformance

The [Autobahn test suite](https://github.com/crossbario/autobahn-testsuite) tests RFC 6455 and RFC 7692 case by case: what is sent back, whether
a violation by the peer is noticed, when, and with which close code. It is run here on every face of the package:

- *native*: `Reactor.connect` with a `WebSocketProtocol`,
- *app*: `WebSocketApp`,
- *blocking*: `create_connection` and `WebSocket`,
- *server*: `Reactor.listen`.

Each face is a small echo program ([faces.py](../tests/autobahn/faces.py)) in its own process, with `compression=Deflate(threshold=0)`: its
offers and answers are the default ones, but short messages are compressed, too. In 13.2, 13.5, 13.6 and 13.7 the clients also offer
`client_no_context_takeover`, without which the suite does not agree to compression. The suite is run by the package
[kosoku](https://pypi.org/project/kosoku/), which has the original case files.

    make autobahn                                             # everything; this document
    python -m tests.autobahn --faces native --cases '6.*'     # a part of it, the table on the terminal
    python -m pytest tests/autobahn                           # the fast part, as one of the tests

A case is a miss when its verdict is not OK, even if the suite calls it a pass (NON-STRICT, UNIMPLEMENTED), or when the closing handshake was not
the one that the case asks for ("wrong close"). INFORMATIONAL is not a miss in {informational}: the suite has no better verdict for
them, because the RFC leaves open what should happen.

## Result

{date}; reactor {reactor}, kosoku {kosoku}, Python {python}, zlib {zlib}, {system}. {total}

{table}
Seconds are the sum over the cases, of which several run at once; the suite's own work is in them.

{misses}
"""  # noqa: E501


def table(runs: Sequence[Run]) -> str:
    """Return a table in Markdown, which a terminal shows just as well."""
    rows = [["category", "face", "cases", *VERDICTS, "wrong close", "seconds"]]
    for category in sorted({outcome.numbers[0] for run in runs for outcome in run.outcomes}):
        name = f"{category} {TITLES.get(category, '')}".rstrip()
        for run in runs:
            outcomes = [outcome for outcome in run.outcomes if outcome.numbers[0] == category]
            rows.append([name, run.face, *_counts(outcomes)])
            name = ""
    name = "all"
    for run in runs:
        rows.append([name, run.face, *_counts(run.outcomes)])
        name = ""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = [f"{'-' * (width - 1)}{'-' if i < 2 else ':'}" for i, width in enumerate(widths)]
    return "".join(
        "| " + " | ".join(map(_pad, row, widths, range(len(row)))) + " |\n"
        for row in [rows[0], rule, *rows[1:]]
    )


def _pad(text: str, width: int, column: int) -> str:
    return text.ljust(width) if column < 2 else text.rjust(width)


def _counts(outcomes: Sequence[Outcome]) -> list[str]:
    numbers = dict.fromkeys(VERDICTS, 0)
    for outcome in outcomes:
        # ERROR, which is rare, is a failure, too.
        numbers[outcome.behavior if outcome.behavior in numbers else "FAILED"] += 1
    wrong = sum(outcome.closed_wrongly for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    return [*map(str, (len(outcomes), *numbers.values(), wrong)), f"{seconds:.1f}"]


def misses(runs: Sequence[Run]) -> str:
    """Return one line for each miss, or one that says that there is none."""
    lines = [
        f"- {run.face} {outcome.case}: {outcome.behavior}; closing: {outcome.behavior_close},"
        f" close code of the face: {outcome.close_code}\n"
        for run in runs
        for outcome in run.missed
    ]
    return f"Misses: {len(lines)}\n\n{''.join(lines)}" if lines else "No misses.\n"


def document(runs: Sequence[Run]) -> str:
    """Return the text of docs/conformance.md."""
    *some, last = sorted(INFORMATIONAL_AT_BEST)
    return (
        DOCUMENT.format(
            informational=f"{', '.join(some)} and {last}",
            date=datetime.now(timezone.utc).date(),
            reactor=reactor.__version__,
            kosoku=version("kosoku"),
            python=platform.python_version(),
            zlib=zlib.ZLIB_RUNTIME_VERSION,
            system=platform.system(),
            total=" ".join(
                f"{run.face.capitalize()}: {len(run.outcomes)} cases in {run.seconds:.0f} s."
                for run in runs
            ),
            table=table(runs),
            misses=misses(runs).rstrip(),
        ).rstrip()
        + "\n"
    )
