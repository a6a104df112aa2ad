"""Puts reactor.asyncio in the place of websockets' asyncio API, and runs unittest.

    python -m tests.aio.in_their_place FOLDER NAME...

FOLDER has websockets' package ``tests``, and NAMEs are of modules in it. A line ``outcome name`` is
printed for each test.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import sys
import unittest
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import reactor.asyncio as ours
from reactor.protocols.http import http11
from reactor.protocols.http.answers import build_response
from reactor.protocols.http.handshake import build_request, make_key

MODULES = (
    "websockets.asyncio.client",
    "websockets.asyncio.server",
    "websockets.exceptions",
    "websockets.http11",
)


def replace_names() -> None:
    """Have all names of websockets that reactor.asyncio has, too, be its."""
    for name in MODULES:
        module: ModuleType = importlib.import_module(name)
        for each in ours.__all__:
            if hasattr(module, each):
                setattr(module, each, getattr(ours, each))
    # Two look inside: the protocol has a state and extensions, the server an SSLContext.
    connection: Any = ours.Connection
    connection.protocol = property(lambda self: self)
    connection.extensions = property(
        lambda self: [self._protocol.compression] * bool(self._protocol.compression)
    )
    server: Any = ours.Server
    server.server = property(
        lambda self: SimpleNamespace(_ssl_context=self._listeners[0].options.ssl)
    )


async def handshake(sock: socket.socket, head: Callable[[http11.Request], bytes]) -> None:
    """Answer the request that comes on a socket."""
    loop = asyncio.get_running_loop()
    parser = http11.HeadParser("request")
    while (request := parser.feed(await loop.sock_recv(sock, 65536))) is None:
        pass
    await loop.sock_sendall(sock, head(request))


async def set_up(self: Any) -> None:
    """Make a connection of ours, and one of theirs, whose frames the tests look at."""
    module = sys.modules[type(self).__module__]
    loop = self.loop = asyncio.get_running_loop()
    options: dict[str, Any] = {"compression": None, "ping_interval": None}
    options["close_timeout"] = 2 * module.MS
    if self.LOCAL is module.CLIENT:
        near, far = socket.socketpair()
        far.setblocking(False)
        url = "ws://localhost/"
        connecting = asyncio.ensure_future(ours.connect(url, sock=near, proxy=None, **options))
        await handshake(far, lambda it: build_response(it.headers["Sec-WebSocket-Key"]))
        self.connection = await connecting
    else:
        served = loop.create_future()

        async def handler(connection: ours.ServerConnection) -> None:
            served.set_result(connection)
            await connection.wait_closed()

        listener = socket.create_server(("127.0.0.1", 0))
        self.server = await ours.serve(handler, sock=listener, **options)
        far = socket.create_connection(listener.getsockname())
        far.setblocking(False)
        await loop.sock_sendall(far, build_request("localhost", "/", make_key()))
        self.connection = await served
        parser = http11.HeadParser("response")
        while parser.feed(await loop.sock_recv(far, 65536)) is None:
            pass
    self.transport = self.connection.transport
    protocol = module.RecordingProtocol(self.REMOTE)
    _, self.remote_connection = await loop.create_connection(
        lambda: module.InterceptingConnection(protocol), sock=far
    )


async def settle(_: Any) -> None:
    """Wait for their side: more turns than their own two, where two loops take part."""
    for _ in range(8):
        await asyncio.sleep(0)


def adapt(name: str) -> None:
    """Have the tests of connections begin with one of ours."""
    module: Any = importlib.import_module(name)
    if hasattr(module, "ClientConnectionTests"):
        module.broadcast = ours.broadcast
        module.ClientConnectionTests.asyncSetUp = set_up
        module.ClientConnectionTests.wait_for_remote_side = settle


class Result(unittest.TextTestResult):
    """Prints what became of each test."""

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        outcome = "passed"
        for kind, found in (
            ("failed", [*self.failures, *self.errors]),
            ("skipped", self.skipped),
        ):
            if any(each is test for each, _ in found):
                outcome = kind
        print(outcome, test.id().removeprefix("tests.asyncio."), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    for name in [name for name in sys.modules if name == "tests" or name.startswith("tests.")]:
        del sys.modules[name]  # ours
    replace_names()
    for name in sys.argv[2:]:
        adapt(name)
    suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[2:])
    logging.disable(logging.NOTSET)
    unittest.TextTestRunner(resultclass=Result, stream=sys.stderr, verbosity=0).run(suite)
