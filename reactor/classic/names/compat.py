"""Our package installed as ``websocket``, in place of websocket-client, and its private modules.

What it is: :func:`install_as_websocket`, after which ``import websocket`` finds ours, and
:func:`private_module`, for ``reactor._exceptions`` and the like.

What it must not know: what the names do; the package reactor/websocket has them.

How it works. Our package becomes ``websocket`` the way any package does: a finder tells the import
system that it is in our folder. So its modules have the names, specifications and files that
importlib, inspect, pkgutil and pickle look for. Programs that do not use it do not pay for it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

__all__ = ["PRIVATE_MODULES", "install_as_websocket", "private_module"]

#: websocket-client's private modules.
PRIVATE_MODULES = (
    "_abnf",
    "_app",
    "_cookiejar",
    "_core",
    "_dispatcher",
    "_exceptions",
    "_handshake",
    "_http",
    "_logging",
    "_socket",
    "_ssl_compat",
    "_url",
    "_utils",
    "_wsdump",
)

_PACKAGE = __package__.partition(".")[0]


class _Finder(MetaPathFinder):
    """Finds ``websocket`` in our folder."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where ``websocket`` is; None for any other module."""
        if fullname != "websocket":
            return None
        spec = PathFinder.find_spec(fullname, list(sys.modules[_PACKAGE].__path__), target)
        if spec is None:  # never fall back silently to the genuine package
            raise ModuleNotFoundError(
                f"{_PACKAGE}.websocket is not there: a packager has to take all modules of "
                f"{_PACKAGE} along",
                name=fullname,
            )
        return spec


def private_module(name: str) -> ModuleType:
    """Return one of websocket-client's private modules, built from our names.

    Args:
        name: for example ``_exceptions``.

    Raises:
        AttributeError: there is no such module.
    """
    if name not in PRIVATE_MODULES:
        raise AttributeError(f"module {_PACKAGE!r} has no attribute {name!r}")
    return import_module(f"{_PACKAGE}.websocket.{name}")


def install_as_websocket() -> None:
    """Have ``import websocket`` import our package of that name, in the whole process.

    To be called before any code that imports ``websocket``; code that has already imported
    websocket-client keeps it. A further call has no effect.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    for name in [name for name in sys.modules if name.partition(".")[0] == "websocket"]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Finder())
    import_module("websocket")
