"""What an exception does that leaves ``with Reactor()``; continues test_reactor.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reactor import Reactor
from reactor.timers import ManualClock

from .support.certificates import Authority
from .support.classic import Says
from .support.clients import RawClient
from .support.driving import run_until
from .support.peers import ScriptedPeer, Talk
from .support.recorder import Recorder
from .support.websocket_frames import CLOSE, close_payload, read_frames

pytestmark = pytest.mark.usefixtures("no_leaks")

GOING_AWAY = (CLOSE, close_payload(1001))


@contextmanager
def left_by(exc: BaseException, **options: Any) -> Iterator[Reactor]:
    """Give a reactor, whose block an exception leaves at the end."""
    try:
        with Reactor(**options) as loop:
            yield loop
            raise exc
    except type(exc):
        pass


def leave(exc: BaseException, url: str, **options: Any) -> Recorder:
    """Have an exception leave a block whose reactor has an open connection."""
    with left_by(exc) as loop:
        recorder = loop.connect(url, Recorder, **options)
        run_until(loop, lambda: recorder.names)
    return recorder


@pytest.mark.parametrize("exc", [KeyboardInterrupt(), SystemExit(3), LookupError("of the user")])
def test_the_server_is_told_that_we_are_going_away(exc: BaseException) -> None:
    says = Says()
    with ScriptedPeer(says) as peer:
        recorder = leave(exc, peer.url)
        assert says.said() == GOING_AWAY
    assert recorder.events == [("open",), ("close", 1001, "")]


def test_the_server_is_told_over_tls(authority: Authority) -> None:
    says = Says()
    with ScriptedPeer(says, context=authority.server_context) as peer:
        leave(KeyboardInterrupt(), peer.url, sslopt=authority.sslopt)
        assert says.said() == GOING_AWAY


def test_clients_are_told_that_we_are_going_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reactor.reactor.FAREWELL", 0.05)
    with left_by(KeyboardInterrupt()) as loop:
        listener = loop.listen("127.0.0.1")
        client = RawClient(loop, listener.address)
        client.upgrade()
    client.pump()
    client.close()
    assert [(frame.opcode, frame.payload) for frame in read_frames(client.data)] == [GOING_AWAY]


def test_who_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reactor.reactor.FAREWELL", 0.05)

    def mute(talk: Talk) -> None:
        talk.upgrade()
        talk.until_closed()

    with ScriptedPeer(mute) as peer:
        recorder = leave(SystemExit(), peer.url, close_timeout=1000)
    assert recorder.events == [("open",), ("close", 1006, "")]


def test_the_wait_ends_though_the_clock_of_the_loop_stands_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reactor.reactor.FAREWELL", 0.05)
    with left_by(LookupError(), clock=ManualClock()) as loop:
        recorder = loop.connect("ws://127.0.0.1:1/", Recorder)
    assert recorder.names == ["close"]


def test_a_reactor_that_is_closed_already_is_left_in_peace() -> None:
    with left_by(LookupError()) as loop:
        loop.close()
