"""Fixtures of the tests of the compiled hot path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .twins import python_way


@pytest.fixture(params=["compiled", "python"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """How the test runs: every one both ways, unless it sees to that itself."""
    if request.param == "python":
        with python_way():
            yield "python"
    else:
        yield request.param
