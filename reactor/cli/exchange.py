"""A WebSocket service of numbered updates, as difficult as the real ones.

A client says ``{"op": "subscribe", "args": ["A", "B"]}``, with ``"from": {"A": 17}`` for what
follows update 17, and gets ``{"op": "subscribe", "ok": true, "args": [...], "recovered": false}``,
or ``"ok": false`` with an ``error`` and whether to ``retry``. ``unsubscribe`` is answered alike;
``{"op": "login"}`` and ``{"op": "ping"}`` are answered with ``{"op": "login", "ok": true}`` and
``{"op": "pong"}``. Updates are ``{"topic": "A", "seq": 18, "epoch": 1699999999000, "price": 1.5,
"ts": 1700000000.123}``; when the service starts again, it counts anew, with another epoch.
Every difficulty has a flag.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import zlib
from collections import deque
from typing import Any

from ..base.printable import quoted
from ..protocols.session import State
from ..protocols.websocket import WebSocketProtocol
from ..reactor import Reactor
from ..server.decisions import HTTPResponse
from ..timers import Pace, PaceWindow
from .arguments import limit, seconds, share
from .serving import add_server_arguments, serve

__all__ = ["Client", "Exchange", "add_arguments", "run"]

#: Seconds between two batches of updates.
BATCH = 0.02

#: Characters of a topic.
LONGEST_TOPIC = 64


class Stream:
    """The updates of one topic: their number, the price, and those that can be replayed."""

    __slots__ = ("clients", "history", "price", "sequence")

    def __init__(self, replay: int) -> None:
        self.sequence = 0
        self.price = 100.0
        self.history: deque[tuple[int, str]] = deque(maxlen=replay)
        self.clients: dict[Client, None] = {}


class Client(WebSocketProtocol):
    """One client's connection."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.topics: set[str] = set()
        self.window: PaceWindow | None = None

    def on_open(self) -> None:
        """See WebSocketProtocol."""
        self.exchange.opened(self)

    def on_message(self, message: str | bytes) -> None:
        """See WebSocketProtocol."""
        try:
            said = json.loads(message)
            operation, topics = said["op"], said.get("args", [])
            if not isinstance(topics, list) or not all(
                isinstance(topic, str) and len(topic) <= LONGEST_TOPIC for topic in topics
            ):
                raise ValueError(f"args must be a list of topics, not {quoted(topics)}")
            origin = said.get("from", {})
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            self.say(error=f"{type(exc).__name__}: {exc}")
            return
        self.exchange.asked(self, operation, topics, origin if isinstance(origin, dict) else {})

    def on_close(self, code: int, reason: str) -> None:
        """See WebSocketProtocol."""
        self.exchange.closed(self)

    def say(self, **what: Any) -> None:
        """Send a message, unless the connection is closed."""
        if self.state is State.OPEN:
            self.send(json.dumps(what))


