"""That one list of options is known to people, to editors and to type checkers."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import MISSING, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from reactor import (
    Accept,
    Backoff,
    ClientArguments,
    ClientOptions,
    ConnectionArguments,
    ConnectionOptions,
    Reactor,
    ReactorArguments,
    ServerArguments,
    ServerOptions,
    WebSocketProtocol,
)
from reactor import asyncio as aio
from reactor.feeds import Feed, FeedArguments, feeds_of, policy
from reactor.feeds.policy import Policy
from reactor.feeds.signatures import PIECES
from reactor.hosting.asyncio import AsyncioHost, asyncio_host
from reactor.testing import ManualReactor, MemoryServer

ROOT = Path(__file__).parents[1]
METHODS = {"connect": ClientOptions, "listen": ServerOptions}


def declared(
    method: str, path: str = "reactor/signatures.py", names: Any = None
) -> dict[str, tuple[str, object]]:
    """The options in a module that no program runs: name -> annotation, default."""
    tree = ast.parse((ROOT / path).read_text())
    (function,) = (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == method
    )
    options = {}
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        assert argument.annotation is not None
        assert default is not None
        value = eval(ast.unparse(default), names)
        options[argument.arg] = (ast.unparse(argument.annotation), value)
    return options


@pytest.mark.parametrize(("method", "options"), METHODS.items())
def test_what_is_declared_is_what_the_options_class_has(method: str, options: Any) -> None:
    expected = {
        field.name: (ast.unparse(ast.parse(field.type, mode="eval")), field.default)
        for field in fields(options)
    }
    own = {"sock", "unix_path"} if method == "listen" else set()
    found = {name: each for name, each in declared(method).items() if name not in own}
    assert found == expected


@pytest.mark.parametrize(("method", "options"), METHODS.items())
def test_inspect_shows_every_option_with_its_default(method: str, options: Any) -> None:
    parameters = inspect.signature(getattr(Reactor, method)).parameters
    for field in fields(options):
        parameter = parameters[field.name]
        assert parameter.default == field.default
        assert parameter.annotation == field.type
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
    assert not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())


@pytest.mark.parametrize("options", [ConnectionOptions, *METHODS.values()])
def test_every_option_has_a_default_and_is_documented_in_its_class(options: Any) -> None:
    inherited = () if options is ConnectionOptions else fields(ConnectionOptions)
    for field in fields(options):
        assert field.default is not MISSING
        if field.name in {each.name for each in inherited}:
            continue
        assert re.search(rf"^ +([\w, ]+, )?{field.name}(, [\w, ]+)?:", options.__doc__, re.M), field


def test_a_misspelt_option_is_answered_with_what_may_have_been_meant() -> None:
    with Reactor() as loop:
        options: Any = {"pingintervall": 3}
        with pytest.raises(TypeError, match="did you mean 'ping_interval'"):
            loop.connect("ws://localhost/", WebSocketProtocol, **options)
        wrong: Any = {"ping_interval": "3"}
        with pytest.raises(TypeError, match="ping_interval"):
            loop.connect("ws://localhost/", WebSocketProtocol, **wrong)


# --- functions that pass options on --------------------------------------------------------------


def arguments_of(each: Any) -> dict[str, str]:
    """The names of a TypedDict, and their types as they are written."""
    return {
        name: getattr(annotation, "__forward_arg__", annotation)
        for name, annotation in each.__annotations__.items()
    }


def shown_by(function: Any, *apart: str) -> dict[str, str]:
    """The parameters that a function takes by name, and their types as they are written."""
    parameters = inspect.signature(function).parameters.values()
    assert not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters), function
    by_name = [each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]
    return {each.name: each.annotation for each in by_name if each.name not in apart}


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (ConnectionArguments, ConnectionOptions),
        (ClientArguments, ClientOptions),
        (ServerArguments, ServerOptions),
    ],
)
def test_the_options_as_arguments_are_those_of_the_class(arguments: Any, options: Any) -> None:
    assert arguments_of(arguments) == {field.name: field.type for field in fields(options)}
    assert arguments.__total__ is False


@pytest.mark.parametrize(
    ("arguments", "function"),
    [
        (ReactorArguments, Reactor),
        (FeedArguments, Feed.__init__),
        (aio.ConnectArguments, aio.connect),
        (aio.ServeArguments, aio.serve),
    ],
)
def test_what_is_passed_on_is_what_the_function_takes(arguments: Any, function: Any) -> None:
    apart = ("unix_path",) if function in (aio.connect, aio.serve) else ()
    assert arguments_of(arguments) == shown_by(function, *apart)
    assert arguments.__total__ is False


def hosts() -> Iterator[tuple[Any, type[Any]]]:
    yield asyncio_host, ReactorArguments
    yield AsyncioHost, ReactorArguments
    for name in ("trio.trio_host", "trio.TrioHost", "tkinter.tkinter_host", "qt.qt_host"):
        module, _, function = name.partition(".")
        with suppress(ImportError):
            found = getattr(import_module(f"reactor.hosting.{module}"), function)
            yield found, ReactorArguments


@pytest.mark.parametrize(
    ("function", "arguments", "own"),
    [
        *((host, arguments, ()) for host, arguments in hosts()),
        (ManualReactor, ReactorArguments, ("start",)),
        (MemoryServer, ServerArguments, ()),
        (MemoryServer.connect, ClientArguments, ()),
        (Accept, ConnectionArguments, ("headers", "subprotocols", "process_response")),
        (aio.unix_connect, aio.ConnectArguments, ()),
        (aio.unix_serve, aio.ServeArguments, ()),
    ],
)
def test_inspect_shows_the_options_that_are_passed_on(
    function: Any, arguments: Any, own: tuple[str, ...]
) -> None:
    apart = {"clock", "unix_path"}  # which some give themselves
    expected = {name for name in arguments_of(arguments) if name not in apart}
    assert shown_by(function, *own).keys() - apart == expected


# --- feeds ---------------------------------------------------------------------------------------


def feed_options() -> dict[str, inspect.Parameter]:
    """The parameters of a Feed that are given by name."""
    parameters = inspect.signature(Feed.__init__).parameters
    kinds = {each.kind for each in parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds
    keyword = inspect.Parameter.KEYWORD_ONLY
    return {name: each for name, each in parameters.items() if each.kind is keyword}


def test_a_feed_shows_its_knobs_and_the_options_of_its_connections() -> None:
    knobs = {field.name: field for field in fields(Policy)}
    others = {field.name: field for field in fields(ClientOptions) if field.name not in knobs}
    shown = feed_options()
    assert shown.keys() == {*knobs, *others} - set(PIECES)
    assert shown["reconnect"].default == Backoff()
    for name, parameter in shown.items():
        field = knobs.get(name) or others[name]
        assert parameter.annotation == field.type
        assert parameter.default == field.default or name == "reconnect"


def test_what_is_declared_of_a_feed_is_what_it_takes() -> None:
    found = declared("__init__", "reactor/feeds/signatures.py", vars(policy))
    expected = {
        name: (ast.unparse(ast.parse(each.annotation, mode="eval")), each.default)
        for name, each in feed_options().items()
    }
    assert found == expected


def test_the_attributes_of_a_feed_are_the_knobs_and_are_documented() -> None:
    # getdoc(), since Python 3.13 takes away the indentation by itself.
    lines = (inspect.getdoc(Feed) or "").splitlines()
    documented = "\n".join(line for line in lines if line.startswith(" " * 4))
    page = (ROOT / "docs" / "feeds.md").read_text()
    for field in fields(Policy):
        assert getattr(Feed, field.name) == field.default
        assert Feed.__annotations__[field.name] == field.type
        assert re.search(rf"^ +{field.name}: ", documented, re.M), field
        assert re.search(rf"^\| .*`{field.name}`.* \|", page, re.M), field


def test_the_page_has_every_handler_of_a_feed_with_its_parameters() -> None:
    page = (ROOT / "docs" / "feeds.md").read_text()
    for name, handler in vars(Feed).items():
        if name.startswith("on_") and callable(handler):
            parameters = ", ".join(list(inspect.signature(handler).parameters)[1:])
            assert f"\n| `{name}({parameters})` | " in page


class Silent(Feed):
    """A feed that says nothing."""

    def subscribe_message(self, topics: list[str], link: Any) -> None:
        """Nothing."""


def test_a_feed_without_topics_needs_no_message_that_subscribes(loop: Reactor) -> None:
    class Mine(Feed): ...

    feed = Mine(loop, "ws://localhost/")
    assert feeds_of(loop) == [feed]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pingintervall": 3}, r"Feed\(\) has no option 'pingintervall' .*'ping_interval'"),
        ({"ping_interval": "3"}, "ping_interval must be .* not the str '3' .did you mean 3"),
        ({"topics_per_lnk": 3}, r"Feed\(\) has no option 'topics_per_lnk' .*'topics_per_link'"),
        ({"stale_after": "3"}, "stale_after must be .* not the str '3'"),
        ({"on_stale_do": "shout"}, "on_stale_do must be one of"),
        ({"fragments": True}, "whole messages"),
    ],
)
def test_a_wrong_option_of_a_feed_is_an_error_that_names_it(
    loop: Reactor, options: Any, says: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        Feed(loop, "ws://localhost/", **options)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("topics_per_links", "topics_per_link"),
        ("on_link_opened", "on_link_open"),
        ("subscribe_mesage", "subscribe_message"),
        ("on_connect", "on_link_open"),
        ("onClose", "on_link_close"),
        ("on_message", "parse"),
        ("topicsPerLink", "topics_per_link"),
    ],
)
def test_a_name_in_a_feed_that_looks_misspelt_is_warned_of(name: str, meant: str) -> None:
    with pytest.warns(UserWarning, match=f"Mine.{name} .*'{meant}'") as caught:
        type("Mine", (Feed,), {name: None})
    assert caught[0].filename == __file__


@pytest.mark.parametrize(("name", "value"), [("ping_interval", 5), ("header", {"X": "1"})])
def test_an_option_of_connections_is_no_attribute_of_a_feed(name: str, value: object) -> None:
    with pytest.warns(UserWarning, match=rf"Mine\.{name} .*takes when it is made") as caught:
        type("Mine", (Feed,), {name: value})
    assert caught[0].filename == __file__


def test_other_names_in_a_feed_are_the_users_own(recwarn: pytest.WarningsRecorder) -> None:
    names = ("topic", "books", "states", "_on_update", "on_trade", "send_message", "parse_trade")
    type("Mine", (Feed,), dict.fromkeys(names))
    assert not recwarn.list


# --- type checkers -------------------------------------------------------------------------------


#: A program; what stands behind a line is named in the error about it.
PROGRAM = """
import tkinter
from typing_extensions import Unpack
from reactor import Accept, ClientArguments, Reactor, WebSocketProtocol
from reactor.asyncio import ServerConnection, connect, serve, unix_connect, unix_serve
from reactor.feeds import Feed, FeedArguments, Link, Mailbox, Subscription, Update
from reactor.hosting.asyncio import AsyncioHost, asyncio_host
from reactor.hosting.qt import qt_host
from reactor.hosting.tkinter import tkinter_host
from reactor.hosting.trio import trio_host
from reactor.testing import (
    ManualReactor,
    MemoryServer,
    Pair,
    PairFactory,
    PeerFactory,
    ScriptedPeer,
    connect_pair,
    replay,
)

