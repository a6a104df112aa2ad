"""``reactor top``: a reactor's page in the terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from reactor import Reactor, WebSocketProtocol
from reactor.cli.main import main
from reactor.cli.top import NUMBERS, Watcher, cells, fitting, page_of
from reactor.monitor import serve
from reactor.testing import ScriptedPeer, faults


@pytest.fixture
def page() -> Iterator[str]:
    """The address of a page, of a reactor on a thread of its own with one connection."""
    ready = threading.Event()
    addresses: list[str] = []

    def run() -> None:
        with Reactor() as loop:
            loops.append(loop)
            listener = loop.listen("127.0.0.1", 0, WebSocketProtocol)
            loop.connect(f"ws://127.0.0.1:{listener.port}/one", WebSocketProtocol)
            addresses.append(serve(loop, port=0, token="t").url)
            ready.set()
            loop.run_forever()

    loops: list[Reactor] = []
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    yield addresses[0]
    loops[0].stop()
    thread.join(20)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("9090", "ws://localhost:9090/live"),
        ("example.com:80", "ws://example.com:80/live"),
        ("http://localhost:9090/", "ws://localhost:9090/live"),
        ("http://localhost:9090/?token=a%20b", "ws://localhost:9090/live?token=a%20b"),
        ("https://example.com/monitor/", "wss://example.com/monitor/live"),
        ("ws://localhost:9090/live", "ws://localhost:9090/live"),
    ],
)
def test_what_an_address_may_be(address: str, url: str) -> None:
    assert page_of(address) == url


@pytest.mark.parametrize("address", ["", "ftp://x", "http://", "x:99999", "x:0", "http://[::1"])
def test_what_it_may_not_be(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", address, "--duration", "1"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "argument address" in err
    assert err.count("\n") == 1


def test_in_a_pipe_there_is_a_line_every_second(
    page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", page, "--duration", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2
    assert "in/s" in lines[0]
    assert "open 3" in lines[-1]  # both ends of one, and this one
    assert "\x1b" not in "".join(lines)


def test_as_json(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", page, "--duration", "3", "--json", "--find", "/one"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {row["activity"] for row in told["connections"]} == {"open"}
    assert len(told["connections"]) == 2
    assert told["problem"] is None


def test_a_page_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "http://127.0.0.1:1/", "--duration", "0.5"]) == 1
    assert "refused" in capsys.readouterr().err


@pytest.mark.parametrize("way", [[], ["--json"]])
def test_a_wrong_token_is_one_line_at_once(
    page: str, way: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", page.replace("token=t", "token=s3cr3t"), *way]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "status 401 Unauthorized: the page needs its token" in err
    assert "s3cr3t" not in err


@pytest.mark.parametrize(("status", "goes_on"), [(404, False), (418, False), (429, True)])
def test_a_refusal_ends_it_unless_it_may_pass(
    status: int, goes_on: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedPeer(faults.refuse(status)) as peer:
        duration = ["--duration", "0.5"] if goes_on else []
        assert main(["top", f"{peer.url}?token=s3cr3t", *duration]) == 1
    out, err = capsys.readouterr()
    assert (str(status) in out) == goes_on
    assert f"status {status}" in err
    assert "s3cr3t" not in out + err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
def test_a_disk_that_is_full_ends_it_with_one_line(page: str) -> None:
    with open("/dev/full", "w") as full:
        top = subprocess.run(
            [sys.executable, "-m", "reactor", "top", page, "--duration", "60"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert top.returncode == 1
    assert top.stderr == "reactor: standard output: [Errno 28] No space left on device\n"


@pytest.mark.parametrize(
    ("width", "names"),
    [
        (200, list(NUMBERS)),
        (80, ["in/s", "out/s", "queue", "silent for"]),
        (50, ["in/s"]),
        (20, []),
    ],
)
def test_a_narrow_terminal_has_fewer_columns(width: int, names: list[str]) -> None:
    assert fitting(width) == names


def row(**what: object) -> dict[str, object]:
    return {
        "id": 1,
        "now": 1.0,
        "activity": "open",
        "role": "client",
        "place": "ws://a/",
        "host": "a:80",
        "feed": "",
        "messages_in": 0,
        "messages_out": 0,
        "latency": None,
        "queued": 0,
        "attempts": 1,
        "silence": None,
        "last_error": None,
        **what,
    }


def test_rates_are_means_over_some_seconds() -> None:
    watcher = Watcher(lambda: None)
    fields = list(row())
    watcher.on_message(json.dumps({"kind": "hello", "process": "p", "fields": fields}))
    for now, count in ((1.0, 0), (2.0, 100), (4.0, 300), (5.0, 300)):
        values = list(row(now=now, messages_in=count).values())
        watcher.on_message(json.dumps({"kind": "rows", "rows": [values]}))
        (shown,) = watcher.busiest("in", "", 5)
        assert shown["in_rate"] == (None if now < 4 else 100.0)
    assert watcher.busiest("in", "elsewhere", 5) == []
    watcher.on_message(json.dumps({"kind": "gone", "ids": [1]}))
    assert watcher.busiest("in", "", 5) == []


def test_cells() -> None:
    client = row(in_rate=1.25, out_rate=0.0, latency=0.0123, silence=3.0, queued=5)
    assert cells(client) == ["open", "ws://a/", "1.2", "0.0", "12.3 ms", "5", "1", "3.0 s"]
    new = cells(row(in_rate=None, out_rate=None))
    assert new[2:4] == ["", ""]
    server = row(role="server", place="/x", feed="F", in_rate=0.0, out_rate=0.0, attempts=0)
    assert cells(server)[1] == "F: a:80/x"
    assert cells(server)[6] == ""