class Exchange:
    """Answers its clients, and sends them updates.

    Args:
        loop: where it lives.
        rules: the flags of the command line; see :func:`add_arguments`.
    """

    def __init__(self, loop: Reactor, rules: argparse.Namespace) -> None:
        self._loop = loop
        self._rules = rules
        self._clients: dict[Client, None] = {}
        self._streams: dict[str, Stream] = {}
        self._loud: list[Stream] = []  # those that are not silent
        self._names: dict[int, str] = {}
        self._attempts = None if not rules.attempts else Pace(rules.attempts).window()
        self._next = 0  # whose turn it is
        self._owed = self._doomed = 0.0  # updates, and kicks, that are due, and parts of one
        self._last = loop.time()
        self._epoch = int(time.time() * 1000)
        loop.call_later(BATCH, self._batch)

    # -- connections -------------------------------------------------------------------------

    def admit(self, request: Any, sock: Any) -> HTTPResponse | None:
        """Refuse an attempt when there are too many: 429, with Retry-After."""
        now, window = self._loop.time(), self._attempts
        if window is None:
            return None
        if window.wait(now):
            headers = {"Retry-After": str(self._rules.retry_after)}
            return HTTPResponse(429, headers=headers)
        window.take(now)
        return None

    def opened(self, client: Client) -> None:
        """A client is there; it may not stay for long."""
        self._clients[client] = None
        if self._rules.messages:
            client.window = Pace(self._rules.messages).window()
        if self._rules.life:
            self._loop.call_later(self._rules.life, client.close, 1001, "too old")

    def closed(self, client: Client) -> None:
        """A client is gone."""
        self._clients.pop(client, None)
        for topic in client.topics:
            self._streams[topic].clients.pop(client, None)

    # -- what clients ask for ----------------------------------------------------------------

    def asked(
        self, client: Client, operation: str, topics: list[str], origin: dict[str, Any]
    ) -> None:
        """A client has said something."""
        rules, now = self._rules, self._loop.time()
        if client.window is not None:
            if client.window.wait(now):
                client.close(1008, f"more than {rules.messages} messages a second")
                return
            client.window.take(now)
        if operation in ("ping", "login"):
            client.say(op="pong" if operation == "ping" else "login", ok=True)
        elif operation == "unsubscribe":
            for topic in topics:
                client.topics.discard(topic)
                if topic in self._streams:
                    self._streams[topic].clients.pop(client, None)
            self._answer(client, op="unsubscribe", args=topics)
        elif operation != "subscribe":
            client.say(error=f"unknown op {quoted(operation)}")
        elif rules.args and len(topics) > rules.args:
            self._refuse(client, topics, f"args size > {rules.args}")
        else:
            self._subscribe(client, topics, origin)

    def _subscribe(self, client: Client, topics: list[str], origin: dict[str, Any]) -> None:
        rules = self._rules
        good: list[str] = []
        full: list[str] = []
        unknown: list[str] = []
        for topic in topics:
            if _chosen(topic, "refuse", rules.refuse):
                unknown.append(topic)
            elif random.random() < rules.busy or (
                rules.topics and len(client.topics | set(good)) >= rules.topics
            ):
                full.append(topic)
            else:
                good.append(topic)
        if unknown:
            self._refuse(client, unknown, "no such topic", retry=False)
        if full:
            self._refuse(client, full, "too many topics, or too busy")
        if not good:
            return
        client.topics.update(good)
        replays = [self._join(client, topic, origin) for topic in good]
        recovered = all(replay is not None for replay in replays)
        self._answer(client, op="subscribe", ok=True, args=good, recovered=recovered)
        for replay in replays:
            for text in replay or ():
                client.send(text)

    def _join(self, client: Client, topic: str, origin: dict[str, Any]) -> list[str] | None:
        """Add a client to a topic; returns what it has missed, or None if that is not known."""
        stream = self._streams.get(topic)
        if stream is None:
            stream = self._streams[topic] = Stream(self._rules.replay)
            if not _chosen(topic, "silent", self._rules.silent):
                self._names[id(stream)] = topic
                self._loud.append(stream)
        stream.clients[client] = None
        since = origin.get(topic)
        if not isinstance(since, int):
            return None
        missed = [text for number, text in stream.history if number > since]
        return missed if len(missed) == stream.sequence - since else None

    def _refuse(self, client: Client, topics: list[str], error: str, retry: bool = True) -> None:
        client.say(op="subscribe", ok=False, args=topics, error=error, retry=retry)

    def _answer(self, client: Client, **what: Any) -> None:
        rules = self._rules
        if random.random() < rules.ack_never:
            return
        times = 2 if random.random() < rules.ack_twice else 1
        for _ in range(times):
            if rules.ack_delay:
                delay = random.uniform(0, 2 * rules.ack_delay)
                self._loop.call_later(delay, lambda: client.say(**what))
            else:
                client.say(**what)

    # -- updates -----------------------------------------------------------------------------

    def _batch(self) -> None:
        self._loop.call_later(BATCH, self._batch)
        now = self._loop.time()
        elapsed, self._last = now - self._last, now
        loud, clients = self._loud, self._clients
        # Never more than two rounds at once: after a stall, what was missed is left out.
        self._owed = min(self._owed + elapsed * self._rules.rate * len(loud), 2.0 * len(loud))
        while self._owed >= 1:
            self._owed -= 1
            self._next = (self._next + 1) % len(loud)
            self._publish(loud[self._next])
        self._doomed = min(
            self._doomed + elapsed * self._rules.kicks * len(clients), float(len(clients))
        )
        while self._doomed >= 1 and clients:
            self._doomed -= 1
            _kick(random.choice(list(clients)))

    def _publish(self, stream: Stream) -> None:
        stream.sequence += 1
        stream.price = max(1.0, stream.price + random.uniform(-0.5, 0.5))
        update = {"topic": self._names[id(stream)], "price": round(stream.price, 2)}
        if not self._rules.no_sequences:
            update["seq"] = stream.sequence
            update["epoch"] = self._epoch
        text = json.dumps({**update, "ts": time.time()})
        stream.history.append((stream.sequence, text))
        if random.random() < self._rules.lost:
            return  # a hole in the numbers
        for client in list(stream.clients):
            if client.state is State.OPEN:
                client.send(text)


def _kick(client: Client) -> None:
    """Drop a client: with a close frame, or without a word."""
    if random.random() < 0.5:
        client.close(1012, "kicked on purpose")
    else:
        client.abort()


def _chosen(topic: str, what: str, share: float) -> bool:
    """Whether a topic is one of a share of all; always the same ones."""
    return zlib.crc32(f"{what}/{topic}".encode()) % 10_000 < share * 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See main.py."""
    add_server_arguments(parser, port=9003)
    of = "share of %s (default %%(default)s)"
    for name, kind, value, text in (
        ("--rate", share, 1.0, "updates a second of each topic (default %(default)s)"),
        (
            "--ack-delay",
            seconds,
            0.0,
            "mean seconds until an answer, which changes their order",
        ),
        ("--ack-twice", share, 0.0, of % "answers that come twice"),
        ("--ack-never", share, 0.0, of % "answers that never come"),
        ("--refuse", share, 0.0, of % "topics that do not exist"),
        ("--busy", share, 0.0, of % "topics that are refused for now"),
        ("--topics", limit, 0, "topics on a connection at most (default: any number)"),
        ("--args", limit, 0, "topics in a message at most (default: any number)"),
        ("--messages", limit, 0, "messages a second; who sends more is dropped (default: any)"),
        ("--attempts", limit, 0, "connects a second; more get 429 (default: any number)"),
        ("--retry-after", limit, 1, "seconds that a 429 asks to wait (default %(default)s)"),
        ("--kicks", share, 0.0, of % "connections that are dropped every second"),
        ("--silent", share, 0.0, of % "topics that are confirmed and never say anything"),
        ("--lost", share, 0.0, of % "updates that are lost"),
        ("--replay", limit, 0, "updates of each topic that can be replayed (default %(default)s)"),
        ("--life", seconds, 0.0, "seconds after which a connection is closed (default: never)"),
    ):
        parser.add_argument(name, type=kind, default=value, help=text)
    parser.add_argument("--no-sequences", action="store_true", help="updates have no numbers")


def run(arguments: argparse.Namespace) -> int:
    """See main.py."""
    with Reactor() as loop:
        exchange = Exchange(loop, arguments)
        return serve(
            loop, arguments, lambda: Client(exchange), process_request=exchange.admit, backlog=4096
        )
