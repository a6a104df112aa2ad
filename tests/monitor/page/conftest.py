"""Fixtures of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reactor.testing import ManualReactor

from .watched import Watched


@pytest.fixture
def loop() -> Iterator[ManualReactor]:
    with ManualReactor() as loop:
        yield loop


@pytest.fixture
def watched(loop: ManualReactor) -> Watched:
    return Watched(loop)
