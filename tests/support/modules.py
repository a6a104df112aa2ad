"""The modules of the package that can be imported here."""

from __future__ import annotations

import importlib.util
import pkgutil

import reactor

__all__ = ["MODULES"]

MODULES = [
    info.name
    for info in pkgutil.walk_packages(reactor.__path__, "reactor.")
    if not info.name.endswith("__main__")  # it runs when it is imported
    and (info.name != "reactor.fleet.placements.ray" or importlib.util.find_spec("ray"))
]
