"""Fixtures of the tests of the listening side."""

from __future__ import annotations

import pytest

from ..support.serving import Served


@pytest.fixture
def served() -> Served:
    """What a listener serves with; it keeps the protocol objects that it made."""
    return Served()
