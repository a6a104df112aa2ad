"""Which feeds there are."""

from __future__ import annotations

import gc

from reactor import Reactor
from reactor.feeds import Feed, feeds_of


class Plain(Feed):
    """A feed that is equal to all others, and cannot be hashed."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def test_a_reactor_s_feeds_are_those_that_are_not_closed() -> None:
    with Reactor() as loop, Reactor() as other:
        one, two = Plain(loop, "ws://one/"), Plain(loop, "ws://two/")
        elsewhere = Plain(other, "ws://one/")
        found = feeds_of(loop)
        assert [each is one or each is two for each in found] == [True, True]
        assert feeds_of(other)[0] is elsewhere
        one.close()
        one.close()
        assert feeds_of(loop)[0] is two


def test_nobody_is_kept_alive_by_being_listed() -> None:
    with Reactor() as loop:
        Plain(loop, "ws://one/")
        gc.collect()
        assert feeds_of(loop) == []
