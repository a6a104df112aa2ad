"""The exchange of the command line: each flag, and the collector against it."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from reactor import Reactor
from reactor.cli import exchange
from reactor.cli.main import main
from reactor.timers import ManualClock
from tests.support.driving import run_until
from tests.support.recorder import Recorder


class Market:
    """An exchange with some flags, on a loop whose clock stands still."""

    def __init__(self, loop: Reactor, clock: ManualClock, *flags: str) -> None:
        parser = argparse.ArgumentParser()
        exchange.add_arguments(parser)
        self.loop = loop
        self.clock = clock
        self.exchange = exchange.Exchange(loop, parser.parse_args(flags))
        self.listener = loop.listen(
            "127.0.0.1",
            0,
            lambda: exchange.Client(self.exchange),
            process_request=self.exchange.admit,
        )

    def client(self) -> Recorder:
        client = Recorder()
        self.loop.connect(f"ws://127.0.0.1:{self.listener.port}/", client, ping_interval=None)
        run_until(self.loop, lambda: client.names)
        return client

    def ask(self, client: Recorder, *topics: str, op: str = "subscribe", **more: Any) -> None:
        client.send(json.dumps({"op": op, "args": topics, **more}))
        self.turns()

    def turns(self, seconds: float = 0.0) -> None:
        for _ in range(int(seconds / 0.02) + 1):
            self.clock.advance(0.02 if seconds else 0.0)
            for _ in range(8):
                self.loop.run_once(0)

    @staticmethod
    def said(client: Recorder) -> list[Any]:
        return [json.loads(message) for message in client.messages]


Make = Callable[..., Market]


@pytest.fixture
def market() -> Iterator[Make]:
    clock = ManualClock(1000.0)
    with Reactor(clock=clock) as loop:
        yield lambda *flags: Market(loop, clock, *flags)


def test_it_confirms_numbers_and_ends_topics(market: Make) -> None:
    made = market("--rate", "10")
    client = made.client()
    made.ask(client, "A", "B")
    assert made.said(client)[0] == {
        "op": "subscribe",
        "ok": True,
        "args": ["A", "B"],
        "recovered": False,
    }
    made.turns(1.0)
    numbers = [said["seq"] for said in made.said(client) if said.get("topic") == "A"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 8
    made.ask(client, "A", op="unsubscribe")
    before = len(client.messages)
    made.turns(1.0)
    assert all(said.get("topic") != "A" for said in made.said(client)[before:])


def test_one_that_starts_again_counts_anew_in_another_epoch(
    market: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = []
    for started_at in (1700.0, 1700.25):
        monkeypatch.setattr(exchange, "time", SimpleNamespace(time=lambda at=started_at: at))
        made = market("--rate", "10")
        client = made.client()
        made.ask(client, "A")
        made.turns(0.5)
        updates = [said for said in made.said(client) if "topic" in said]
        assert updates[0]["seq"] == 1
        epochs += {update["epoch"] for update in updates}
    assert epochs == [1700000, 1700250]


def test_answers_come_twice_or_never_or_late(market: Make) -> None:
    made = market("--ack-twice", "1")
    client = made.client()
    made.ask(client, "A")
    assert len(client.messages) == 2
    made = market("--ack-never", "1")
    client = made.client()
    made.ask(client, "A")
    assert client.messages == []
    made = market("--ack-delay", "0.5", "--rate", "0.01")
    client = made.client()
    made.ask(client, "A")
    assert client.messages == []
    made.turns(1.1)
    assert len(client.messages) == 1


def test_topics_are_refused_for_good_for_now_and_by_number(market: Make) -> None:
    made = market("--refuse", "1")
    client = made.client()
    made.ask(client, "A")
    assert made.said(client)[0]["ok"] is False
    assert made.said(client)[0]["retry"] is False
    made = market("--busy", "1")
    client = made.client()
    made.ask(client, "A")
    assert made.said(client)[0]["retry"] is True
    made = market("--topics", "1", "--args", "2")
    client = made.client()
    made.ask(client, "A", "B")
    assert [said["args"] for said in made.said(client)] == [["B"], ["A"]]
    made.ask(client, "A", "B", "C")
    assert made.said(client)[-1]["error"] == "args size > 2"


def test_who_sends_too_much_is_dropped(market: Make) -> None:
    made = market("--messages", "2")
    client = made.client()
    for _ in range(3):
        made.ask(client, op="ping")
    assert client.closes[0][0] == 1008


def test_too_many_attempts_get_429_and_retry_after(market: Make) -> None:
    made = market("--attempts", "1", "--retry-after", "7")
    made.client()
    refused: Any = made.client().errors[0]
    assert refused.status_code == 429
    assert refused.resp_headers["retry-after"] == "7"


def test_connections_are_kicked_and_live_for_so_long(market: Make) -> None:
    made = market("--kicks", "1")
    client = made.client()
    made.turns(1.5)
    assert client.closes
    made = market("--life", "2")
    client = made.client()
    made.turns(1.5)
    assert not client.closes
    made.turns(1.0)
    assert client.closes == [(1001, "too old")]


def test_silent_topics_say_nothing_and_lost_updates_leave_holes(market: Make) -> None:
    made = market("--silent", "1", "--rate", "10")
    client = made.client()
    made.ask(client, "A")
    made.turns(1.0)
    assert len(client.messages) == 1
    made = market("--lost", "1", "--rate", "10", "--replay", "50")
    client = made.client()
    made.ask(client, "A")
    made.turns(1.0)
    assert len(client.messages) == 1
    made.ask(client, "A", **{"from": {"A": 2}})
    answer, *replayed = made.said(client)[1:]
    assert answer["recovered"] is True
    assert replayed[0]["seq"] == 3


def test_updates_may_have_no_numbers(market: Make) -> None:
    made = market("--no-sequences", "--rate", "10")
    client = made.client()
    made.ask(client, "A")
    made.turns(1.0)
    assert "seq" not in made.said(client)[-1]


@pytest.mark.parametrize(
    "text", ["no JSON", "[]", '{"op": "subscribe", "args": 5}', '{"op": "dance"}', "{}"]
)
def test_what_it_does_not_understand_is_an_error(market: Make, text: str) -> None:
    made = market()
    client = made.client()
    client.send(text)
    made.turns()
    assert "error" in made.said(client)[0]


def test_the_collector_collects_from_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", "--count", "60", "--duration", "4", "--rate", "4"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^topics +60, of which 60 got updates$", shown, re.MULTILINE)
    assert "asked again" in shown
