"""Peers that nobody here wrote: each in a process of its own, started when a test first asks.

A peer that cannot be found skips the tests that need it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from reactor import Reactor
from tests.support.certificates import Authority

from .support.browser import find_chromium
from .support.nginx import Nginx, find_nginx
from .support.processes import HERE, INSTALL, Peer, python_program
from .support.sides import OurClient, OurServer, TheirClient, TheirServer

#: Where node's packages are; install.sh puts them beside the programs that need them.
NODE_MODULES = "REACTOR_TEST_NODE_MODULES"


@pytest.fixture(scope="session")
def node_peer() -> Iterator[Peer]:
    """`ws` from npm."""
    node = shutil.which("node")
    if node is None:
        pytest.skip(f"node is not on PATH; as root, {INSTALL}")
    modules = Path(os.environ.get(NODE_MODULES, HERE / "node" / "node_modules"))
    if not (modules / "ws").is_dir():
        pytest.skip(f"no package ws in {modules}; {INSTALL}")
    with Peer([node, str(HERE / "node" / "peer.js")], NODE_PATH=str(modules)) as peer:
        yield peer


@pytest.fixture(scope="session")
def aiohttp_peer() -> Iterator[Peer]:
    """aiohttp."""
    with Peer(python_program("aiohttp_peer")) as peer:
        yield peer


@pytest.fixture(scope="session")
def websockets_peer() -> Iterator[Peer]:
    """websockets."""
    with Peer(python_program("websockets_peer")) as peer:
        yield peer


@pytest.fixture(scope="session")
def asgi_peer() -> Iterator[Peer]:
    """uvicorn and hypercorn."""
    with Peer(python_program("asgi_peer")) as peer:
        yield peer


@pytest.fixture(scope="session")
def chromium_peer() -> Iterator[Peer]:
    """Chromium's own WebSocket."""
    program = find_chromium()
    if program is None:
        pytest.skip(f"chromium is not on PATH; as root, {INSTALL}")
    with Peer([*python_program("chromium_peer"), program]) as peer:
        # Its start takes a while on a machine that has not read its files before.
        peer.ask("run", times=0).get(50.0)
        yield peer


@pytest.fixture(scope="session")
def certificate(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files with a certificate for loopback and its key."""
    certificate, key = authority.write(tmp_path_factory.mktemp("certificate"))
    return {"cert": certificate, "key": key}


@pytest.fixture(scope="session")
def nginx(certificate: dict[str, str]) -> Iterator[Nginx]:
    """nginx, as a reverse proxy."""
    program = find_nginx()
    if program is None:
        pytest.skip(f"nginx is not on PATH; as root, {INSTALL}")
    with Nginx(program, certificate["cert"], certificate["key"]) as running:
        yield running


# --- both sides -----------------------------------------------------------------------------------

#: The fixture of each server, and its options.
SERVERS: dict[str, tuple[str, dict[str, str]]] = {
    "node": ("node_peer", {}),
    "aiohttp": ("aiohttp_peer", {}),
    "websockets": ("websockets_peer", {}),
    "uvicorn-websockets": ("asgi_peer", {"server": "uvicorn-websockets"}),
    "uvicorn-websockets-sansio": ("asgi_peer", {"server": "uvicorn-websockets-sansio"}),
    "uvicorn-wsproto": ("asgi_peer", {"server": "uvicorn-wsproto"}),
    "hypercorn": ("asgi_peer", {"server": "hypercorn"}),
}


@pytest.fixture(params=SERVERS)
def our_client(request: pytest.FixtureRequest) -> OurClient:
    """Our end, as the client of each server in turn, or of the one that *request* names."""
    fixture, options = SERVERS[request.param]
    server = TheirServer(request.param, request.getfixturevalue(fixture), **options)
    server.url()  # started before leaks are counted
    request.getfixturevalue("no_leaks")
    return OurClient(request.getfixturevalue("loop"), server)


@pytest.fixture(params=["node", "aiohttp", "chromium"])
def our_server(request: pytest.FixtureRequest, authority: Authority) -> OurServer:
    """Our end, as the server of each client in turn, or of the one that *request* names."""
    peer = request.getfixturevalue(f"{request.param}_peer")
    tls = {} if request.param == "chromium" else {"ca": authority.ca_file}
    request.getfixturevalue("no_leaks")
    loop: Reactor = request.getfixturevalue("loop")
    return OurServer(loop, TheirClient(request.param, peer, tls))
