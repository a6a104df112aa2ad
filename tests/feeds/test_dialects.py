"""The feeds of the examples, against services that follow the public documents of real ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from reactor.feeds import TopicState

from .service import Stage

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports modules of the examples."""
    # Not syspath_prepend(), which imports pkg_resources, of which a test dependency has its own.
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    yield import_module
    for name in ("services", "feed_kraken", "feed_graphql", "feed_binance"):
        sys.modules.pop(name, None)


def fresh(kind: Any) -> Any:
    """A service whose clients are this test's own."""
    return type(kind.__name__, (kind,), {})


class Told:
    """What a feed was told, on top of what it does with it."""

    def __init__(self, feed: Any, *names: str) -> None:
        self.calls: list[tuple[Any, ...]] = []
        for name in names:
            setattr(feed, name, self._recorder(name))

    def _recorder(self, name: str) -> Any:
        return lambda *args: self.calls.append((name, *args))

    def of(self, name: str) -> list[Any]:
        return [call[1:] for call in self.calls if call[0] == name]


def test_kraken_confirms_each_symbol_and_refuses_some(stage: Stage, examples: Any) -> None:
    service = fresh(examples("services").KrakenLike)
    listener = stage.loop.listen("127.0.0.1", 0, service)
    feed = examples("feed_kraken").Kraken(stage.loop, f"ws://127.0.0.1:{listener.port}/v2")
    told = Told(feed, "on_refused", "on_live", "on_gap")
    got: list[Any] = []
    topics = [("trade", "BTC/USD"), ("ticker", "BTC/USD"), ("trade", "ETH/USD"), ("trade", "X/Y")]
    feed.subscribe_many(topics, lambda update: got.append(update.sequence))
    stage.until(lambda: told.of("on_live"))
    assert [topic for topic, _, _ in told.of("on_refused")] == [("trade", "X/Y")]
    assert feed.state(("ticker", "BTC/USD")) is TopicState.LIVE
    assert [said["params"]["channel"] for said in service.clients[0].said[:2]] == [
        "trade",
        "ticker",
    ]
    for number in (1, 2):
        service.trade("BTC/USD", number, 1.0)
    stage.until(lambda: got == [1, 2])
    service.clients[0].abort()
    stage.advance_until(lambda: len(told.of("on_live")) == 2)
    service.trade("BTC/USD", 3, 1.0)
    service.trade("BTC/USD", 7, 1.0)
    stage.until(lambda: got == [1, 2, 3, 7])
    # BTC: numbers tell that nothing was missed until 7. The others have none: a hole each.
    assert [(topic, gap.reason) for topic, gap in told.of("on_gap")] == [
        (("trade", "ETH/USD"), "reconnect"),
        (("ticker", "BTC/USD"), "reconnect"),
        (("trade", "BTC/USD"), "sequence"),
    ]
    stage.advance(31, step=0.5)
    assert {"method": "ping"} in service.clients[0].said
    feed.close()


def test_graphql_has_ids_that_are_new_on_every_link(stage: Stage, examples: Any) -> None:
    service = fresh(examples("services").GraphQLLike)
    listener = stage.loop.listen("127.0.0.1", 0, service, subprotocols=["graphql-transport-ws"])
    feed = examples("feed_graphql").Prices(
        stage.loop, f"ws://127.0.0.1:{listener.port}/", token="secret"
    )
    told = Told(feed, "on_subscribed", "on_ended", "on_error")
    got: list[Any] = []
    feed.subscribe_many(["BTC", "ETH"], lambda update: got.append(update.data["value"]))
    stage.until(lambda: service.clients and len(service.clients[0].topics) == 2)
    assert [said["type"] for said in service.clients[0].said] == [
        "connection_init",
        "pong",
        "subscribe",
        "subscribe",
    ]
    service.price("BTC", 1)
    stage.until(lambda: got == [1])
    service.clients[0].abort()
    stage.advance_until(lambda: service.clients and sorted(service.clients[0].topics) == ["3", "4"])
    service.price("BTC", 2)
    stage.until(lambda: got == [1, 2])
    feed.unsubscribe("ETH")
    stage.until(lambda: list(service.clients[0].topics) == ["3"])
    service.end("BTC")
    stage.until(lambda: told.of("on_ended"))
    assert feed.topics() == []
    feed.close()


def test_graphql_with_a_wrong_token_is_tried_again(stage: Stage, examples: Any) -> None:
    service = fresh(examples("services").GraphQLLike)
    listener = stage.loop.listen("127.0.0.1", 0, service, subprotocols=["graphql-transport-ws"])
    feed = examples("feed_graphql").Prices(
        stage.loop, f"ws://127.0.0.1:{listener.port}/", token="wrong"
    )
    feed.subscribe("BTC")
    stage.until(lambda: feed.links[0].attempt >= 1)
    feed.token = "secret"
    stage.advance_until(lambda: feed.state("BTC") is TopicState.LIVE)
    feed.close()


def test_binance_confirms_by_id_within_its_limits(stage: Stage, examples: Any) -> None:
    service = fresh(examples("services").BinanceLike)
    times: list[float] = []

    class Watched(service):  # type: ignore[misc]
        def on_message(self, message: str) -> None:
            times.append(stage.clock.now())
            super().on_message(message)

    listener = stage.loop.listen("127.0.0.1", 0, Watched)
    feed = examples("feed_binance").Binance(stage.loop, f"ws://127.0.0.1:{listener.port}/stream")
    told = Told(feed, "on_live", "on_gap", "on_refused")
    feed.subscribe_many([f"coin{number}@aggTrade" for number in range(1500)])
    stage.advance_until(lambda: told.of("on_live"), at_most=10)
    clients = Watched.clients
    assert sorted(len(client.topics) for client in clients) == [476, 1024]
    assert max(len(said["params"]) for client in clients for said in client.said) == 200
    for client in clients:
        assert len(client.said) in (3, 6)
    feed.close()


def test_binance_replaces_links_before_they_are_a_day_old(stage: Stage, examples: Any) -> None:
    service = fresh(examples("services").BinanceLike)
    listener = stage.loop.listen("127.0.0.1", 0, service, ping_interval=None)
    module = examples("feed_binance")
    quiet = type("Quiet", (module.Binance,), {"stale_after": None, "idle_after": None})
    feed = quiet(stage.loop, f"ws://127.0.0.1:{listener.port}/stream", ping_interval=None)
    told = Told(feed, "on_live", "on_gap")
    got: list[int] = []
    feed.subscribe("btcusdt@aggTrade", lambda update: got.append(update.sequence))
    stage.until(lambda: told.of("on_live"))
    first = service.clients[0]
    number = 0
    while first in service.clients:
        stage.advance(600, step=600)
        stage.advance(2, step=0.25)
        number += 1
        service.trade("BTCUSDT", number, 1.0)
        stage.turns()
        assert number < 24 * 6
    service.trade("BTCUSDT", number + 1, 1.0)
    stage.until(lambda: len(got) == number + 1)
    assert got == list(range(1, number + 2))
    assert told.of("on_gap") == []
    feed.close()
