"""A service on loopback that a test makes behave as badly as it likes, and a feed for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from reactor import Backoff, HTTPResponse, Reactor, WebSocketProtocol
from reactor.feeds import (
    Ended,
    Feed,
    Gap,
    Link,
    Refused,
    Subscribed,
    Unsubscribed,
    Update,
)
from reactor.timers import ManualClock

from ..support.driving import run_until


class Connection(WebSocketProtocol):
    """The service's side of one link."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.subscribed: list[str] = []
        self.received: list[tuple[float, Any]] = []  # when, and what
        self.code: int | None = None

    def on_open(self) -> None:
        self.service.connections.append(self)
        self.service.opened += 1
        if self.service.greeting is not None:
            self.service.greeting(self)

    def on_message(self, message: str | bytes) -> None:
        said = json.loads(message)
        self.received.append((self.service.loop.time(), said))
        self.service.receive(self, said)

    def on_close(self, code: int, reason: str) -> None:
        self.code = code
        if self in self.service.connections:
            self.service.connections.remove(self)

    def say(self, **what: Any) -> None:
        if self.state.name == "OPEN":
            self.send(json.dumps(what))


class Service:
    """See the module. Its rules are attributes that a test may change at any time.

    Attributes:
        connections: those that are open.
        opened: how many there have been.
        acks: answers to requests; False: none.
        refused: reasons by topic; final ones, unless the topic is in ``retried``.
        status: the HTTP status that upgrades are refused with, and Retry-After; None: accepted.
    """

    def __init__(self, loop: Reactor) -> None:
        self.loop = loop
        self.connections: list[Connection] = []
        self.opened = 0
        self.acks = True
        self.refused: dict[str, str] = {}
        self.retried: set[str] = set()
        self.status: int | None = None
        self.retry_after: int | None = None
        self.attempts: list[float] = []
        self.sequences: dict[str, int] = {}
        self.greeting: Callable[[Connection], object] | None = None
        self.on_receive: Callable[[Connection, Any], object] | None = None
        self.listener = loop.listen(
            "127.0.0.1", 0, lambda: Connection(self), process_request=self._admit
        )

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.listener.port}/"

    def _admit(self, request: Any, sock: Any) -> HTTPResponse | None:
        self.attempts.append(self.loop.time())
        if self.status is None:
            return None
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return HTTPResponse(self.status, headers=headers)

    def receive(self, connection: Connection, said: Any) -> None:
        if self.on_receive is not None and self.on_receive(connection, said):
            return
        topics = said.get("args", [])
        if said["op"] == "unsubscribe":
            connection.subscribed = [t for t in connection.subscribed if t not in topics]
            if self.acks:
                connection.say(op="unsubscribe", args=topics)
        elif said["op"] == "subscribe":
            good = [topic for topic in topics if topic not in self.refused]
            connection.subscribed += [t for t in good if t not in connection.subscribed]
            if self.acks and good:
                connection.say(op="subscribe", ok=True, args=good)
            bad = [topic for topic in topics if topic in self.refused]
            if bad:
                retry = set(bad) <= self.retried
                error = self.refused[bad[0]]
                connection.say(op="subscribe", ok=False, args=bad, error=error, retry=retry)

    def publish(self, *topics: str, numbered: bool = False, **more: Any) -> None:
        """Send one update of each topic to everybody who has it."""
        for topic in topics:
            if numbered:
                self.sequences[topic] = more["seq"] = self.sequences.get(topic, 0) + 1
            for connection in list(self.connections):
                if topic in connection.subscribed:
                    connection.say(topic=topic, **more)

    def everything_subscribed(self) -> list[str]:
        return sorted(topic for each in self.connections for topic in each.subscribed)


