"""Fixtures for feeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from reactor import Reactor
from reactor.timers import ManualClock

from .service import Recorder, Service, Stage, made


@pytest.fixture
def service(loop: Reactor) -> Service:
    """A service on the loop of the test."""
    return Service(loop)


@pytest.fixture
def make_feed(loop: Reactor, service: Service) -> Iterator[Callable[..., Any]]:
    """Makes feeds of the service, with knobs; all of them are closed at the end."""
    with ExitStack() as stack:

        def make(kind: type[Recorder] = Recorder, url: Any = None, **knobs: Any) -> Recorder:
            return stack.enter_context(made(kind, loop, url or service.url, **knobs))

        yield make


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A loop on a clock that stands still, and a service on it."""
    clock = ManualClock(1000.0)
    with Reactor(clock=clock) as loop, ExitStack() as stack:
        yield Stage(clock, loop, stack)
