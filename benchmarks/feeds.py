"""What a feed costs: bytes for a topic, microseconds for an update, seconds for a storm.

    python benchmarks/feeds.py memory   # 100,000 topics on 2,000 links, beside the user's data
    python benchmarks/feeds.py update   # an update beside a plain on_message with the same parse
    python benchmarks/feeds.py storm    # 10,000 topics on 200 links, all links killed, twice

``memory`` and ``update`` drive a feed without sockets, so that nothing else is measured; ``storm``
is run over loopback, with the service in a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import resource
import sys
import time
import tracemalloc
from typing import Any

from reactor import Backoff, Reactor, WebSocketProtocol
from reactor.feeds import Feed, Link, Pace, Subscribed, Update
from reactor.feeds.settings import LIVED


class Quotes(Feed):
    """A feed of updates in JSON."""

    message_pace = None
    stale_after = 3600.0
    idle_after = None

    def subscribe_message(self, topics: Any, link: Link) -> str:
        return json.dumps({"op": "subscribe", "args": topics})

    def parse(self, message: str | bytes, link: Any) -> Any:
        d = json.loads(message)
        if "op" in d:
            return Subscribed(d["args"])
        return Update(d["topic"], d, d.get("seq"), None, None, d.get("ts"))


class Cheap(Quotes):
    """The same with a parse that costs little, so that the difference can be seen."""

    def parse(self, message: Any, link: Any) -> Any:
        return Update("BTC-USD", message, message)


class NoLoop(Reactor):
    """A reactor whose connections are never opened: what a feed keeps is all that is left."""

    def connect(self, url: Any, protocol: Any, **options: Any) -> Any:
        return protocol


# -- memory --------------------------------------------------------------------------------------


def memory(topics: int, links: int) -> dict[str, float]:
    """Bytes of a topic that is live and has had an update, by the allocator's own count."""
    names = [f"TOPIC-{number}" for number in range(topics)]
    kind = type("Sized", (Quotes,), {"topics_per_link": topics // links})

    def handler(update: Update) -> None:
        pass

    with NoLoop() as loop:
        feed = kind(loop, "ws://127.0.0.1:1/")
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        feed.subscribe_many(names, handler)
        for link in feed.links:
            link.opened_at = 1.0
            feed._reactor_driver.core.opened(link, 1.0)
            while (batch := feed._reactor_driver.core.batches.take(link)) is not None:
                feed._reactor_driver.core.sent(link, batch, 1.0)
                feed._reactor_driver.core.subscribed(link, batch.topics, False, 1.0)
        feed._reactor_driver.perform()
        for link in feed.links:
            link.alarms.clear()
            link.opened_at = None
        updates = [Update(name, None, 1) for name in names]
        own = sum(map(sys.getsizeof, updates)) + 16 * len(updates)
        for link in feed.links:
            for name in list(link.legs):
                feed._reactor_driver.core.update(link, updates[int(name.partition("-")[2])], 2.0)
        feed._reactor_driver.perform()
        del updates
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert feed.stats().topics["LIVE"] == topics, feed.stats()
    return {"bytes per topic": (held - own) / topics, "with the update kept": held / topics}


# -- an update -----------------------------------------------------------------------------------


class Plain(WebSocketProtocol):
    """What a feed is compared with: the same parse, and the same handler."""

    def __init__(self, parse: Any, handler: Any) -> None:
        self.parse = parse
        self.handler = handler

    def on_message(self, message: str | bytes) -> None:
        self.handler(self.parse(message, self))


def update(count: int, rounds: int) -> dict[str, float]:
    """Microseconds of an update by a feed and by a plain protocol object, in turn."""
    messages: list[Any] = list(range(1, count + 1))

    def handler(update: Update) -> None:
        pass

    times: list[tuple[float, float]] = []
    for _ in range(rounds):
        with NoLoop() as loop:
            feed = Cheap(loop, "ws://127.0.0.1:1/")
            feed.subscribe("BTC-USD", handler)
            link = feed.links[0]
            link.opened_at = 1.0
            feed._reactor_driver.core.opened(link, 1.0)
            batch = feed._reactor_driver.core.batches.take(link)
            assert batch is not None
            feed._reactor_driver.core.sent(link, batch, 1.0)
            feed._reactor_driver.core.subscribed(link, batch.topics, False, 1.0)
            feed._reactor_driver.perform()
            wire = link._wire
            mine = _time(wire.on_message, messages)
            assert feed.stats().updates == count
            plain = _time(Plain(feed.parse, handler).on_message, messages)
            link.opened_at = None
        times.append((mine / count * 1e6, plain / count * 1e6))
    # The quickest rounds: what else runs on the machine only ever adds to them.
    mine, plain = (min(column) for column in zip(*times, strict=True))
    return {"plain, us": plain, "feed, us": mine, "more, us": mine - plain}


def _time(on_message: Any, messages: list[Any]) -> float:
    gc.collect()
    gc.disable()
    try:
        begun = time.perf_counter()
        for message in messages:
            on_message(message)
        return time.perf_counter() - begun
    finally:
        gc.enable()


# -- a storm -------------------------------------------------------------------------------------


class Market(WebSocketProtocol):
    """The service of the storm: confirms what it is asked for, and sends an update of each."""

    def on_message(self, message: str | bytes) -> None:
        topics = json.loads(message)["args"]
        self.send(json.dumps({"op": "subscribe", "args": topics}))
        for topic in topics:
            self.send(json.dumps({"topic": topic}))


def _serve(port: Any, kill: Any) -> None:
    _raise_limit()
    markets: set[Market] = set()

    class Known(Market):
        def on_open(self) -> None:
            markets.add(self)

        def on_close(self, code: int, reason: str) -> None:
            markets.discard(self)

    with Reactor() as loop:
        port.send(loop.listen("127.0.0.1", 0, Known, backlog=4096).port)

        def look() -> None:
            if kill.poll():
                if kill.recv() == "stop":
                    loop.stop()
                    return
                for market in list(markets):
                    market.abort()
            loop.call_later(0.01, look)

        look()
        loop.run_forever()


def storm(topics: int, links: int, pace: Pace) -> dict[str, float]:
    """Seconds from the loss of all links until all topics are live, beside the pace's bound.

    Each storm comes when the links have lived for long enough that their attempts count anew, and
    when the window of the pace is empty: what was asked for before the kill would otherwise count
    into the bound.
    """
    _raise_limit()
    port_here, port_there = multiprocessing.Pipe()
    kill_here, kill_there = multiprocessing.Pipe()
    service = multiprocessing.Process(target=_serve, args=(port_there, kill_there))
    service.start()
    per_link, per_message = topics // links, 5
    results: dict[str, float] = {}
    try:
        url = f"ws://127.0.0.1:{port_here.recv()}/"
        with Reactor() as loop:

            class Stormy(Quotes):
                topics_per_link = per_link
                topics_per_message = per_message
                message_pace = pace

                def on_live(self) -> None:
                    lives.append(loop.time())
                    loop.stop()

            lives: list[float] = []
            feed = Stormy(loop, url, reconnect=Backoff(first=0.5, cap=2.0))
            feed.subscribe_many([f"T{number}" for number in range(topics)])
            loop.run_forever()
            messages = -(-per_link // per_message)
            bound = (messages - 1) // pace.count * pace.per
            for number in (1, 2):
                _rest(loop, LIVED + 0.5)
                before, most = feed.stats(), [0]
                _watch(loop, most, number)
                begun, cpu = loop.time(), time.process_time()
                kill_here.send("kill")
                loop.run_forever()
                after = feed.stats()
                results[f"storm {number}: seconds"] = lives[-1] - begun
                results[f"storm {number}: most in flight"] = most[0]
                results[f"storm {number}: CPU seconds"] = time.process_time() - cpu
                results[f"storm {number}: gaps"] = sum(after.gaps.values()) - sum(
                    before.gaps.values()
                )
                results[f"storm {number}: asked"] = after.asked - before.asked
            results["bound of the pace, seconds"] = bound
            feed.close()
    finally:
        kill_here.send("stop")
        service.join(10)
    return results


def _rest(loop: Reactor, seconds: float) -> None:
    """Run the loop for so long, and do nothing else."""
    loop.call_later(seconds, loop.stop)
    loop.run_forever()


def _watch(loop: Reactor, most: list[int], number: int) -> None:
    """Note how many attempts to connect are in flight at most, until the loop is closed."""
    most[0] = max(most[0], loop.stats().connecting)
    loop.call_later(0.005, _watch, loop, most, number)


def _raise_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["memory", "update", "storm"])
    parser.add_argument("--topics", type=int)
    parser.add_argument("--links", type=int)
    arguments = parser.parse_args()
    os.environ.pop("http_proxy", None)
    if arguments.what == "memory":
        found = memory(arguments.topics or 100_000, arguments.links or 2_000)
    elif arguments.what == "update":
        found = update(2_000, 200)
    else:
        found = storm(arguments.topics or 10_000, arguments.links or 200, Pace(5, per=1.0))
    for name, value in found.items():
        print(f"{name:28} {value:10.3f}")


if __name__ == "__main__":
    main()
