"""The floors of the house: which module may import which.

The imports are read from the sources, so that those inside of functions count as well. Those
under ``if TYPE_CHECKING:`` do not exist at run time; they may go where others may not, and each
that does is listed here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "reactor"
ROOT = Path(__file__).parents[1] / PACKAGE

#: Which floor a module is on: that of the longest of these names that it is, or is in. Imports go
#: down, or stay on the floor.
FLOORS = (
    {"exceptions", "base"},
    {"timers", "protocols", "compiled.counters", "compiled.frames"},
    {"loop"},
    {"transports", "hosting.verbs"},
    {"connection"},
    {"client", "server"},
    {"opening", "reactor", "registry", "signatures", "tasks", "compiled"},
    {"hosting", "asyncio", "classic", "feeds", "fleet", "monitor.recording", "testing", "tracing"},
    {"monitor"},
    {"__init__", "__main__", "__pyinstaller", "cli", "websocket"},
)

#: (who, what) under ``if TYPE_CHECKING:`` that would not be allowed at run time.
FOR_TYPES_ONLY = {
    ("reactor.protocols.websocket", "reactor.loop.answers"),
    ("reactor.protocols.websocket", "reactor.reactor"),
    ("reactor.loop.tasks", "reactor.loop.event_loop"),
    ("reactor.transports.linger", "reactor.loop.event_loop"),
    ("reactor.transports.stream", "reactor.loop.event_loop"),
    ("reactor.transports.tls_stream", "reactor.loop.event_loop"),
}

_THE_SYSTEM = {"_socket", "_ssl", "_thread", "socket", "ssl", "select", "selectors", "selectors2"}
_SANS_IO = _THE_SYSTEM | {"threading", "time", "asyncio", "queue", "subprocess", "logging"}

_FEEDS_WITH_IO = {
    f"reactor.feeds.{name}" for name in ("driver", "feed", "links.link", "links.wire")
}

#: What the modules and packages on the left may not import, of the standard library or of us.
FORBIDDEN = {
    "reactor.feeds.topics": _SANS_IO | _FEEDS_WITH_IO,
    "reactor.feeds.events": _SANS_IO | _FEEDS_WITH_IO,
    "reactor.fleet.rules": _SANS_IO | {"nats"},
    "reactor.protocols": _SANS_IO | {"reactor.timers"},
    "reactor.timers": _SANS_IO - {"time"} | {"reactor.protocols"},
    "reactor.timers.wheel": {"time", "datetime", "reactor.timers.clock"},
    "reactor.transports": {"reactor.loop.event_loop"},
    "reactor.loop": {"reactor.protocols"},
    "reactor.loop.event_loop": {f"reactor.loop.{name}" for name in ("steps", "tasks", "within")},
    "reactor.loop.steps": {"reactor.loop.event_loop", "reactor.loop.tasks"},
    "reactor.loop.poller": {"reactor.loop.event_loop", "reactor.timers"},
    "reactor.loop.tasks": {"reactor.loop.event_loop"},
    "reactor.client": {"reactor.server"},
    "reactor.server": {"reactor.client"},
    "reactor": {"asyncio", "nats", "ray"},
}

#: (who, what) all the same: where the loop of asyncio may be the one that runs.
ALL_THE_SAME = {("reactor.feeds.mailbox", "asyncio")}

#: Packages for which a rule above is none: they are about what it forbids.
EXEMPT = {
    "asyncio": {
        "reactor.asyncio",
        "reactor.cli.fleet",
        "reactor.cli.fleet_demo",
        "reactor.fleet",
        "reactor.hosting.asyncio",
    },
    "nats": {"reactor.fleet"},
    "ray": {"reactor.fleet.placements.ray"},
}

#: Who alone may import what is on the left.
RESERVED = {
    "selectors2": "reactor.loop.poller",
    "select": "reactor.loop.poller",
    "selectors": "reactor.loop.poller",
    "python_socks": "reactor.transports.proxy",
    "pytest": "reactor.testing.plugin",
    "confluent_kafka": "reactor.fleet.sinks.kafka",
    "pyarrow": "reactor.fleet.sinks.parquet",
    "redis": "reactor.fleet.sinks.redis",
    "prometheus_client": "reactor.monitor.prometheus",
    "opentelemetry": "reactor.monitor.opentelemetry",
}


class Import(NamedTuple):
    """One import statement, resolved: *target* is a module of ours or of others."""

    module: str
    target: str
    line: int
    for_types: bool

    def __str__(self) -> str:
        return f"{self.module}, line {self.line}: imports {self.target}"


def read_sources() -> dict[str, str]:
    """The text of every module, by its full name; packages by the name of the package."""
    sources = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = list(path.relative_to(ROOT.parent).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = path.read_text()
    return sources


def find_imports(sources: dict[str, str], packages: set[str]) -> list[Import]:
    return [
        found
        for name, text in sources.items()
        for found in _Reader(name, name in packages, set(sources)).read(text)
    ]


class _Reader(ast.NodeVisitor):
    """Collects the imports of one module."""

    def __init__(self, module: str, is_package: bool, ours: set[str]) -> None:
        self._module = module
        self._package = module if is_package else module.rpartition(".")[0]
        self._ours = ours
        self._for_types = False
        self._found: list[Import] = []

    def read(self, text: str) -> list[Import]:
        self.visit(ast.parse(text))
        return self._found

    def visit_If(self, node: ast.If) -> None:
        test = ast.unparse(node.test)
        outside = self._for_types
        self._for_types = outside or test in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for child in node.body:
            self.visit(child)
        self._for_types = outside
        for child in node.orelse:
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._note(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parts = self._package.split(".")
            above = parts[: len(parts) - node.level + 1]
            base = ".".join([*above, *([base] if base else [])])
        for alias in node.names:
            submodule = f"{base}.{alias.name}"
            self._note(submodule if submodule in self._ours else base, node)

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func)
        if name in ("__import__", "importlib.import_module", "import_module") and node.args:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                self._note(argument.value, node)
        self.generic_visit(node)

    def _note(self, target: str, node: ast.stmt | ast.expr) -> None:
        self._found.append(Import(self._module, target, node.lineno, self._for_types))


def within(module: str, names: Iterable[str]) -> bool:
    """Whether a module is one of these, or in one of these packages."""
    return any(module == name or module.startswith(f"{name}.") for name in names)


def floor_of(module: str) -> int | None:
    """The number of a module's floor; None for a module that is on none."""
    place = module.removeprefix(f"{PACKAGE}.")
    if module == PACKAGE:
        place = "__init__"
    while place:
        for number, names in enumerate(FLOORS):
            if place in names:
                return number
        place = place.rpartition(".")[0]
    return None


