"""Private modules of websocket-client whose names can be replaced, as tests of programs do.

What it is: :func:`follow`, which gives ``mock.patch("websocket._core.send")`` and
``websocket._logging._logger = ...`` the effect that they have in websocket-client.

What it must not know: what the names stand for.

How it works. Our code looks a name up in a module of ours, its *home*, not in the module that
shows it to programs. So when a name is set in the latter, it is set in its homes as well. State
that changes by itself (whether the trace is on) is not kept in the module that shows it; it is read
from its home each time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

__all__ = ["follow"]

#: Turns the function that a program has set into the function that our code calls.
Adapter = Callable[[Any], Any]


class _Follower(ModuleType):
    """A module whose names are also set in their homes."""

    def __setattr__(self, name: str, value: Any) -> None:
        space = self.__dict__
        if name.startswith("__"):  # set by the import system
            super().__setattr__(name, value)
            return
        state = space["__state__"]
        if name in state:
            setattr(state[name], name, value)
            return
        adapter = space["__adapters__"].get(name)
        original = space["__originals__"].get(name)
        ours = value if adapter is None or value is original else adapter(value)
        for home in space["__homes__"].get(name, ()):
            setattr(home, name, ours)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        home = self.__dict__["__state__"].get(name)
        if home is None:
            super().__delattr__(name)
        else:  # mock.patch deletes such a name, and sets it again if it is then missing
            delattr(home, name)

    def __getattr__(self, name: str) -> Any:
        home = self.__dict__["__state__"].get(name)
        if home is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(home, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.__dict__["__state__"]]


def follow(
    module: str,
    *homes: ModuleType,
    state: Mapping[str, ModuleType] | None = None,
    adapters: Mapping[str, Adapter] | None = None,
) -> None:
    """Pass on what programs set in a module to the modules in which our code looks it up.

    To be called by the module itself.

    Args:
        module: its ``__name__``.
        homes: modules of ours; a name is set in those in which it has the same value.
        state: names that are not in the module but only in these homes.
        adapters: for functions that our code calls in another way than websocket-client's code.
    """
    shown = sys.modules[module]
    space = shown.__dict__
    space["__originals__"] = {name: value for name, value in space.items() if name[:2] != "__"}
    space["__homes__"] = {
        name: [home for home in homes if vars(home).get(name, homes) is value]
        for name, value in space["__originals__"].items()
    }
    space["__state__"], space["__adapters__"] = dict(state or {}), dict(adapters or {})
    shown.__class__ = _Follower
