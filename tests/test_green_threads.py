"""The threads of eventlet and gevent: all faces work, whenever they have patched what blocks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .support.certificates import Authority

PROGRAM = [sys.executable, "-m", "tests.support.green_program"]

FACES = ["Reactor", "create_connection", "WebSocketApp"]


@pytest.mark.parametrize("when", ["before", "after", "after a run"])
@pytest.mark.parametrize("library", ["eventlet", "gevent"])
def test_all_faces_work_with_green_threads(
    library: str, when: str, authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.write(tmp_path)
    done = subprocess.run(
        [*PROGRAM, library, when, certificate, key, authority.ca_file],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    expected = [f"{face} {scheme}" for scheme in ("ws", "wss") for face in FACES]
    assert done.stdout.splitlines() == [*expected, "over"]
    assert not done.stderr
