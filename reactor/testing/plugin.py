"""The pytest plugin: fixtures ``reactor_loop``, ``reactor_pair`` and ``reactor_peer``.

What it is: fixtures, which pytest finds by the entry point ``pytest11`` of the package. This is the
only module that imports pytest. What it must not do: import the kit before a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .loop import ManualReactor
    from .pair import Pair, PairFactory
    from .peer import PeerFactory, ScriptedPeer

__all__ = ["reactor_loop", "reactor_pair", "reactor_peer"]


@pytest.fixture
def reactor_loop() -> Iterator[ManualReactor]:
    """A :class:`reactor.testing.ManualReactor`, which is closed at the end."""
    from .loop import ManualReactor

    with ManualReactor() as loop:
        yield loop


@pytest.fixture
def reactor_pair(reactor_loop: ManualReactor) -> PairFactory:
    """Connects two protocol objects on ``reactor_loop``, without a network.

    ``client, server = reactor_pair(Client, Server)``; the arguments are those of
    :func:`reactor.testing.connect_pair` behind the loop.
    """
    from .pair import connect_pair

    def connect(*arguments: Any, **options: Any) -> Pair[Any, Any]:
        return connect_pair(reactor_loop, *arguments, **options)

    return connect


@pytest.fixture
def reactor_peer() -> Iterator[PeerFactory]:
    """Starts scripted peers on loopback; all of them end with the test.

    ``peer = reactor_peer(faults.refuse(503), faults.echo())``; the arguments are those of
    :class:`reactor.testing.ScriptedPeer`. Without a script, it is an echo server.
    """
    from . import faults
    from .peer import ScriptedPeer

    with ExitStack() as stack:

        def start(*scripts: Any, **options: Any) -> ScriptedPeer:
            return stack.enter_context(ScriptedPeer(*(scripts or [faults.echo()]), **options))

        yield start
