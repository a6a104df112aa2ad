"""Which feeds there are."""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from reactor import CloseCode, Reactor, WebSocketStateException
from reactor.feeds import Feed, Link, TopicState, feeds_of

from ..support.driving import run_until
from .service import Recorder, Service


class Plain(Feed):
    """A feed that is equal to all others, and cannot be hashed."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def subscribe_message(self, topics: list[str], link: Link) -> None:
        """Nothing is said."""


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


@pytest.mark.parametrize("end", [Reactor.close, Reactor.shutdown])
def test_a_feed_that_was_not_closed_ends_with_its_loop(end: Callable[[Reactor], None]) -> None:
    with Reactor() as loop:
        service = Service(loop)
        feed = Recorder(loop, service.url)
        box = feed.mailbox()
        feed.subscribe("A", box)
        run_until(loop, lambda: feed.state("A") is TopicState.LIVE)
        (connection,) = service.connections
        with ThreadPoolExecutor(1) as threads:
            taken = threads.submit(list, box)
            end(loop)
            assert taken.result(10) == []
        assert connection.code == (1006 if end is Reactor.close else CloseCode.GOING_AWAY)
        assert feed.of("error") == []
        assert feeds_of(loop) == feed.links == feed.topics() == []
        with pytest.raises(WebSocketStateException, match="closed"):
            feed.subscribe("B")
        loop.close()
        feed.close()  # does no harm, and neither do these
        feed.unsubscribe("A")


def test_what_a_feed_was_told_in_another_thread_is_done_before_it_ends() -> None:
    with Reactor() as loop:
        feed = Recorder(loop, "ws://127.0.0.1:1/")
        with ThreadPoolExecutor(1) as threads:
            subscription = threads.submit(feed.subscribe, "A").result(10)
    assert subscription.closed


def test_one_feed_s_handler_does_not_keep_the_others_open() -> None:
    loop = Reactor()
    service = Service(loop)

    class Leaves(Recorder):
        def on_link_close(self, link: Link, code: int, reason: str) -> None:
            raise SystemExit

    feeds = [Leaves(loop, service.url), Leaves(loop, service.url)]
    for feed in feeds:
        feed.subscribe("A")
    run_until(loop, lambda: all(feed.state("A") is TopicState.LIVE for feed in feeds))
    with pytest.raises(SystemExit):
        loop.close()
    assert all(feed._reactor_driver.closed for feed in feeds)


def test_a_feed_cannot_be_made_on_a_closed_loop() -> None:
    loop = Reactor()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        Plain(loop, "ws://one/")
