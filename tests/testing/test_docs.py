"""Every block of docs/testing.md and of docs/recording.md runs, as a file of tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = DOCS / "testing.md"


@pytest.mark.parametrize("page", [PAGE, DOCS / "recording.md"], ids=lambda page: page.stem)
def test_every_block_runs(tmp_path: Path, page: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    if page.stem == "recording":
        pytest.importorskip("zstandard")
    for number, block in enumerate(blocks):
        (tmp_path / f"test_block_{number}.py").write_text(block)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-rA"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    for number in range(len(blocks)):
        assert f"PASSED test_block_{number}.py" in result.stdout


def test_every_script_is_on_the_page() -> None:
    from reactor.testing import faults

    text = PAGE.read_text()
    assert [name for name in faults.__all__ if f"`faults.{name}(" not in text] == []
