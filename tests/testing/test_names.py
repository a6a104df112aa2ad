"""The names of the kit, and what is loaded only when it is wanted."""

from __future__ import annotations

import pytest

import reactor.testing
from reactor.testing import replaying

from ..support.programs import run_program


@pytest.mark.parametrize("name", reactor.testing.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(reactor.testing, name) is not None


def test_what_replays_is_loaded_when_it_is_wanted() -> None:
    assert reactor.testing.replay is replaying.replay
    printed = run_program(
        "import sys, reactor.testing\n"
        "before = 'reactor.feeds.feed' in sys.modules\n"
        "reactor.testing.replay\n"
        "print(before, 'reactor.feeds.feed' in sys.modules)\n"
    )
    assert printed == "False True\n"


def test_another_name_is_missing_as_always() -> None:
    with pytest.raises(AttributeError, match=r"module 'reactor\.testing' has no attribute 'other'"):
        reactor.testing.other  # type: ignore[attr-defined]  # noqa: B018
