"""Private modules of websocket-client whose names can be replaced, as tests of programs do.

What it is: :func:`follow`, which makes ``mock.patch("websocket._core.send")`` and
``websocket._logging._logger = ...`` have the effect that they have there.

What it must not know: what the names stand for.

How it works. Our code looks a name up in a module of ours, its *home*, not in the module that
shows it to programs. So a name that is set in the latter is set in its homes as well. State, which
changes without anybody setting it there (whether the trace is on), is not kept in the module that
shows it, but read from its home each time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

__all__ = ["follow"]

#: From the function that a program has put in a name's place to what our code calls.
Adapter = Callable[[Any], Any]


class _Follower(ModuleType):
    """A module whose names, when they are set, are set in their homes as well."""

    def __setattr__(self, name: str, value: Any) -> None:
        space = self.__dict__
        if name.startswith("__"):  # of the import system
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
        else:  # mock.patch deletes such a name, and sets it again when it is not there any more
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
    """Set what programs set in a module in the modules where our code looks it up, too.

    To be called by the module itself.

    Parameters:
        module: its ``__name__``.
        homes: modules of ours; a name is set in those where it stands for the same thing.
        state: names that are not in the module but only in these homes.
        adapters: for functions that are called otherwise by our code than by websocket-client's.
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