class Mine(WebSocketProtocol):
    def on_text(self, message: str) -> None: ...

loop = Reactor()
mine: Mine = loop.connect("ws://localhost/", Mine, ping_interval=3)
loop.connect("ws://localhost/", Mine, pingintervall=3)  # pingintervall
loop.connect("ws://localhost/", Mine, ping_interval="3")  # ping_interval
loop.connect("ws://localhost/", Mine, on_overflow="pause", compression="deflate")
loop.connect("ws://localhost/", Mine, on_overflow="drop")  # on_overflow
loop.connect("ws://localhost/", Mine, compression="gzip")  # compression
protocols: list[Mine] = loop.listen("127.0.0.1", 0, Mine, backlog=5).protocols
loop.listen("127.0.0.1", 0, Mine, backlogg=5)  # backlogg
plain: list[WebSocketProtocol] = loop.listen("127.0.0.1", 0).protocols
loop.listen("127.0.0.1", 0, process_request=lambda request, sock: None).protocols[0].lenth  # lenth
again: Reactor = mine.loop

class Trades(Feed):
    topics_per_link = 20
    on_stale_do = "report"
    message_pace = None
    stale_after = "3"  # Feed
    sequences = "going up"  # Feed

    def subscribe_message(self, topics: list[str], link: Link) -> str:
        return topics[0]

    def on_update(self, topic: str, update: Update) -> None: ...

