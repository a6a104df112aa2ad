"""How much of each module its own tests run: ``make cov``, or ``python -m tests.coverage``.

What it is: a program. It runs the tests of each folder in a process of its own, with branch
coverage and a note of which test ran which line, and fails when a module is below the floor.

How it works. A module counts only what its own tests run: ``tests/loop/test_poller*.py`` for
``reactor/loop/poller.py``. If it has no test file of its own, these are all tests of its folder, of
whose subject it is a part. What the tests of other folders run on their way does not count, apart
from the figure for the whole package. ELSEWHERE and UNMEASURED have the exceptions, with reasons.

The tests run without the compiled twins, since coverage cannot see what these do in the place of
the Python functions. The tests of the twins compare both.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from coverage import Coverage

HERE = Path(__file__).parent
ROOT = HERE.parent

#: Per cent of the lines and branches of a module that its own tests must run.
FLOOR = 98.0

#: Per cent of the whole package that all tests together must run.
WHOLE_FLOOR = 95.0

#: Folders of tests with another name than the folder of the modules: the loop's is not "asyncio",
#: which would hide the standard library's from its own modules.
RENAMED = {"asyncio": "aio"}

#: Modules whose tests are elsewhere: they are tested where they are of use.
ELSEWHERE = {
    "opening.py": ("test_reactor.py", "client", "server"),
    "registry.py": ("test_reactor.py", "test_contracts.py"),
    "tasks.py": ("loop",),
    "tracing.py": ("connection",),
    # The two steps of connecting are tested where they are put together, on both libraries.
    "classic/names/handshake.py": ("classic/blocking/test_steps.py",),
    "classic/names/http.py": ("classic/blocking/test_steps.py",),
    "asyncio/client.py": ("aio",),  # the opening handshake of both sides: test_opening.py
    "asyncio/server.py": ("aio",),
    "connection/wiretap.py": ("client/test_tapped.py", "server/test_listener_overheard.py"),
    "feeds/links/messages.py": ("feeds",),  # what builders return: test_faults.py
    "feeds/links/wire.py": ("feeds",),
    "feeds/signatures.py": ("test_signatures.py",),  # with the options of all other functions
    "feeds/topics/topic.py": ("feeds",),  # what the reconciler keeps of a topic
    "monitor/page/serving.py": ("monitor/page",),  # what pages are told: test_viewer.py
    "transports/tls_stream.py": ("transports/test_stream.py", "transports/test_tls_stream.py"),
    "protocols/counters.py": ("connection",),
    "protocols/stats.py": ("connection",),
    "protocols/rules.py": ("protocols",),  # test_rules.py has only what is sent
    "protocols/messages.py": ("protocols",),  # what is compressed: test_session_compression.py
    "protocols/receiving.py": ("protocols",),  # every test of the session is one of it
    "feeds/topics/sequences.py": ("feeds/topics",),  # test_sequences.py has the judgement only
}

#: Modules and folders that are not held to the floor, and why. The whole includes them.
UNMEASURED = {
    "__main__.py": "runs in processes of its own",
    "__pyinstaller": "PyInstaller runs it",
    "cli": "programs; the tests run them in processes of their own, with a terminal or without",
    "compiled": "chooses between Python and the twins, which are switched off here",
    # A fleet is processes that a nats-server connects: what they do is seen by the tests, but not
    # measured there. What they decide is in fleet/rules, which is held to the floor.
    **dict.fromkeys(
        (
            *("fleet/__init__.py", "fleet/cancelling.py", "fleet/connects.py"),
            *("fleet/coordinator.py", "fleet/embedded.py", "fleet/fleet.py", "fleet/ledger.py"),
            *(
                "fleet/names.py",
                "fleet/placements",
                "fleet/seat.py",
                "fleet/shard.py",
                "fleet/spec.py",
            ),
            *("fleet/sinks", "fleet/stats.py", "fleet/store.py", "fleet/wishes.py"),
        ),
        "needs a nats-server, and mostly runs in processes of its own",
    ),
    "hosting/qt.py": "needs a display and PySide6, which not every machine has",
    "hosting/tkinter.py": "needs a display",
    "connection/lifecycle.py": "types only; nothing imports it at run time",
    "protocols/interfaces.py": "types only; nothing imports it at run time",
    "testing/plugin.py": "pytest imports it before anything is measured",
    "transports/receiver.py": "types only; nothing imports it at run time",
    "websocket": "names only; websocket-client's own tests run on it in processes of their own",
}

#: Lines that are never meant to run.
EXCLUDED = ("if TYPE_CHECKING:", r"^\s*\.\.\.$", "raise NotImplementedError", r"pragma: no cover")


#: Conditions that have one outcome at run time.
PARTIAL = ("if not TYPE_CHECKING:",)


class Contexts:
    """A plugin of pytest: tells coverage which test is running, its fixtures included."""

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Run one test in a context named after its file."""
        self._coverage.switch_context(item.nodeid.partition("::")[0])
        try:
            return (yield)
        finally:
            self._coverage.switch_context("")


