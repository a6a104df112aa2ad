"""Nothing that people read has the query of a URL, nor username and password: they may be secrets.

The log at every level, the texts of exceptions, explain(), the page, the trace.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

import reactor
from reactor import Accept, HTTPResponse, Reactor, State, WebSocketProtocol
from reactor.asyncio import InvalidURI, ServerConnection, connect, serve
from reactor.base.printable import without_secrets
from reactor.feeds import Feed
from reactor.monitor import explain
from reactor.monitor.page.rows import row
from reactor.protocols.http.http11 import HeadError, HeadParser
from reactor.testing import faults

from .support.driving import run_until
from .support.peers import ScriptedPeer, Serve, Talk, answer
from .support.recorder import Recorder

SECRET = "s3cr3t"
QUERY = f"?token={SECRET}"


@pytest.fixture(autouse=True)
def _nothing_shown(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG, "reactor")
    yield
    assert SECRET not in caplog.text


class Quiet(WebSocketProtocol):
    """Has no on_error."""


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://h/p", "ws://h/p"),
        ("ws://u:p@h/p?q=1#f", "ws://h/p?..."),
        ("/chat?q", "/chat?..."),
        ("ws://h/p#access_token=1?x", "ws://h/p"),
        ("no url ?q", "no url ?..."),
        ("", ""),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


def test_a_connection_from_open_to_end(loop: Reactor, caplog: pytest.LogCaptureFixture) -> None:
    listener = loop.listen("127.0.0.1", 0, Quiet)
    url = f"ws://user:{SECRET}@127.0.0.1:{listener.port}/chat{QUERY}"
    client = loop.connect(url, Quiet)
    run_until(loop, lambda: listener.protocols and client.state is State.OPEN)
    (server,) = listener.protocols
    trace = io.StringIO()
    reactor.trace(loop, trace)  # type: ignore[arg-type]
    client.send("hello")
    for each in (client, server):
        assert SECRET not in str(explain(each)) + repr(each) + each.stats.place
        assert SECRET not in str(row(each._reactor_connection))  # type: ignore[arg-type]
    host, port = client.sock.getsockname()
    client.close()
    run_until(loop, lambda: server.ending)
    assert SECRET not in trace.getvalue()
    of_server = [each.getMessage() for each in caplog.records if each.name == "reactor.server"]
    assert of_server == [
        f"/chat?... from {host}:{port} is open",
        f"/chat?... from {host}:{port} ended: 1000",
    ]
    assert f"ws://127.0.0.1:{listener.port}/chat?... is open" in caplog.text


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"process_request": lambda *_: HTTPResponse(403)}, "GET /?... from {}: answered 403"),
        ({"origins": ["https://ours.example"]}, "{}: opening handshake failed: connections"),
        ({"max_connections_per_address": 1}, "GET /?... from {}: answered 429"),
    ],
)
def test_a_server_says_at_info_whom_it_has_refused(
    loop: Reactor, options: Any, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "reactor")
    listener = loop.listen("127.0.0.1", 0, Quiet, **options)
    url = f"ws://127.0.0.1:{listener.port}/{QUERY}"
    if "max_connections_per_address" in options:
        loop.connect(url, Quiet)
        run_until(loop, lambda: listener.protocols)
    refused = loop.connect(url, Recorder)
    run_until(loop, lambda: refused.ending)
    assert SECRET not in str(refused.errors[0])
    pattern = re.escape(line).replace(r"\{\}", r"127\.0\.0\.1:\d+")

    def found() -> bool:
        of_server = [each for each in caplog.records if each.name == "reactor.server"]
        return any(re.match(pattern, each.getMessage()) for each in of_server)

    run_until(loop, found)  # the server may still be reading from it


@pytest.mark.parametrize("status", [200, 204])
def test_other_answers_are_for_who_debugs(
    loop: Reactor, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    listener = loop.listen("127.0.0.1", 0, process_request=lambda *_: HTTPResponse(status))
    client = loop.connect(f"ws://127.0.0.1:{listener.port}/health{QUERY}", Recorder)
    run_until(loop, lambda: client.ending)
    levels = {each.levelno for each in caplog.records if "/health?..." in each.getMessage()}
    assert logging.DEBUG in levels
    assert not [
        each for each in caplog.records if each.name == "reactor.server" and each.levelno > 10
    ]


def raising(*_: object) -> None:
    raise LookupError("no")


@pytest.mark.parametrize(
    "options", [{"process_request": raising}, {"process_request": lambda *_: Accept(raising)}]
)
def test_a_function_of_the_server_that_raises(
    loop: Reactor, options: Any, caplog: pytest.LogCaptureFixture
) -> None:
    listener = loop.listen("127.0.0.1", 0, Quiet, **options)
    client = loop.connect(f"ws://127.0.0.1:{listener.port}/{QUERY}", Recorder)
    run_until(loop, lambda: client.ending)
    assert "LookupError" in caplog.text


@pytest.mark.parametrize(
    "script",
    [
        faults.refuse(503),
        faults.garbage(),
        faults.reset(),
        answer(f"HTTP/1.1 302 Found\r\nLocation: http://[{QUERY}"),
        answer(f"HTTP/1.1 302 Found\r\nLocation: /{QUERY}"),
    ],
)
def test_a_client_that_fails(serve: Serve, loop: Reactor, script: Callable[[Talk], Any]) -> None:
    peer: ScriptedPeer = serve(script)
    client = loop.connect(f"{peer.url}/{QUERY}", Recorder)
    silent = loop.connect(f"{peer.url}/{QUERY}", Quiet)
    run_until(loop, lambda: client.ending and silent.ending)
    assert not [error for error in client.errors if SECRET in str(error)]
    assert SECRET not in str(explain(silent))


def test_a_url_that_is_none(loop: Reactor) -> None:
    for url in (f"ws://user:{SECRET}@:x/{QUERY}", f"http://h/{QUERY}", f"ws://h:99999/{QUERY}"):
        client = loop.connect(lambda url=url: url, Recorder)  # type: ignore[misc]
        run_until(loop, lambda: client.ending)  # noqa: B023
        assert SECRET not in str(client.errors[0])
        with pytest.raises(ValueError, match="invalid") as caught:
            loop.connect(url, Quiet)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "head",
    [
        f"GET /{QUERY}\r\n\r\n",
        f"GET /{QUERY} HTTP/2.0\r\n\r\n",
        f"GET  /{QUERY} x HTTP/1.1\r\n\r\n",
        f"{QUERY}" + "\r\n" * 9,
    ],
)
def test_the_head_of_a_request_that_is_none(head: str) -> None:
    with pytest.raises(HeadError) as caught:
        HeadParser("request").feed(head.encode())
    assert SECRET not in str(caught.value)


def test_a_request_that_is_cut_off() -> None:
    parser = HeadParser("request")
    parser.feed(f"GET /{QUERY}".encode())
    with pytest.raises(HeadError) as caught:
        parser.feed_eof()
    assert SECRET not in str(caught.value)


def test_the_links_of_a_feed(loop: Reactor) -> None:
    class Topics(Feed):
        def subscribe_message(self, topics: Any, link: Any) -> None: ...

    feed = Topics(loop, f"ws://user:{SECRET}@127.0.0.1:1/{QUERY}")
    feed.subscribe("A")
    loop.run_once(0)
    assert "127.0.0.1:1/?..." in repr(feed.links[0])
    assert SECRET not in repr(feed.links[0]) + feed.explain("A")
    feed.close()


def test_for_asyncio(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(ws: ServerConnection) -> None:
        raise LookupError("no")

    async def main() -> None:
        async with serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}/{QUERY}") as ws:
                await ws.wait_closed()
                assert SECRET not in repr(ws)
        with pytest.raises(InvalidURI) as caught:
            await connect(f"ws://user:{SECRET}@h:x/{QUERY}")
        assert SECRET not in str(caught.value)
        assert SECRET in caught.value.uri

    asyncio.run(main())
    assert "LookupError" in caplog.text
