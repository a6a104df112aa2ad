"""For PyInstaller: where the hook is that tells it what this package consists of.

PyInstaller finds :func:`get_hook_dirs` by an entry point (pyproject.toml).
"""

from __future__ import annotations

import os

__all__ = ["get_hook_dirs"]


def get_hook_dirs() -> list[str]:
    """Return the folder of ``hook-reactor.py``."""
    return [os.path.join(os.path.dirname(__file__), "hooks")]