def measure(data: str, arguments: list[str]) -> int:
    """Run pytest in this process, which has imported nothing of reactor yet."""
    source = [str(ROOT / "reactor")]
    coverage = Coverage(data_file=data, branch=True, source=source, config_file=False)
    coverage.start()
    try:
        options = ["-q", "-p", "no:xdist", "--timeout", "600"]  # it is slower than without
        return int(pytest.main([*options, *arguments], plugins=[Contexts(coverage)]))
    finally:
        coverage.stop()
        coverage.save()


def run(folder: Path, data: Path) -> str:
    """Run the tests of a folder, or of one file, in a process; return what failed, or ""."""
    here = ["-m", "tests.coverage", "--measure", str(data / f"coverage.{folder.stem}"), str(folder)]
    done = subprocess.run(
        [sys.executable, *here],
        cwd=ROOT,
        env={**os.environ, "REACTOR_PURE_PYTHON": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(f"{folder.relative_to(HERE)}: {done.stdout.strip().splitlines()[-1:]}", flush=True)
    return done.stdout if done.returncode not in (0, 5) else ""


def own_tests(module: str) -> tuple[str, ...]:
    """Return regular expressions for the test files of a module.

    Args:
        module: its path in reactor/.
    """
    if module in ELSEWHERE:
        return tuple(rf"^tests/{re.escape(each)}\b" for each in ELSEWHERE[module])
    path = Path(module)
    folder = Path(*(RENAMED.get(part, part) for part in path.parent.parts))
    stem = path.parent.name if path.stem == "__init__" else path.stem
    own = [
        test.relative_to(ROOT).as_posix()
        for test in (HERE / folder).glob(f"test_{stem}*.py")
        if re.fullmatch(rf"test_{stem}(_.*)?", test.stem)
    ]
    files = own or [(Path("tests") / folder).as_posix() + "/test_"]
    return tuple(f"^{re.escape(each)}" for each in files)


def is_measured(module: str) -> bool:
    """Return whether a module is held to the floor."""
    return not any(module == each or module.startswith(f"{each}/") for each in UNMEASURED)


def report(data: Path, modules: Iterable[str]) -> tuple[list[str], float]:
    """Return a line for each module that is below the floor, and the figure of the whole."""
    coverage = Coverage(data_file=str(data / "coverage"), branch=True, config_file=False)
    coverage.combine([str(data)])
    for pattern in EXCLUDED:
        coverage.exclude(pattern)
    for pattern in PARTIAL:
        coverage.exclude(pattern, "partial")
    below = []
    for module in modules:
        text = StringIO()
        percent = coverage.report(
            include=[str(ROOT / "reactor" / module)],
            contexts=["^$", *own_tests(module)],  # "": what the import itself runs
            show_missing=True,
            file=text,
        )
        if percent < FLOOR:
            missing = text.getvalue().splitlines()[2].rpartition("%")[2].strip()
            below.append(f"{percent:5.1f} %  {module}: {missing}")
    return below, coverage.report(file=StringIO())


def main() -> int:
    """Measure the folders that are named, or all; exit status 1 when a module is below."""
    parser = argparse.ArgumentParser(description="Branch coverage of each module by its own tests.")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (2)")
    parser.add_argument("--measure", nargs=2, metavar=("DATA", "TESTS"), help=argparse.SUPPRESS)
    parser.add_argument("folders", nargs="*", help="of tests: loop, protocols, ...; default: all")
    given = parser.parse_args()
    if given.measure:
        return measure(given.measure[0], given.measure[1:])
    everything = sorted(
        path
        for path in HERE.iterdir()
        if (path.is_dir() and any(path.rglob("test_*.py"))) or path.match("test_*.py")
    )
    chosen = [path for path in everything if path.stem in given.folders] or everything
    modules = [
        path.relative_to(ROOT / "reactor").as_posix() for path in (ROOT / "reactor").rglob("*.py")
    ]
    measured = sorted(filter(is_measured, modules))
    if given.folders:
        folders = {name: ours for ours, name in RENAMED.items()}
        wanted = {folders.get(name, name) for name in given.folders}
        run_too = {path.name for path in chosen}
        tests_of = {
            name: {each.partition("/")[0] for each in ELSEWHERE.get(name, ())} for name in measured
        }
        measured = [
            name
            for name in measured
            if name.partition("/")[0] in wanted and run_too.issuperset(tests_of[name])
        ]
    with TemporaryDirectory() as folder:
        data = Path(folder)
        with ThreadPoolExecutor(given.jobs) as pool:
            failures = list(filter(None, pool.map(lambda each: run(each, data), chosen)))
        below, whole = report(data, measured)
    print(*failures, sep="\n")
    print(*below, sep="\n")
    print(f"{len(measured)} modules: {len(below)} below {FLOOR:g} %")
    if given.folders:
        return 1 if failures or below else 0
    print(f"the whole: {whole:.1f} %, and {WHOLE_FLOOR:g} % at least is wanted")
    return 1 if failures or below or whole < WHOLE_FLOOR else 0


if __name__ == "__main__":
    sys.exit(main())
