"""Python programs that run in a process of their own, and commands of ours that need none."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from unittest import mock

from reactor.classic import enableTrace
from reactor.cli.main import main

ROOT = Path(__file__).parents[2]


def run_program(program: str) -> str:
    """Return what a Python program prints. It must end well; warnings are errors."""
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout


def run_command(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of ours between pipes, within this process: to start another takes longer.

    Args:
        arguments: those of ``reactor``.
        typed: what its standard input has.
    """
    reading, writing = os.pipe()
    writer = threading.Thread(target=_write, args=(writing, typed.encode()))
    writer.start()
    out, err = io.StringIO(), io.StringIO()
    try:
        with (
            open(reading) as stdin,
            mock.patch.object(sys, "stdin", stdin),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            status = main(arguments)
    except SystemExit as exc:
        status = int(exc.code or 0)
    finally:
        enableTrace(False)
        writer.join()
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def _write(writing: int, data: bytes) -> None:
    with suppress(BrokenPipeError), open(writing, "wb") as file:
        file.write(data)
