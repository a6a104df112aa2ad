from __future__ import annotations

from collections.abc import Iterator

import pytest

from reactor.transports.tls import contexts as tls_contexts
from reactor.transports.tls.contexts import make_server_context

from ..support.tls_servers import Files, Server, greeter


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Certificates in files."""
    return Files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def new_contexts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No context is known yet, and the environment says nothing about them."""
    for name in tls_contexts.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    tls_contexts._contexts.clear()
    yield
    tls_contexts._contexts.clear()


@pytest.fixture
def server(files: Files) -> Iterator[Server]:
    """Says hello over TLS."""
    with Server(greeter(make_server_context(files.cert, files.key))) as server:
        yield server
