"""stop() while the loop does not run; continues test_lifetime_runs.py."""

from __future__ import annotations

from typing import Any

import pytest

from reactor import Reactor
from reactor.loop.event_loop import EventLoop
from reactor.timers import ManualClock

from ..support.driving import replace_method, run_until
from ..support.peers import Serve, Talk
from ..support.scene import Actor
from ..support.websocket_frames import CLOSE, build_frame


@pytest.fixture
def mute() -> Any:
    """A script that answers nothing after the upgrade."""

    def script(talk: Talk) -> None:
        talk.upgrade()
        talk.until_closed()

    return script


def test_a_loop_that_was_stopped_beforehand_has_nothing_to_do() -> None:
    loop = EventLoop(clock=ManualClock(1000.0))
    waits: list[float | None] = []
    poll = loop.poller.poll

    def note(timeout: float | None) -> Any:
        waits.append(timeout)
        return poll(0)

    replace_method(loop.poller, "poll", note)
    loop.stop()
    assert loop.next_timeout() is None
    for _ in range(3):
        loop.run_once(5)
    assert waits == [5, 5, 5]
    assert loop.next_timeout() is None
    loop.close()


def test_stop_in_on_close_does_not_make_shutdown_spin(
    reactor: Reactor, serve: Serve, mute: Any
) -> None:
    def polite(talk: Talk) -> None:
        talk.upgrade()
        talk.send(build_frame(CLOSE, talk.frame().payload))
        talk.end()

    first, second = Actor(close=lambda _: reactor.stop()), Actor()
    reactor.connect(serve(polite).url, first)
    reactor.connect(serve(mute).url, second)
    run_until(reactor, lambda: first.names and second.names)
    before = reactor.stats().turns
    reactor.shutdown(0.3)
    assert first.closes == [(1001, "")]
    assert len(second.closes) == 1
    assert reactor.stats().turns - before < 30
