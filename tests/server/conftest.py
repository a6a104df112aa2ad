"""Fixtures of the tests of the listening side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reactor import Reactor
from reactor.timers import ManualClock

from ..support.serving import Served


@pytest.fixture
def loop(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[Reactor]:
    """A reactor; on a clock that the test moves, if its module says ``STILL = True``."""
    still = getattr(request.module, "STILL", False)
    with Reactor(clock=clock if still else None) as reactor:
        yield reactor


@pytest.fixture
def served() -> Served:
    """What a listener serves with; it keeps the protocol objects that it made."""
    return Served()
