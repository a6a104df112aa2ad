"""``python -m tests.autobahn``: the suite, or parts of it, as a table.

Exit status 0: no miss; 1: misses; 2: it could not be run.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from .report import document, misses, table
from .runner import FACES, Run, run


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.autobahn", description="The Autobahn test suite over every face."
    )
    parser.add_argument(
        "--faces",
        nargs="+",
        choices=FACES,
        default=FACES,
        metavar="FACE",
        help=f"which faces: {', '.join(FACES)} (default: all)",
    )
    parser.add_argument(
        "--cases",
        nargs="+",
        metavar="GLOB",
        help="which cases, such as '6.*' or 9.1.6 (default: all)",
    )
    parser.add_argument("--exclude", nargs="+", metavar="GLOB", help="which cases not")
    parser.add_argument(
        "--lanes", type=int, default=4, help="how many cases run at once (%(default)s)"
    )
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write the document, docs/conformance.md, to this file",
    )
    return parser.parse_args(arguments)


async def run_all(options: argparse.Namespace) -> list[Run]:
    """Run one face after the other."""
    runs = []
    for face in options.faces:
        result = await run(face, options.cases, options.exclude, options.lanes)
        print(
            f"{face}: {len(result.outcomes)} cases in {result.seconds:.1f} s,"
            f" {len(result.missed)} misses",
            file=sys.stderr,
        )
        runs.append(result)
    return runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit status."""
    options = parse(arguments)
    try:
        runs = asyncio.run(run_all(options))
    except (ImportError, RuntimeError, ValueError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    print(table(runs), misses(runs), sep="\n", end="")
    if options.markdown is not None:
        options.markdown.write_text(document(runs), encoding="utf-8")
    return 1 if any(run.missed for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
