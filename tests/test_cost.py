"""What messages and connections cost, in calls of Python functions: no noise touches these numbers.

A regression of one call a message is a regression of a percent or so, which no measurement of time
would show on a shared machine.
"""

from __future__ import annotations

import sys
from collections import Counter
from types import CodeType
from typing import Any

import pytest

from reactor import Reactor, WebSocketProtocol, compiled

from .support.driving import run_until
from .support.servers import serve_with_reactor

MESSAGES = 100

#: Python functions that a message passes, in and out, beside the user's own. With the compiled
#: twins there is none: if there is one, a message has not gone the way that they are for.
CALLS = 0 if compiled else 13.1


CONNECTIONS = 20

#: Python functions that are called, and coroutines that are resumed, to open a connection; those of
#: the turns that this takes, some ten for each, are among them. It is some 318, or 336 in pure
#: Python, if a connection takes three turns; where the answer comes later, it takes more of them.
CALLS_TO_OPEN = 335 if compiled else 355


class Echo(WebSocketProtocol):
    def on_message(self, message: str | bytes) -> None:
        self.send(message)


class Player(WebSocketProtocol):
    received = 0

    def on_message(self, message: str | bytes) -> None:
        self.received += 1
        self.send(message)


@pytest.fixture
def players() -> Any:
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, Echo)
        url = f"ws://127.0.0.1:{listener.port}/"
        players = [loop.connect(url, Player, proxy=None) for _ in range(10)]
        run_until(loop, lambda: all(player.state == 1 for player in players))
        run_until(loop, lambda: len(listener.connections) == len(players))
        yield loop, players


def test_calls_for_each_message(players: Any) -> None:
    loop, clients = players
    for player in clients:
        player.send("x" * 150)
    run_until(loop, lambda: all(player.received for player in clients))
    calls: Counter[CodeType] = Counter()

    def count(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_name != "on_message":
            calls[frame.f_code] += 1

    received = sum(player.received for player in clients)
    sys.setprofile(count)
    try:
        for _ in range(MESSAGES):
            loop.run_once(1)
    finally:
        sys.setprofile(None)
    received = sum(player.received for player in clients) - received
    # Every message that came to a client came to the server, too.
    messages = 2 * received
    assert messages >= 5 * MESSAGES, "several a turn: what a turn costs is called less often"
    spent = sum(count for count in calls.values() if count >= received)
    assert spent / messages <= CALLS, calls.most_common()


def test_calls_for_each_connection() -> None:
    calls: Counter[CodeType] = Counter()

    def count(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            calls[frame.f_code] += 1

    with serve_with_reactor() as url, Reactor() as loop:

        def open_one() -> None:
            player = loop.connect(url, Player, proxy=None)
            while player.state != 1:
                loop.run_once(1)

        open_one()  # what is made and loaded only once
        sys.setprofile(count)
        try:
            for _ in range(CONNECTIONS):
                open_one()
        finally:
            sys.setprofile(None)
    assert calls.total() / CONNECTIONS <= CALLS_TO_OPEN, calls.most_common()
