"""What counts as a miss, and that nobody can overlook one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from . import __main__ as command
from . import runner
from .report import VERDICTS, misses, table
from .runner import NO_TAKEOVER, Outcome, Run


def outcome(
    case: str = "1.1.1", behavior: str = "OK", behavior_close: str = "OK", code: int = 1000
) -> Outcome:
    return Outcome(case, behavior, behavior_close, code, 0.5)


@pytest.mark.parametrize(
    "verdict", ["NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED", "ERROR"]
)
def test_all_but_ok_is_a_miss(verdict: str) -> None:
    assert not outcome().missed
    assert outcome(behavior=verdict).missed


@pytest.mark.parametrize(
    "verdict", ["WRONG CODE", "UNCLEAN", "FAILED", "FAILED BY CLIENT", "INFORMATIONAL"]
)
def test_so_is_a_closing_handshake_that_is_not_what_the_case_asks_for(verdict: str) -> None:
    wrong = outcome(behavior_close=verdict)
    assert wrong.missed
    assert wrong.closed_wrongly


def test_informational_will_do_where_the_suite_has_nothing_better() -> None:
    assert not outcome("7.13.1", "INFORMATIONAL", "INFORMATIONAL").missed
    assert outcome("7.13.1", "FAILED", "INFORMATIONAL").missed


@pytest.mark.parametrize(
    ("cases", "common"),
    [
        (None, list(NO_TAKEOVER)),
        (["*"], list(NO_TAKEOVER)),
        (["1*"], list(NO_TAKEOVER)),
        (["1.*", "12.*"], []),
        (["13.1.*", "13.5.*"], ["13.5.*"]),
        (["13.5.1*", "13.7.3"], ["13.5.1*", "13.7.3"]),
        (["13.5"], []),
    ],
)
def test_the_cases_that_need_another_offer_are_told_from_the_rest(
    cases: list[str] | None, common: list[str]
) -> None:
    assert runner._common(cases, NO_TAKEOVER) == common


def test_a_star_stands_at_the_end_of_a_pattern() -> None:
    with pytest.raises(ValueError, match="star at the end"):
        asyncio.run(runner.run("native", ["13.*.1"]))


def test_a_face_that_fails_is_not_a_run_without_misses() -> None:
    pytest.importorskip("kosoku")
    with pytest.raises(RuntimeError, match="process of the"):
        asyncio.run(runner.run("nobody", ["1.1.1"]))


def test_the_table_counts_by_category_and_face() -> None:
    runs = [
        Run("native", [outcome(), outcome("2.1", "FAILED", "UNCLEAN"), outcome("2.2")], 1.0),
        Run("server", [outcome(), outcome("2.1", "ERROR"), outcome("2.2", "NON-STRICT")], 1.0),
    ]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table(runs).splitlines()
    ]
    assert rows[0][2:-2] == ["cases", *VERDICTS]
    assert rows[0][-2:] == ["wrong close", "seconds"]
    assert rows[2:] == [
        ["1 framing", "native", "1", "1", "0", "0", "0", "0", "0", "0.5"],
        ["", "server", "1", "1", "0", "0", "0", "0", "0", "0.5"],
        ["2 pings and pongs", "native", "2", "1", "0", "0", "0", "1", "1", "1.0"],
        ["", "server", "2", "0", "1", "0", "0", "1", "0", "1.0"],
        ["all", "native", "3", "2", "0", "0", "0", "1", "1", "1.5"],
        ["", "server", "3", "1", "1", "0", "0", "1", "0", "1.5"],
    ]


def test_misses_are_listed_with_all_that_is_known() -> None:
    text = misses([Run("app", [outcome("6.4.1", "NON-STRICT", "WRONG CODE", 1002)], 1.0)])
    assert "app 6.4.1: NON-STRICT; closing: WRONG CODE, close code of the face: 1002" in text


@pytest.mark.parametrize(("behavior", "status"), [("OK", 0), ("NON-STRICT", 1)])
def test_the_exit_status_tells_whether_there_are_misses(
    behavior: str, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("kosoku")

    async def run(face: str, *arguments: Any) -> Run:
        return Run(face, [outcome(behavior=behavior)], 1.0)

    monkeypatch.setattr(command, "run", run)
    file = tmp_path / "conformance.md"
    assert command.main(["--faces", "app", "--markdown", str(file)]) == status
    assert ("No misses." in file.read_text()) is (status == 0)


def test_the_exit_status_of_a_run_that_fails_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(face: str, *arguments: Any) -> Run:
        raise RuntimeError("the face is not well")

    monkeypatch.setattr(command, "run", run)
    assert command.main([]) == 2