def violations(imports: Iterable[Import]) -> Iterator[Import]:
    for found in imports:
        if found.for_types and (found.module, found.target) in FOR_TYPES_ONLY:
            continue
        if not is_allowed(found):
            yield found


def is_allowed(found: Import) -> bool:
    if (found.module, found.target) in ALL_THE_SAME:
        return True
    for module, forbidden in FORBIDDEN.items():
        forbidden = {name for name in forbidden if not within(found.module, EXEMPT.get(name, ()))}
        if within(found.module, [module]) and within(found.target, forbidden):
            return False
    for name, owner in RESERVED.items():
        if within(found.target, [name]) and found.module != owner:
            return False
    if within(found.target, [PACKAGE]):
        own, other = floor_of(found.module), floor_of(found.target)
        return own is None or other is None or other <= own
    return True


def cycles(imports: Iterable[Import]) -> list[list[str]]:
    """Chains of modules that import one another at run time, each from a module back to it."""
    graph: dict[str, set[str]] = {}
    for found in imports:
        if within(found.target, [PACKAGE]) and not found.for_types:
            graph.setdefault(found.module, set()).add(found.target)
    found_cycles: list[list[str]] = []
    finished: set[str] = set()

    def walk(module: str, path: list[str]) -> None:
        if module in path:
            found_cycles.append([*path[path.index(module) :], module])
        elif module not in finished:
            for target in sorted(graph.get(module, ())):
                walk(target, [*path, module])
            finished.add(module)

    for module in sorted(graph):
        walk(module, [])
    return found_cycles


