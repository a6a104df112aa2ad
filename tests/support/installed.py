"""Programs that say ``import websocket`` and get this package, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

#: What the process does first.
INSTALL = "import reactor; reactor.install_as_websocket()\n"


def run_python(
    *arguments: str, patience: float = 50, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments, warnings as errors; return what came of it."""
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=patience, check=False, **options
    )


def run_installed(code: str, *arguments: str) -> str:
    """Run *code* in a process where this package is ``websocket``; return what it printed."""
    result = run_python("-c", INSTALL + code, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout
