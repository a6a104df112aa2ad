"""Programs that say ``import websocket`` and get this package, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

#: What the process does first.
INSTALL = "import reactor; reactor.install_as_websocket()\n"


def run_python(
    *arguments: str, patience: float = 50, warnings: str = "error", **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments; return what came of it.

    Parameters:
        patience: seconds that it may take.
        warnings: what is done with warnings.
    """
    command = [sys.executable, "-W", warnings, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=patience, check=False, **options
    )


def run_installed(code: str, *arguments: str, warnings: str = "error") -> str:
    """Run *code* in a process where this package is ``websocket``; return what it printed."""
    result = run_python("-c", INSTALL + code, *arguments, warnings=warnings)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