SOURCES = read_sources()
PACKAGES = {
    ".".join(path.parent.relative_to(ROOT.parent).parts) for path in ROOT.rglob("__init__.py")
}
IMPORTS = find_imports(SOURCES, PACKAGES)


# --- the house as it is -------------------------------------------------------------------------


def test_every_module_is_on_a_floor() -> None:
    assert [name for name in SOURCES if floor_of(name) is None] == []


def test_every_name_on_a_floor_is_a_module() -> None:
    there = {name.removeprefix(f"{PACKAGE}.") for name in SOURCES}
    of_cython = {"compiled.counters", "compiled.frames"}
    missing = set().union(*FLOORS) - there - of_cython - {"__init__"}
    assert missing == set()


def test_no_import_goes_up_or_where_it_must_not() -> None:
    assert [str(found) for found in violations(IMPORTS)] == []


def test_every_exception_for_types_is_in_use_and_needed() -> None:
    for_types = {(found.module, found.target) for found in IMPORTS if found.for_types}
    assert for_types >= FOR_TYPES_ONLY
    for module, target in FOR_TYPES_ONLY:
        assert not is_allowed(Import(module, target, 0, True)), f"{module} -> {target} is allowed"


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert [" -> ".join(cycle) for cycle in cycles(IMPORTS)] == []


def test_what_is_reserved_is_imported_by_the_one_that_may() -> None:
    """Otherwise the rule would be about nothing. The standard selectors are needed by nobody."""
    found = {(each.target.partition(".")[0], each.module) for each in IMPORTS}
    assert found >= {(name, owner) for name, owner in RESERVED.items() if name != "selectors"}


# --- that the checks see what they should -------------------------------------------------------


