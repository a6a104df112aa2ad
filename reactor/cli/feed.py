"""A WebSocket server that streams made-up trades to its subscribers.

A client subscribes with ``{"op": "subscribe", "channel": "trades", "symbol": "ABC"}``, where the
symbol may be left out (it is DEMO then), and gets
``{"symbol": "ABC", "price": 101.5, "size": 3, "id": 17, "time": 1700000000.123}`` several
times a second, ``time`` being when it was sent (seconds since 1970). Some subscribers are
dropped on purpose, half of them with a close frame (1012) and half without one, so that
clients can show how they reconnect.
"""

from __future__ import annotations

import argparse
import json
import random
import time

from ..base.printable import quoted
from ..exceptions import CloseCode
from ..protocols.session import State
from ..protocols.websocket import WebSocketProtocol
from ..reactor import Reactor
from .arguments import seconds, share
from .serving import add_server_arguments, serve

__all__ = ["Feed", "Subscriber", "add_arguments", "run"]

#: Seconds between two batches of trades.
BATCH = 0.02

#: The channel that there is, and the symbol of who names none.
CHANNEL = "trades"
SYMBOL = "DEMO"

#: Characters of a symbol, which goes out with every trade.
LONGEST_SYMBOL = 64


class Subscriber(WebSocketProtocol):
    """One client's connection."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.symbol: str | None = None
        self.price = 100.0
        self.trades = 0

    def on_message(self, message: str | bytes) -> None:
        """See WebSocketProtocol."""
        try:
            request = json.loads(message)
            if not isinstance(request, dict):
                raise TypeError("a request is an object of JSON")
            if request.get("op") != "subscribe":
                raise ValueError(f"unknown op {quoted(request.get('op'))}")
            if request.get("channel", CHANNEL) != CHANNEL:
                raise ValueError(
                    f"unknown channel {quoted(request['channel'])}: there is {CHANNEL}"
                )
            symbol = str(request.get("symbol", SYMBOL))
            if len(symbol) > LONGEST_SYMBOL:
                raise ValueError(f"the symbol {quoted(symbol, LONGEST_SYMBOL)} is too long")
            self.symbol = symbol
        except (ValueError, TypeError, RecursionError) as exc:
            self.send(json.dumps({"error": str(exc)}))
            return
        self.send(json.dumps({"subscribed": self.symbol}))
        self.feed.add(self)

    def on_close(self, code: int, reason: str) -> None:
        """See WebSocketProtocol."""
        self.feed.remove(self)

    def trade(self, now: float) -> None:
        """Send one trade."""
        self.trades += 1
        self.price = max(1.0, self.price + random.uniform(-0.5, 0.5))
        self.send(
            f'{{"symbol": {json.dumps(self.symbol)}, "price": {self.price:.2f}, '
            f'"size": {random.randint(1, 100)}, "id": {self.trades}, "time": {now:.6f}}}'
        )


class Feed:
    """Sends trades to all subscribers in turn, and drops some of them.

    Args:
        loop: the Reactor on which it runs.
        rate: trades per second for each subscriber.
        drops: the share of subscribers that is dropped every second (0.002: two in a thousand).
    """

    def __init__(self, loop: Reactor, rate: float, drops: float) -> None:
        self._loop = loop
        self._rate = rate
        self._drops = drops
        self._subscribers: list[Subscriber] = []
        self._places: dict[Subscriber, int] = {}  # the index of each in the list
        self._next = 0  # the index of the next one
        self._owed = 0.0  # trades that are due; may be fractional
        self._doomed = 0.0  # subscribers that are due to be dropped; may be fractional
        self._last = loop.time()
        loop.call_later(BATCH, self._batch)

    def add(self, subscriber: Subscriber) -> None:
        """Begin to send trades to *subscriber*."""
        if subscriber not in self._places:
            self._places[subscriber] = len(self._subscribers)
            self._subscribers.append(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Stop sending trades to *subscriber*."""
        place = self._places.pop(subscriber, None)
        if place is not None:
            last = self._subscribers.pop()
            if last is not subscriber:
                self._subscribers[place] = last
                self._places[last] = place

    def _batch(self) -> None:
        self._loop.call_later(BATCH, self._batch)
        now = self._loop.time()
        elapsed, self._last = now - self._last, now
        count = len(self._subscribers)
        # At most two rounds at once: after a stall, missed trades are skipped.
        self._owed = min(self._owed + elapsed * self._rate * count, 2.0 * count)
        self._doomed = min(self._doomed + elapsed * self._drops * count, float(count))
        wall = time.time()
        while self._owed >= 1 and self._subscribers:
            self._owed -= 1
            self._next = (self._next + 1) % len(self._subscribers)
            subscriber = self._subscribers[self._next]
            if subscriber.state is State.OPEN:
                subscriber.trade(wall)
        while self._doomed >= 1 and self._subscribers:
            self._doomed -= 1
            self._drop(random.choice(self._subscribers))

    def _drop(self, subscriber: Subscriber) -> None:
        self.remove(subscriber)
        if random.random() < 0.5:
            subscriber.close(CloseCode.SERVICE_RESTART, "dropped on purpose")
        else:
            subscriber.abort()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See main.py."""
    add_server_arguments(parser, port=9002)
    parser.add_argument("--rate", type=share, default=5.0, help="trades a second for each")
    parser.add_argument(
        "--drops", type=share, default=0.002, help="share of subscribers dropped every second"
    )
    parser.add_argument("--ping-interval", type=seconds, default=5.0, help="seconds; 0: no pings")


def run(arguments: argparse.Namespace) -> int:
    """See main.py."""
    with Reactor() as loop:
        feed = Feed(loop, arguments.rate, arguments.drops)
        return serve(
            loop,
            arguments,
            lambda: Subscriber(feed),
            ping_interval=arguments.ping_interval,
            ping_when_idle=False,
        )