def handle(update: Update) -> None: ...

feed = Trades(loop, ["ws://localhost/", lambda: "ws://localhost/"], ping_interval=3, max_links=2)
Trades(loop, "ws://localhost/", pingintervall=3)  # pingintervall
Trades(loop, "ws://localhost/", ping_interval="3")  # ping_interval
Trades(loop, "ws://localhost/", topics_per_lnk=3)  # topics_per_lnk
Trades(loop, "ws://localhost/", on_stale_do="shout")  # on_stale_do
Trades(loop, "ws://localhost/", fragments=True)  # fragments
one: Subscription = feed.subscribe("A", handle, replay_last=True, stale_after=3, priority=1)
many: list[Subscription] = feed.subscribe_many(["A", ("B", 5)], feed.mailbox(drop="latest"))
feed.subscribe("A", stale_afterr=3)  # stale_afterr
feed.subscribe_many(["A"], stale_after="3")  # stale_after
feed.subscribe_many(["A"], 5)  # subscribe_many
box: Mailbox = feed.mailbox(maxlen="5")  # maxlen
feed.mailbox(drop="newest")  # drop
last: Update = box.get(timeout="5")  # timeout

def wrapped(**options: Unpack[ClientArguments]) -> Mine:
    return loop.connect("ws://localhost/", Mine, **options)