def allowed(module: str, text: str) -> bool:
    ours = {*SOURCES, "reactor.transports.proxy", "reactor.compiled.frames"}
    imports = _Reader(module, module in PACKAGES, ours).read(text)
    assert imports
    return not list(violations(imports))


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("reactor.loop.event_loop", "from ..reactor import Reactor"),
        ("reactor.loop.event_loop", "from .. import reactor"),
        ("reactor.loop.event_loop", "import reactor"),
        ("reactor.loop.event_loop", "import reactor.client.pipeline"),
        ("reactor.loop.event_loop", "def f():\n    from ..client.pipeline import connect"),
        (
            "reactor.loop.event_loop",
            "try:\n    from ..client.pipeline import connect\nexcept ImportError: pass",
        ),
        (
            "reactor.loop.event_loop",
            "if TYPE_CHECKING:\n    pass\nelse:\n    from ..client.pipeline import connect",
        ),
        (
            "reactor.loop.event_loop",
            "import importlib\nimportlib.import_module('reactor.client.pipeline')",
        ),
        ("reactor.loop.event_loop", "from .tasks import Task"),
        ("reactor.loop.event_loop", "from ..transports.stream import Stream"),
        ("reactor.loop.event_loop", "import select"),
        ("reactor.loop.event_loop", "import selectors2"),
        ("reactor.loop.event_loop", "from selectors import DefaultSelector"),
        ("reactor.loop.event_loop", "import asyncio"),
        ("reactor.hosting.rel", "import asyncio"),
        ("reactor.reactor", "from .asyncio import connect"),
        ("reactor.loop.tasks", "from .event_loop import EventLoop"),
        ("reactor.exceptions", "from .timers import Timer"),
        ("reactor.base.locks", "from ..timers import Timer"),
        ("reactor.loop.poller", "from .event_loop import EventLoop"),
        ("reactor.timers", "from reactor.loop.event_loop import EventLoop"),
        ("reactor.timers.wheel", "import time"),
        ("reactor.timers.wheel", "from .clock import Clock"),
        ("reactor.timers.wheel", "from reactor.timers import clock"),
        ("reactor.timers.deadline", "import socket"),
        ("reactor.timers.deadline", "from ..protocols import frames"),
        ("reactor.protocols.session", "import time"),
        ("reactor.protocols.session", "from socket import socket"),
        ("reactor.protocols.session", "import ssl"),
        ("reactor.protocols.session", "import threading"),
        ("reactor.protocols.session", "import asyncio.events"),
        ("reactor.protocols.session", "from ..timers import Timer"),
        ("reactor.protocols.session", "from ..loop.event_loop import EventLoop"),
        ("reactor.protocols.frames", "from ..compiled.turn import turn"),
        ("reactor.protocols", "from ..loop.event_loop import EventLoop"),
        (
            "reactor.protocols.session",
            "if TYPE_CHECKING:\n    from ..connection.connection import Connection",
        ),
        ("reactor.transports.stream", "from ..loop.event_loop import EventLoop"),
        ("reactor.transports.dial.race", "from ...loop.event_loop import EventLoop"),
        (
            "reactor.transports.dial.race",
            "if TYPE_CHECKING:\n    from ...loop.event_loop import EventLoop",
        ),
        ("reactor.transports.dial.race", "import python_socks"),
        ("reactor.transports.dial.race", "from python_socks._protocols import socks5"),
        ("reactor.connection.options", "from ..client.options import ClientOptions"),
        ("reactor.client.pipeline", "from ..server.pipeline import accept"),
        ("reactor.server.listener", "from ..client.url import parse_url"),
        ("reactor.server.listener", "from ..reactor import Reactor"),
        ("reactor.reactor", "from . import __version__"),
        ("reactor.testing.loop", "import pytest"),
        ("reactor.testing.peer", "from ..cli.echo import Echo"),
        ("reactor.client.connection", "from ..testing.peer import ScriptedPeer"),
    ],
)
def test_what_must_not_be_imported_is_noticed(module: str, text: str) -> None:
    assert not allowed(module, text)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("reactor.loop.event_loop", "import socket, threading"),
        ("reactor.loop.event_loop", "from .poller import Selector"),
        ("reactor.asyncio.client", "import asyncio"),
        ("reactor.hosting.asyncio", "import asyncio"),
        ("reactor.loop.event_loop", "from ..timers import Clock"),
        ("reactor.loop.poller", "import select, selectors2"),
        ("reactor.loop.tasks", "if TYPE_CHECKING:\n    from .event_loop import EventLoop"),
        ("reactor.timers.clock", "import time"),
        ("reactor.timers", "from reactor.timers.clock import Clock"),
        ("reactor.protocols.session", "from .frames import serialize"),
        ("reactor.protocols.session", "from ..exceptions import WebSocketException"),
        ("reactor.protocols.frames", "from ..compiled.frames import serialize"),
        (
            "reactor.transports.stream",
            "if typing.TYPE_CHECKING:\n    from ..loop.event_loop import EventLoop",
        ),
        ("reactor.transports.proxy", "from python_socks._protocols import socks5"),
        ("reactor.reactor", "from .client.lifecycle import ClientLifecycle"),
        ("reactor.cli.main", "from . import echo"),
        ("reactor", "from .reactor import Reactor"),
        ("reactor.__main__", "from .cli.main import main"),
    ],
)
def test_what_may_be_imported_is_let_through(module: str, text: str) -> None:
    assert allowed(module, text)


def test_a_module_that_nobody_has_given_a_floor_is_noticed() -> None:
    assert floor_of("reactor.attic") is None
    assert floor_of("reactor.timers.attic") == 1


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ([("a", "b"), ("b", "c"), ("a", "c")], []),
        ([("a", "b"), ("b", "a")], [["a", "b", "a"]]),
        ([("z", "a"), ("a", "b"), ("b", "c"), ("c", "a")], [["a", "b", "c", "a"]]),
        ([("a", "a")], [["a", "a"]]),
    ],
)
def test_circles_are_noticed(edges: list[tuple[str, str]], expected: list[list[str]]) -> None:
    def full(name: str) -> str:
        return f"reactor.{name}"

    imports = [Import(full(own), full(other), 1, False) for own, other in edges]
    assert cycles(imports) == [[full(name) for name in cycle] for cycle in expected]
    assert cycles([found._replace(for_types=True) for found in imports]) == []
