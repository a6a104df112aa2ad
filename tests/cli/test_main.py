"""The command line as a user calls it, in child processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reactor import Reactor
from reactor.cli.main import main
from tests.support.driving import run_until
from tests.support.recorder import Recorder


@contextmanager
def server(*arguments: str) -> Iterator[str]:
    """Run a server of the command line; yield its URL."""
    command = [sys.executable, "-m", "reactor", *arguments, "--port", "0", "--exit-with-stdin"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            yield child.stdout.readline().split()[-1]
        finally:
            assert child.stdin is not None
            child.stdin.close()
            assert child.wait(10) == 0


def test_without_a_command_it_says_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_the_echo_server_sends_every_message_back() -> None:
    with server("echo") as url, Reactor() as loop:
        client = loop.connect(url, Recorder)
        run_until(loop, lambda: "open" in client.names)
        client.send("text")
        client.send(b"\x00\xff")
        run_until(loop, lambda: len(client.messages) == 2)
        assert client.messages == ["text", b"\x00\xff"]


def test_the_echo_server_does_not_read_from_who_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("reactor.cli.echo.serve", lambda *_, **options: given.update(options) or 0)
    assert main(["echo"]) == 0
    assert given == {"on_overflow": "pause"}


def test_the_feed_streams_trades_of_the_symbol_that_was_asked_for() -> None:
    with server("feed", "--rate", "50", "--drops", "0") as url, Reactor() as loop:
        client = loop.connect(url, Recorder)
        run_until(loop, lambda: "open" in client.names)
        client.send('{"op": "subscribe", "channel": "trades", "symbol": "ABC"}')
        run_until(loop, lambda: len(client.messages) >= 4)
        first, *trades = (json.loads(message) for message in client.messages)
        assert first == {"subscribed": "ABC"}
        assert [trade["symbol"] for trade in trades] == ["ABC"] * len(trades)
        assert [trade["id"] for trade in trades] == list(range(1, len(trades) + 1))
        assert all(trade["time"] > 0 and trade["price"] > 0 for trade in trades)


def test_the_feed_answers_what_it_does_not_understand() -> None:
    with server("feed") as url, Reactor() as loop:
        client = loop.connect(url, Recorder)
        run_until(loop, lambda: "open" in client.names)
        for request in ("not json", "[]", '{"op": "dance", "symbol": "X"}'):
            client.send(request)
        run_until(loop, lambda: len(client.messages) == 3)
        assert all("error" in json.loads(message) for message in client.messages)


def test_the_feed_pings_and_drops_its_subscribers() -> None:
    arguments = ("feed", "--rate", "1", "--drops", "5", "--ping-interval", "0.05")
    with server(*arguments) as url, Reactor() as loop:
        clients = [loop.connect(url, Recorder) for _ in range(8)]
        run_until(loop, lambda: all("ping" in client.names for client in clients))
        for client in clients:
            client.send('{"op": "subscribe", "channel": "trades", "symbol": "ABC"}')
        run_until(loop, lambda: all(client.closes for client in clients))
        assert {client.closes[0][0] for client in clients} <= {1012, 1006}


def test_a_port_in_use_is_an_error_and_not_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Reactor() as loop:
        taken = loop.listen("127.0.0.1", 0)
        assert main(["echo", "--port", str(taken.port)]) == 1
        assert f"cannot listen on 127.0.0.1:{taken.port}" in capsys.readouterr().err


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reactor", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_the_demo_holds_its_subscriptions_on_one_thread() -> None:
    demo = run_demo("--count", "40", "--duration", "1.5", "--drops", "0.05")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "40, of which 40 got messages" in demo.stdout
    assert re.search(r"^messages +[1-9]", demo.stdout, re.MULTILINE)
    assert re.search(r"^threads +1$", demo.stdout, re.MULTILINE)
    assert not demo.stderr


def test_the_demo_fails_when_a_subscription_gets_nothing() -> None:
    with server("echo") as url:  # never says anything by itself
        demo = run_demo("--count", "3", "--duration", "1", "--url", url, "--subscribe", "")
        assert demo.returncode == 1
        assert "3, of which 0 got messages" in demo.stdout
        demo = run_demo("--count", "3", "--duration", "1", "--url", url, "--subscribe", "hi %d")
        assert demo.returncode == 0


def test_the_demo_refuses_a_count_that_is_none() -> None:
    assert run_demo("--count", "0").returncode == 2
