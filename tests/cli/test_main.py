"""The command line as a user calls it, in child processes."""

from __future__ import annotations

import importlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from reactor import Reactor, WebSocketException, WebSocketProtocol, compiled
from reactor.cli.echo import Echo
from reactor.cli.main import COMMANDS, main
from reactor.cli.monitor import Monitor
from reactor.testing import ManualReactor, closed_port
from tests.support.certificates import Authority
from tests.support.driving import run_until
from tests.support.programs import run_command
from tests.support.recorder import Recorder
from tests.support.servers import serve_with_reactor


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


def run_demo(*arguments: str, name: str = "run") -> subprocess.CompletedProcess[str]:
    return run_command(name, *arguments)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come up is not waited for."""
    for module in ("monitor", "collect"):
        monkeypatch.setattr(f"reactor.cli.{module}.PATIENCE", 0.0)


def test_the_demo_holds_its_subscriptions_on_one_thread() -> None:
    command = [sys.executable, "-m", "reactor", "run", "--count", "40", "--duration", "1.5"]
    demo = subprocess.run(
        [*command, "--drops", "0.05"], capture_output=True, text=True, timeout=50, check=False
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "40, of which 40 got messages" in demo.stdout
    assert re.search(r"^messages +[1-9]", demo.stdout, re.MULTILINE)
    assert re.search(r"^threads +1$", demo.stdout, re.MULTILINE)
    assert not demo.stderr


@pytest.mark.usefixtures("impatient")
def test_the_demo_fails_when_a_subscription_gets_nothing() -> None:
    with serve_with_reactor(Echo) as url:  # never says anything by itself
        demo = run_demo("--count", "3", "--duration", "0.1", "--url", url, "--subscribe", "")
        assert demo.returncode == 1
        assert "3, of which 0 got messages" in demo.stdout


def test_the_demo_goes_on_until_every_subscription_got_something() -> None:
    with serve_with_reactor(Echo) as url:
        demo = run_demo("--count", "3", "--duration", "0.001", "--url", url, "--subscribe", "hi %d")
        assert demo.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--count", "0"], "must be a whole number of 1 or more, not '0'"),
        (["run", "--count", "many"], "must be a whole number of 1 or more, not 'many'"),
        (["run", "--count", "999999999"], "need 1000000063 descriptors"),
        (["run", "--duration", "0"], "must be more than 0 seconds, not '0'"),
        (["run", "--duration", "nan"], "must be more than 0 seconds, not 'nan'"),
        (["run", "--url", "http://x"], "scheme http is invalid"),
        (["run", "--url", "ws://"], "hostname is invalid"),
        (["run", "--rate", "-1"], "must be a number of 0 or more"),
        (["run", "--header", "no colon"], "is no 'Name: value'"),
        (["collect", "--count", "0"], "must be a whole number of 1 or more"),
        (["collect", "--duration", "0"], "must be more than 0 seconds"),
        (["collect", "--url", "http://x"], "scheme http is invalid"),
        (["collect", "--count", "9999999999"], "need 400000064 descriptors"),
        (["collect", "--key", __file__], "keyfile, but no certfile"),
        (["collect", "--header", "no colon"], "is no 'Name: value'"),
        (["run", "--subprotocol", "no token"], "no token"),
        (["run", "--origin", "a\nb"], "Origin"),
        (["run", "--cafile", "/does/not/exist"], "cannot be read: No such file"),
        (["run", "--key", __file__], "keyfile, but no certfile"),
        (["echo", "--port", "65536"], "must be a port from 0 to 65535, not '65536'"),
        (["echo", "--port", "-1"], "must be a port from 0 to 65535"),
        (["feed", "--port", "x"], "must be a port from 0 to 65535"),
        (["feed", "--certfile", "/does/not/exist"], "cannot be read: No such file"),
        (["echo", "--certfile", __file__], "argument --certfile"),
        (["echo", "--keyfile", __file__], "needs --certfile"),
        (["dump", "--eof-wait", "-1", "ws://x/"], "must be 0 or more seconds"),
        (["dump", "http://x/"], "scheme http is invalid"),
        (["exchange", "--life", "-3"], "must be 0 or more seconds, not '-3'"),
        (["exchange", "--topics", "-1"], "must be a whole number of 0 or more, not '-1'"),
        (["exchange", "--kicks", "-1"], "must be a number of 0 or more, not '-1'"),
        (["dance"], "invalid choice"),
    ],
)
def test_a_wrong_argument_is_one_line_and_status_2(
    arguments: list[str], says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(arguments)
    except SystemExit as exc:
        status = int(exc.code or 0)
    shown = capfd.readouterr()
    assert (status, shown.out) == (2, "")
    assert says in shown.err
    assert shown.err.count("\n") == 1


def test_a_certificate_without_its_key_is_one_line_and_status_2(
    tmp_path: Path, authority: Authority, capfd: pytest.CaptureFixture[str]
) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_bytes(trustme.CA().cert_pem.bytes())
    for arguments in (["echo", "--certfile"], ["run", "--cert"], ["collect", "--cert"]):
        assert main([*arguments, str(chain)]) == 2
        error = capfd.readouterr().err
        assert str(chain) in error
        assert error.count("\n") == 1


@pytest.mark.parametrize("command", ["run", "collect", "echo", "feed", "exchange", "dump"])
def test_help_shows_defaults(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert "(default: " in shown
    assert not re.search(r"default: (None|False|\[|$)", shown)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_listed_with_what_its_module_says(name: str) -> None:
    module = importlib.import_module(f"reactor.cli.{name}")
    assert COMMANDS[name] == (module.__doc__ or "").partition("\n")[0]


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert re.fullmatch(r"reactor [0-9.]+\n", capsys.readouterr().out)


def test_the_demo_says_what_it_runs_on_before_it_starts() -> None:
    demo = run_demo("--count", "2", "--duration", "0.5", "--drops", "0")
    first = demo.stdout.splitlines()[0]
    way = "compiled" if compiled else "pure Python"
    assert re.match(rf"reactor [0-9.]+, {way}, on Python 3\.[0-9.]+; it may have .* descr", first)


class Closing(WebSocketProtocol):
    def on_open(self) -> None:
        self.close(4001, "go away")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("command", ["run", "collect"])
def test_the_demo_shows_why_connections_end_while_they_do(command: str) -> None:
    with serve_with_reactor(Closing) as url:
        demo = run_demo("--count", "2", "--duration", "1.5", "--url", url, name=command)
    assert demo.returncode == 1
    before_summary, _, summary = demo.stdout.partition("\n\n")
    assert " x  closed with 4001 go away" in before_summary
    assert re.search(r"connections ended +[0-9]+ x  closed with 4001 go away", summary)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("command", ["run", "collect"])
def test_the_demo_shows_why_it_cannot_connect(command: str) -> None:
    with closed_port() as url:
        demo = run_demo("--count", "1", "--duration", "1.5", "--url", url, name=command)
    assert demo.returncode == 1
    assert "WebSocketConnectRefusedException: [Errno" in demo.stdout


def test_the_demo_speaks_json() -> None:
    demo = run_demo("--json", "--count", "3", "--duration", "1.5", "--drops", "0")
    start, *seconds, summary = (json.loads(line) for line in demo.stdout.splitlines())
    assert (start["type"], start["count"], start["compiled"]) == ("start", 3, compiled)
    assert {each["type"] for each in seconds} == {"second"}
    assert seconds[0]["open"] == 3
    assert (summary["type"], summary["served"], summary["causes"]) == ("summary", 3, {})


def test_the_collector_speaks_json() -> None:
    demo = run_demo("--json", "--count", "3", "--duration", "1.5", name="collect")
    start, *seconds, summary = (json.loads(line) for line in demo.stdout.splitlines())
    assert (start["type"], start["count"], start["compiled"]) == ("start", 3, compiled)
    assert {each["type"] for each in seconds} == {"second"}
    assert sum(seconds[0]["topics"].values()) == 3
    assert (summary["type"], summary["topics"], summary["served"]) == ("summary", 3, 3)


@pytest.mark.usefixtures("impatient")
def test_the_collector_sends_headers_and_verifies_as_it_is_told(authority: Authority) -> None:
    class Strict(WebSocketProtocol):
        def on_open(self) -> None:
            assert self.request is not None
            self.close(4002, f"{self.request.headers['token']} {self.request.headers['origin']}")

    arguments = [
        "--count",
        "1",
        "--duration",
        "1.1",
        "--header",
        "Token: x",
        "--origin",
        "http://o",
    ]
    with serve_with_reactor(Strict, ssl=authority.server_context) as url:
        arguments += ["--url", url.replace("127.0.0.1", "localhost")]
        assert "CertificateException" in run_demo(*arguments, name="collect").stdout
        trusting = run_demo(*arguments, "--cafile", str(authority.ca_file), name="collect")
        assert "closed with 4002 x http://o" in trusting.stdout


@pytest.mark.usefixtures("impatient")
def test_the_demo_verifies_as_it_is_told(authority: Authority) -> None:
    with serve_with_reactor(Echo, ssl=authority.server_context) as url:
        arguments = ["--count", "1", "--duration", "0.1"]
        demo = run_demo(*arguments, "--url", url.replace("127.0.0.1", "localhost"))
    assert demo.returncode == 1
    assert "CertificateException" in demo.stdout


def test_the_demo_sends_headers_and_trusts_as_it_is_told(authority: Authority) -> None:
    class Strict(WebSocketProtocol):
        def on_open(self) -> None:
            assert self.request is not None
            self.send(f"{self.request.headers['token']} {self.request.headers['origin']}")

    arguments = [
        "--count",
        "1",
        "--duration",
        "0.1",
        "--header",
        "Token: x",
        "--origin",
        "http://o",
    ]
    with serve_with_reactor(Strict, ssl=authority.server_context) as url:
        arguments += ["--url", url.replace("127.0.0.1", "localhost")]
        assert run_demo(*arguments, "--insecure").returncode == 0
        assert run_demo(*arguments, "--cafile", str(authority.ca_file)).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["run", "collect"])
def test_a_signal_ends_the_demo_with_its_summary(command: str, number: int) -> None:
    arguments = [sys.executable, "-m", "reactor", command, "--count", "2", "--duration", "600"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            shown = [child.stdout.readline() for _ in range(4)]  # beyond the first second
            child.send_signal(number)
            rest = child.stdout.read()
            child.wait(20)
        finally:
            child.kill()
    assert re.search("2, of which [0-2] got (messages|updates)", rest), shown


@pytest.mark.parametrize("name", ["run", "collect"])
def test_in_a_terminal_the_table_stays_in_its_place(name: str) -> None:
    terminal, child_side = pty.openpty()
    command = [sys.executable, "-m", "reactor", name, "-n", "2", "--duration", "2.5"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        command, stdin=child_side, stdout=child_side, stderr=child_side, env=environment
    ) as child:
        os.close(child_side)
        shown = b""
        try:
            while piece := os.read(terminal, 4096):
                shown += piece
        except OSError:
            pass  # the child has ended
        finally:
            os.close(terminal)
        assert child.wait(20) == 0, shown
    assert b"\x1b[1A" in shown  # up again, to draw over what is there
    assert re.search(rb"(subscriptions|topics) +2, of which 2 got (messages|updates)\r\n", shown)


@pytest.mark.parametrize("command", ["run", "collect --json"])
def test_a_reader_that_leaves_ends_the_demo(command: str) -> None:
    result = subprocess.run(
        f"{sys.executable} -m reactor {command} -n 2 --duration 600 | head -1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""


def test_connections_that_are_still_coming_up_are_waited_for() -> None:
    clock = ManualReactor()
    with clock as loop:
        monitor = Monitor(loop, 2)
        assert monitor.is_getting_on()
        monitor.opened()
        monitor.opened()
        loop.advance(2.9)
        monitor.message("x", first=True)
        loop.advance(2.9)
        assert monitor.is_getting_on()
        loop.advance(0.2)
        assert not monitor.is_getting_on()
        monitor.message("x", first=True)
        assert not monitor.is_getting_on()


def test_what_differs_in_every_text_does_not_pile_up(loop: Reactor) -> None:
    monitor = Monitor(loop, 1)
    for number in range(1000):
        monitor.ended(f"cause {number}\x1b")
    causes = monitor.second().causes
    assert len(causes) == 101
    assert causes[0] == ("other causes", 900)
    assert all(cause.isprintable() for cause, _ in causes)


def test_refusals_are_one_cause_whatever_their_heads_say(loop: Reactor) -> None:
    monitor = Monitor(loop, 1)
    for second in range(2):
        error = WebSocketException(f"Handshake status 429 Too Many -+-+- {{'date': '{second}'}}")
        monitor.ended(error)
    assert monitor.second().causes == [("WebSocketException: Handshake status 429 Too Many", 2)]


def test_the_feed_answers_the_first_program_of_the_readme() -> None:
    with server("feed", "--rate", "50", "--drops", "0") as url, Reactor() as loop:
        client = loop.connect(url, Recorder)
        run_until(loop, lambda: "open" in client.names)
        client.send('{"op": "subscribe", "channel": "trades"}')
        client.send('{"op": "subscribe", "channel": "weather"}')
        run_until(loop, lambda: len(client.messages) >= 3)
        answers = [json.loads(message) for message in client.messages]
        assert answers[0] == {"subscribed": "DEMO"}
        assert {"error": "unknown channel 'weather': there is trades"} in answers