class Recorder(Feed):
    """A feed that writes down what it is told."""

    ask_again = Backoff(first=0.05, cap=0.2)
    message_pace = None

    def __init__(self, loop: Reactor, url: Any, **options: Any) -> None:
        options.setdefault("reconnect", Backoff(first=0.02, cap=0.1))
        super().__init__(loop, url, **options)
        self.told: list[tuple[Any, ...]] = []

    def of(self, name: str) -> list[Any]:
        """What was told of one kind; the argument itself where there is one."""
        found = [each[1:] for each in self.told if each[0] == name]
        return [each[0] if len(each) == 1 else each for each in found]

    def names(self) -> list[str]:
        return [each[0] for each in self.told]

    def subscribe_message(self, topics: Any, link: Link) -> Any:
        return json.dumps({"op": "subscribe", "args": topics})

    def unsubscribe_message(self, topics: Any, link: Link) -> Any:
        return json.dumps({"op": "unsubscribe", "args": topics})

    def parse(self, message: str | bytes, link: Link) -> Any:
        d = json.loads(message)
        op = d.get("op")
        if op == "subscribe":
            if d["ok"]:
                return Subscribed(d["args"], recovered=d.get("recovered", False))
            return Refused(d["args"], d["error"], retry=d.get("retry", False))
        if op == "unsubscribe":
            return Unsubscribed(d["args"])
        if op == "ended":
            return Ended(d["args"], d["why"])
        return Update(
            d["topic"], d, sequence=d.get("seq"), previous=d.get("prev"), epoch=d.get("epoch")
        )

    def on_update(self, topic: Any, update: Update) -> None:
        self.told.append(("update", topic, update))

    def on_subscribed(self, topic: Any) -> None:
        self.told.append(("subscribed", topic))

    def on_live(self) -> None:
        self.told.append(("live",))

    def on_refused(self, topic: Any, reason: Any, final: bool) -> None:
        self.told.append(("refused", topic, reason, final))

    def on_ended(self, topic: Any, reason: Any) -> None:
        self.told.append(("ended", topic, reason))

    def on_gap(self, topic: Any, gap: Gap) -> None:
        self.told.append(("gap", topic, gap))

    def on_stale(self, topic: Any, silence: float) -> None:
        self.told.append(("stale", topic, silence))

    def on_link_open(self, link: Link) -> None:
        self.told.append(("link_open", link))

    def on_link_close(self, link: Link, code: int, reason: str) -> None:
        self.told.append(("link_close", link, code, reason))

    def on_error(self, error: Exception) -> None:
        self.told.append(("error", error))


@contextmanager
def made(kind: type[Recorder], loop: Reactor, url: Any, **knobs: Any) -> Iterator[Recorder]:
    """A feed of a class whose knobs are set for the test; closed at its end."""
    options = knobs.pop("options", {})
    feed = type(kind.__name__, (kind,), knobs)(loop, url, **options)
    try:
        yield feed
    finally:
        feed.close()


class Stage:
    """A feed and a service on one loop, whose clock goes on only when the test says so.

    Attributes:
        clock, loop, service: what the names say.
    """

    def __init__(self, clock: ManualClock, loop: Reactor, stack: ExitStack) -> None:
        self.clock = clock
        self.loop = loop
        self.service = Service(loop)
        self._stack = stack

    def feed(self, kind: type[Recorder] = Recorder, url: Any = None, **knobs: Any) -> Any:
        """Make a feed with knobs; it is closed at the end."""
        knobs.setdefault("idle_after", None)
        knobs.setdefault("stale_after", None)
        knobs.setdefault("max_link_age", None)
        knobs.setdefault("options", {}).setdefault("ping_interval", None)
        return self._stack.enter_context(made(kind, self.loop, url or self.service.url, **knobs))

    def live(self, feed: Recorder, *topics: str, **more: Any) -> None:
        """Subscribe topics, and wait until all are live."""
        before = feed.names().count("live")
        feed.subscribe_many(topics, **more)
        self.until(lambda: feed.names().count("live") > before)

    def until(self, condition: Callable[[], object]) -> None:
        """Run turns until something is true; the clock stands still."""
        run_until(self.loop, condition)

    def turns(self, count: int = 20) -> None:
        """Run some turns, in which whatever is on its way arrives."""
        for _ in range(count):
            self.loop.run_once(0)

    def advance(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass, with some turns after every step."""
        until = self.clock.now() + seconds
        while self.clock.now() < until - 1e-9:
            self.clock.advance(min(step, until - self.clock.now()))
            self.turns(6)

    def advance_until(self, condition: Callable[[], object], at_most: float = 60.0) -> float:
        """Let time pass until something is true; returns how much has passed."""
        begun = self.clock.now()
        while not condition():
            assert self.clock.now() < begun + at_most, "it does not come true"
            self.advance(0.05)
        return self.clock.now() - begun
