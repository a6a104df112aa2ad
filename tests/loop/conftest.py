"""What the tests of the event loop share. Here, a loop is an EventLoop, without a Reactor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reactor import Reactor
from reactor.loop.event_loop import EventLoop
from reactor.timers import ManualClock

from ..support.every_selector import SELECTORS
from ..support.sockets import Sockets
from ..support.sources import Sources


@pytest.fixture(params=list(SELECTORS.values()), ids=list(SELECTORS))
def loop(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[EventLoop]:
    """A loop on a clock that the test moves, once for each selector."""
    loop = EventLoop(selector=request.param(), clock=clock)
    yield loop
    loop.close()


@pytest.fixture
def real() -> Iterator[EventLoop]:
    """A loop on the real clock and the best selector."""
    loop = EventLoop()
    yield loop
    loop.close()


@pytest.fixture
def sources(loop: EventLoop, clock: ManualClock, sockets: Sockets) -> Sources:
    """Things that happen to the loop."""
    return Sources(loop, clock, sockets)


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    """A reactor on the real clock, which is closed at the end."""
    with Reactor() as reactor:
        yield reactor
