"""Fixtures that several modules share."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, settings

from reactor import Listener, Reactor
from reactor.loop import backend
from reactor.timers import ManualClock
from reactor.transports.dial.resolver import clear_cache

from .support.asyncio_loops import LoopFactory, Run, run_in
from .support.certificates import Authority
from .support.clients import RawClient
from .support.leaks import nothing_left
from .support.peers import ScriptedPeer, Serve
from .support.scene import Scene
from .support.sockets import Sockets

# The proxy of the machine must not hear of our tests.
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]

# With REACTOR_BACKEND=io_uring every test goes that way, also where one descriptor is ready.
if os.environ.get("REACTOR_BACKEND") and backend.new_ring is not None:
    backend.new_ring = partial(backend.new_ring, 1)

# What a shell starts with & ignores Ctrl-C, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A deadline for each example would be a wall clock in the tests.
settings.register_profile("reactor", deadline=None)
settings.load_profile("reactor")

# For tests/feeds/mutants.py: that an example fails is enough, its shortest form takes minutes.
settings.register_profile("mutants", settings.get_profile("reactor"), phases=[Phase.generate])


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority, and a server's context for loopback."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def no_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may sit behind a proxy; loopback does not."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fail the test when it leaves a descriptor open or a thread running.

    To be asked for by ``usefixtures``, which puts it around all other fixtures.
    """
    clear_cache()
    with nothing_left():
        yield
    clear_cache()


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    """Makes event loops of asyncio, and of uvloop where that is installed."""
    if request.param == "asyncio":
        return asyncio.new_event_loop
    factory: LoopFactory = pytest.importorskip("uvloop").new_event_loop
    loop = factory()  # the first one opens two descriptors for the whole process
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    return factory


@pytest.fixture
def run(loop_factory: LoopFactory, no_leaks: None) -> Run:
    """Runs a coroutine in a loop of its own, as asyncio.run() does; nothing may be left."""
    return lambda main: run_in(loop_factory(), main)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock(1000.0)


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    """Makes connected sockets; all of them are closed at the end."""
    with Sockets() as stack:
        yield stack


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts scripted peers; all of them end with the test."""
    with ExitStack() as stack:
        yield lambda *scripts, **options: stack.enter_context(ScriptedPeer(*scripts, **options))


@pytest.fixture
def unix_path() -> Iterator[str]:
    """A path for a Unix socket. Not tmp_path: such a name has about 100 bytes at most."""
    with TemporaryDirectory(prefix="ws") as folder:
        yield f"{folder}/socket"


@pytest.fixture
def loop() -> Iterator[Reactor]:
    """A reactor, which is closed at the end."""
    with Reactor() as reactor:
        yield reactor


@pytest.fixture
def raw_client(loop: Reactor) -> Iterator[Callable[..., RawClient]]:
    """Connects raw clients to a listener on *loop*; all of them are closed at the end."""
    with ExitStack() as stack:

        def connect(listener: Listener, **options: Any) -> RawClient:
            options.setdefault("family", listener.sock.family)
            return stack.enter_context(RawClient(loop, listener.address, **options))

        yield connect


@pytest.fixture
def scene(no_leaks: None) -> Iterator[Scene]:
    """A reactor on a clock that stands still, without a network."""
    scene = Scene()
    yield scene
    scene.end()


@pytest.fixture(params=["reactor", "websocket"])
def library(request: pytest.FixtureRequest) -> Any:
    """This package, and websocket-client: what a test says of it holds for both."""
    return import_module(request.param)


@pytest.fixture
def sockets_of_websocket_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the sockets that websocket-client's WebSocketApp leaves to the garbage collector."""
    app_module = import_module("websocket._app")
    sockets = []

    class Remembering(app_module.WebSocket):
        def connect(self, url: str, **options: Any) -> None:
            super().connect(url, **options)
            sockets.append(self.sock)

    monkeypatch.setattr(app_module, "WebSocket", Remembering)
    yield
    for sock in filter(None, sockets):
        sock.close()
