"""Running the suite over a face, and judging what it says.

The suite runs in this process, on asyncio; the face in a process of its own (see faces.py),
so that neither waits for the other's interpreter lock.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Where `tests` can be imported from.
ROOT = Path(__file__).parents[2]

FACES = ("native", "app", "blocking", "server")

#: Cases which have no verdict but INFORMATIONAL, because the RFC does not say what should happen.
#: 7.1.6 sends 256 KiB, a close frame and a ping at once: whether the message is sent back depends
#: on whether that is done before the close frame is read.
#: 7.13.1 and 7.13.2 send close codes beyond those that the RFC defines (5000 and 65535).
INFORMATIONAL_AT_BEST = frozenset({"7.1.6", "7.13.1", "7.13.2"})

#: Cases in which the suite's server wants ``client_no_context_takeover``, and agrees to it only
#: if the client has offered it. (RFC 7692 section 7.1.1.2 would let it ask in any case.)
NO_TAKEOVER = ("13.2.*", "13.5.*", "13.6.*", "13.7.*")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the suite says of one case.

    Parameters:
        case: its name, such as "6.4.3".
        behavior: "OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED" or "ERROR".
        behavior_close: "OK", "INFORMATIONAL", "WRONG CODE", "UNCLEAN", ...
        close_code: the close code that the face sent, or None.
        seconds: how long it took.
    """

    case: str
    behavior: str
    behavior_close: str
    close_code: int | None
    seconds: float

    @property
    def numbers(self) -> list[int]:
        """The parts of its name; the first is the category."""
        return [int(part) for part in self.case.split(".")]

    @property
    def closed_wrongly(self) -> bool:
        """Whether the closing handshake was not what the case asks for."""
        return not self._good_enough(self.behavior_close)

    @property
    def missed(self) -> bool:
        """Whether a better verdict can be had."""
        return self.closed_wrongly or not self._good_enough(self.behavior)

    def _good_enough(self, verdict: str) -> bool:
        return verdict == "OK" or (
            verdict == "INFORMATIONAL" and self.case in INFORMATIONAL_AT_BEST
        )


@dataclass(frozen=True, slots=True)
class Run:
    """All outcomes of one face, in the order of the cases, and how long all of it took."""

    face: str
    outcomes: Sequence[Outcome]
    seconds: float

    @property
    def missed(self) -> list[Outcome]:
        """The outcomes that are misses."""
        return [outcome for outcome in self.outcomes if outcome.missed]


async def run(
    face: str, cases: Sequence[str] | None, exclude: Sequence[str] | None = None, lanes: int = 8
) -> Run:
    """Run the suite over a face.

    Parameters:
        face: one of FACES.
        cases: names or beginnings ("6.4.*") of the cases; None: all.
        exclude: likewise, what to leave out.
        lanes: how many cases run at once.

    Raises ValueError when no case is left, RuntimeError when the face's process fails
    or did not run every case.
    """
    if any("*" in pattern[:-1] for pattern in [*(cases or ()), *(exclude or ())]):
        raise ValueError("a pattern has its star at the end")
    start = time.monotonic()
    results = await (_of_server if face == "server" else _of_client)(face, cases, exclude, lanes)
    outcomes = sorted(map(_outcome, results), key=lambda outcome: outcome.numbers)
    if not outcomes:
        raise ValueError("no case is left")
    return Run(face, outcomes, time.monotonic() - start)


async def _of_server(
    face: str, cases: Sequence[str] | None, exclude: Sequence[str] | None, lanes: int
) -> list[Any]:
    from kosoku import FailureError, run_fuzzingclient

    async with _process(face) as process:
        url = f"ws://127.0.0.1:{await _number(process)}"
        try:
            results = await run_fuzzingclient(url, cases, exclude, concurrency=lanes)
        except FailureError as exc:
            results = exc.results
    return results


async def _of_client(
    face: str, cases: Sequence[str] | None, exclude: Sequence[str] | None, lanes: int
) -> list[Any]:
    others = _common(cases, NO_TAKEOVER)
    exclude = exclude or []
    results = await _of_offer(face, "default", cases, [*exclude, *NO_TAKEOVER], lanes)
    if others:
        results += await _of_offer(face, "no-takeover", others, exclude, lanes)
    return results


async def _of_offer(
    face: str, offer: str, cases: Sequence[str] | None, exclude: Sequence[str], lanes: int
) -> list[Any]:
    """Run a client which offers one kind of compression."""
    from kosoku import FailureError, run_fuzzingserver

    async with run_fuzzingserver(cases, exclude, port=0) as server:
        url = f"ws://127.0.0.1:{server.port}"
        async with _process(face, url, str(lanes), offer) as process:
            count = await _number(process)
        try:  # after the end of the process: its request for the report makes the results
            results = await server.get_result()
        except FailureError as exc:
            results = exc.results
    if len(results) != count:  # the suite says nothing of cases that were not asked for
        raise RuntimeError(f"the {face} face ran {len(results)} of {count} cases")
    return results


def _common(cases: Sequence[str] | None, part: Sequence[str]) -> list[str]:
    """Return patterns for what is in both: a name, or a beginning and a star."""
    if cases is None:
        return list(part)
    pairs = [(case, other) for case in cases for other in part]
    within = {case for case, other in pairs if case.startswith(other[:-1])}
    around = {other for case, other in pairs if case[-1:] == "*" and other.startswith(case[:-1])}
    return sorted(within | around)


async def _number(process: Process) -> int:
    """Read the number that the process prints."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError("the process of the face failed")
    return int(line)


@asynccontextmanager
async def _process(*arguments: str) -> AsyncIterator[Process]:
    """Run faces.py; at the end, close its standard input and wait for its end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.autobahn.faces", *arguments),
        stdin=PIPE,
        stdout=PIPE,
        cwd=ROOT,
        env={**os.environ, "no_proxy": "*"},  # a proxy of the machine must not hear of this
    )
    try:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        status = await process.wait()
        if status:
            raise RuntimeError(f"the process of the {arguments[0]} face ended with {status}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _outcome(result: Any) -> Outcome:
    return Outcome(
        result.case_id,
        result.behavior.value,
        result.behavior_close.value,
        result.remote_close_code,
        result.duration / 1000,
    )