wrapped(ping_interval=3)
wrapped(pingintervall=3)  # pingintervall

class Quotes(Feed):
    def __init__(self, loop: Reactor, **options: Unpack[FeedArguments]) -> None:
        super().__init__(loop, "ws://localhost/", **options)

Quotes(loop, ping_interval=3, stale_after=3)
Quotes(loop, stale_afterr=3)  # stale_afterr

Accept(Mine, ping_interval=3, headers={"X": "1"})
Accept(Mine, pingintervall=3)  # pingintervall
Accept(Mine, ping_interval="3")  # ping_interval

manual = ManualReactor(max_connecting=3, start=5.0)
ManualReactor(max_connectin=3)  # max_connectin
with MemoryServer(manual, Mine, ping_interval=3, max_connections_per_address=5) as server:
    of_server: list[Mine] = server.protocols
    of_client: Mine = server.connect(Mine, ping_interval=3, reconnect=1)
    server.connect(Mine, ping_interval="3")  # ping_interval
MemoryServer(manual, Mine, pingintervall=3)  # pingintervall
client, other = connect_pair(manual, Mine, Mine, client_options={"ping_interval": 3})
both: tuple[Mine, Mine] = client, other
connect_pair(manual, Mine, client_options={"pingintervall": 3})  # client_options
connect_pair(manual, Mine, server_options={"ping_interval": "3"})  # server_options
replayed: Mine = replay("file", Mine, ping_interval=3)

def test_mine(reactor_pair: PairFactory, reactor_peer: PeerFactory) -> None:
    a: Pair[Mine, Mine] = reactor_pair(Mine, Mine, client_options={"ping_interval": 3})
    reactor_pair(Mine, client_options={"pingintervall": 3})  # client_options
    peer: ScriptedPeer = reactor_peer()
    reactor_peer(contxt=None)  # contxt
replayed_feed: Quotes = replay("file", Quotes, stale_after=3)
replay("file", Mine, pingintervall=3)  # replay

async def main() -> None:
    host: AsyncioHost = asyncio_host(max_connecting=3)
    asyncio_host(max_connectin=3)  # max_connectin
    asyncio_host(max_connecting="3")  # max_connecting
    trio_host(max_connectin=3)  # max_connectin
    qt_host(max_connectin=3)  # max_connectin
    tkinter_host(tkinter.Tk(), max_connectin=3)  # max_connectin
    async with connect("ws://localhost/", ping_interval=3, reactor={"lenient": True}) as ws:
        await ws.send("x")
    connect("ws://localhost/", pingintervall=3)  # pingintervall
    connect("ws://localhost/", ping_interval="3")  # ping_interval
    connect("ws://localhost/", reactor={"lenientt": True})  # reactor
    unix_connect("/path", ping_interval=3)
    unix_connect("/path", pingintervall=3)  # pingintervall

async def handler(ws: ServerConnection) -> None: ...

async def serving() -> None:
    async with serve(handler, "localhost", 0, ping_interval=3, reactor={"max_connections": 5}):
        pass
    serve(handler, "localhost", 0, pingintervall=3)  # pingintervall
    serve(handler, "localhost", 0, ping_interval="3")  # ping_interval
    serve(handler, "localhost", 0, reactor={"max_connection": 5})  # reactor
    unix_serve(handler, "/path", pingintervall=3)  # pingintervall
"""


@pytest.mark.timeout(300)
def test_mypy_finds_a_misspelt_option_and_a_wrong_type(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(program)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "No module named mypy" in done.stderr:
        pytest.skip("mypy is not installed: it is in the extra lint")
    errors = [
        line
        for line in done.stdout.splitlines()
        if ": error: " in line and f"{program.name}:" in line
    ]
    wrong = {
        number: line.partition("  # ")[2]
        for number, line in enumerate(PROGRAM.splitlines(), 1)
        if "  # " in line
    }
    found = {int(error.split(":")[1]): error for error in errors}
    assert found.keys() == wrong.keys(), done.stdout
    for number, name in wrong.items():
        assert name in found[number]
