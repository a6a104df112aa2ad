"""Editors that use jedi (and IPython) know every option, with its type and default.

jedi reads sources and runs nothing. Options that are passed on it follows to the function that they
are passed to; signatures for type checkers it reads as they do. See test_signatures.py for those.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reactor import Accept, Backoff, ClientOptions, Reactor, ServerOptions
from reactor.asyncio import connect, serve, unix_connect, unix_serve
from reactor.feeds import Feed
from reactor.hosting.asyncio import asyncio_host
from reactor.testing import ManualReactor, MemoryServer, connect_pair

jedi = pytest.importorskip("jedi")

ROOT = Path(__file__).parents[1]

PROGRAM = """
from reactor import Accept, Backoff, ClientOptions, Reactor, ServerOptions, WebSocketProtocol
from reactor.asyncio import connect, serve, unix_connect, unix_serve
from reactor.feeds import Feed
from reactor.fleet import Fleet
from reactor.hosting.asyncio import asyncio_host
from reactor.hosting.trio import trio_host
from reactor.testing import ManualReactor, MemoryServer, connect_pair

class Mine(WebSocketProtocol): ...
class Trades(Feed): ...

loop = Reactor()
server = MemoryServer(loop, Mine)
"""

#: What is called in an editor, and what that is at run time.
CALLS: dict[str, Callable[..., Any]] = {
    "Reactor": Reactor,
    "loop.connect": Reactor.connect,
    "loop.listen": Reactor.listen,
    "Accept": Accept,
    "Backoff": Backoff,
    "ClientOptions": ClientOptions,
    "ServerOptions": ServerOptions,
    "Trades": Feed,
    "asyncio_host": asyncio_host,
    "connect": connect,
    "unix_connect": unix_connect,
    "serve": serve,
    "unix_serve": unix_serve,
    "ManualReactor": ManualReactor,
    "MemoryServer": MemoryServer,
    "server.connect": MemoryServer.connect,
    "connect_pair": connect_pair,
}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    jedi.settings.cache_directory = tmp_path_factory.mktemp("jedi")


def at_the_end_of(code: str) -> tuple[Any, int, int]:
    text = PROGRAM + code
    lines = text.splitlines()
    environment = jedi.api.environment.InterpreterEnvironment()
    script = jedi.Script(text, project=jedi.Project(ROOT), environment=environment)
    return script, len(lines), len(lines[-1])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("call", CALLS)
def test_jedi_knows_what_there_is_at_run_time(call: str) -> None:
    script, *place = at_the_end_of(f"{call}(")
    (signature,) = script.get_signatures(*place)
    shown = {each.name: each.to_string() for each in signature.params}
    expected = inspect.signature(CALLS[call]).parameters
    names = set(expected) - {"self", "unknown"}
    missing = names - shown.keys()
    assert not missing
    without_type = {name for name in names if ":" not in shown[name]}
    assert not without_type
    with_default = {name for name in names if expected[name].default is not inspect.Parameter.empty}
    assert not {name for name in with_default if "=" not in shown[name]}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("code", "known"),
    [
        ("loop.connect('ws://host/', Mine, ping_", "ping_interval="),
        ("loop.listen('127.0.0.1', 0, Mine, max_", "max_connections="),
        ("Accept(Mine, ping_", "ping_interval="),
        ("Trades(loop, 'ws://host/', topics_", "topics_per_link="),
        ("asyncio_host(max_", "max_connecting="),
        ("connect('ws://host/', ping_", "ping_interval="),
    ],
)
def test_jedi_completes(code: str, known: str) -> None:
    script, *place = at_the_end_of(code)
    assert known in [each.name for each in script.complete(*place)]
