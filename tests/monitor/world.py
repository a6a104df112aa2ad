"""A reactor with an echo server, a client and a feed: what the exporters are asked about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reactor import Reactor, WebSocketProtocol
from reactor.feeds import Feed, Subscribed, Update

from ..support.driving import run_until
from ..support.recorder import Recorder


class Service(WebSocketProtocol):
    """Confirms what is asked for, and sends back everything else."""

    def on_message(self, message: str | bytes) -> None:
        self.send(message)


class Ticks(Feed):
    """A feed of the service: the echo of what it asks confirms it."""

    def subscribe_message(self, topics: list[Any], link: Any) -> str:
        return json.dumps(topics)

    def parse(self, message: str | bytes, link: Any) -> Any:
        topics = json.loads(message)
        return [Subscribed(topics), *(Update(topic, 1) for topic in topics)]


@contextmanager
def world() -> Iterator[tuple[Reactor, str]]:
    """Return a reactor on which one message of 4 bytes went to and fro, and the server's address.

    A feed has two topics that are live.
    """
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, Service)
        url = f"ws://127.0.0.1:{listener.port}/secret/path?token=secret"
        recorder = Recorder()
        loop.connect(url, recorder, proxy=None)
        run_until(loop, lambda: recorder.state == 1)
        recorder.send("four")
        feed = Ticks(loop, url, proxy=None)
        feed.subscribe_many(["a", "b"])
        run_until(loop, lambda: recorder.messages and feed.stats().topics["LIVE"] == 2)
        yield loop, f"127.0.0.1:{listener.port}"
