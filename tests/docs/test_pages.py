"""The code of every page runs, and prints what the page says: see page.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .blocks import ROOT, blocks_of, pages


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    "page",
    [page for page in pages() if blocks_of(page)],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_its_code_runs(page: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.page", str(page.relative_to(ROOT))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
