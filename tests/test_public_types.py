"""Every type in the signature of something public can be imported from a public package.

So a user can annotate with it, and finds it in the reference: see docs/test_reference.py.
"""

from __future__ import annotations

import ast
import builtins
import collections.abc
import inspect
import typing
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

#: Modules with public names -> further ones, whose names users of them know.
MODULES: dict[str, tuple[str, ...]] = {
    "reactor": ("reactor.asyncio", "reactor.classic", "reactor.feeds"),
    "reactor.asyncio": ("reactor",),
    "reactor.feeds": ("reactor",),
    "reactor.fleet": ("reactor", "reactor.feeds"),
    "reactor.hosting.asyncio": ("reactor",),
    "reactor.hosting.qt": ("reactor",),
    "reactor.hosting.tkinter": ("reactor",),
    "reactor.hosting.trio": ("reactor",),
    "reactor.monitor": (
        *("reactor", "reactor.asyncio", "reactor.classic", "reactor.feeds", "reactor.fleet"),
    ),
    "reactor.tasks": ("reactor",),
    "reactor.testing": ("reactor", "reactor.feeds"),
    "reactor.testing.faults": ("reactor.testing",),
    "reactor.testing.frames": ("reactor.testing",),
}

#: Packages that a module needs, or one whose names its users know.
NEEDED = {"reactor.hosting.trio": ["trio"], "reactor.fleet": ["nats"], "reactor.monitor": ["nats"]}

#: Of the standard library, or of nats-py, or variables for types.
KNOWN = {*dir(builtins), *dir(typing), *dir(collections.abc), "Path", "PathLike", "SSLContext"}
KNOWN |= {"os", "re", "socket", "ssl", "ssl_module", "asyncio", "logging", "tkinter", "uuid"}
KNOWN |= {"Client", "Self", "StreamInfo"}
KNOWN |= {"C", "F", "O", "P", "S", "T"}

#: Classes whose objects are made for users, who do not call them.
MADE_FOR_USERS = {
    *("Answer", "ClientConnection", "Connection", "Link", "Listener", "Place", "Recorder", "Reply"),
    *("Server", "ServerConnection"),
}

#: What is public within the project only, by class; EventLoop is for hosts.
INTERNAL = {
    "Agreement": {"compressor"},
    "Coordinator": {"store"},
    "Listener": {"connection_over"},
    "Monitor": {"by_id"},
    "Pace": {"window"},
    "Recorder": {
        *("attached", "begin", "connected", "ended", "handshake", "refused", "untap"),
    },
    "Request": {"of"},
    "Response": {"of"},
    "in_thread": {"threads"},
}

#: What the steps of reactor.tasks yield is the business of their driver.
OF_DRIVERS = {"Yielded"}


def annotations(name: str, thing: Any) -> Iterator[tuple[str, Any]]:
    """What is annotated in a class or function, and how."""
    if not inspect.isclass(thing):
        yield from of_function(name, thing)
        return
    for kind in thing.__mro__:
        if not kind.__module__.startswith("reactor") or name == "EventLoop":
            continue
        own = vars(kind).get("__annotations__", {})
        hidden = INTERNAL.get(kind.__name__, set())
        yield from (
            (each, own[each]) for each in own if not each.startswith("_") and each not in hidden
        )
        for member, value in vars(kind).items():
            made = member == "__init__" and kind.__name__ not in MADE_FOR_USERS
            if member.startswith("_") and not made:
                continue
            if member in hidden:
                continue
            function = getattr(value, "__func__", getattr(value, "fget", value))
            if inspect.isfunction(function):
                yield from of_function(f"{kind.__name__}.{member}", function)


def of_function(name: str, function: Any) -> Iterator[tuple[str, Any]]:
    if not inspect.isfunction(function):
        return
    signature = inspect.signature(function)
    for each in signature.parameters.values():
        if each.annotation is not each.empty and each.name not in INTERNAL.get(name, ()):
            yield name, each.annotation
    if signature.return_annotation is not signature.empty:
        yield name, signature.return_annotation


def names_in(annotation: Any) -> set[str]:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("module", MODULES)
def test_every_type_in_a_public_signature_is_public(module: str) -> None:
    for needed in NEEDED.get(module, []):
        pytest.importorskip(needed)
    public = set(KNOWN | OF_DRIVERS)
    for each in (module, *MODULES[module]):
        public |= set(import_module(each).__all__)
    here = import_module(module)
    hidden = {
        (where, name)
        for thing in here.__all__
        for where, annotation in annotations(thing, getattr(here, thing))
        for name in names_in(annotation)
        if name not in public
    }
    assert hidden == set()
