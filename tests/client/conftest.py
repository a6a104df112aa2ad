"""Fixtures of the tests of opening connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from reactor.client.options import ClientOptions
from reactor.client.pipeline import ClientUpgrade, connect
from reactor.loop.tasks import run_blocking

from ..support.driving import drive

Open = Callable[..., ClientUpgrade]


@pytest.fixture(params=["blocking", "reactor"])
def open_(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens a connection, by each of the two drivers; its socket is closed at the end."""
    run = run_blocking if request.param == "blocking" else drive
    with ExitStack() as stack:

        def open_(
            url: str, header: Any = None, cookie: Any = None, **options: Any
        ) -> ClientUpgrade:
            upgraded = run(connect(url, ClientOptions(**options), header, cookie))
            stack.enter_context(upgraded.sock)
            return upgraded

        yield open_
