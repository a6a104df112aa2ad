"""Every example runs to its end, without a warning, and shows something."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
#: What examples import, and what shows nothing by itself.
HELPERS = {"embedded.py", "services.py"}
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py") if path.name not in HELPERS)

#: A line that shows that the example has done what it is for.
SHOWS = {
    "back_pressure.py": "never much above 64 KiB: True",
    "blocking_work.py": "answer: 1",
    "chat_server.py": "refused: 403 connections from the Origin 'https://evil.example'",
    "close_codes_receiving.py": "close status code: 4001",
    "close_codes_sending.py": "closed: 1002",
    "common_headers.py": "Hello from the app",
    "compression.py": "uncompressed",
    "custom_class.py": "yay! I got this frame:  fin=1 opcode=1 data=b'Hello, Server'",
    "custom_headers.py": "the app is connected",
    "custom_opcode.py": "the app got binary",
    "custom_sockets.py": "Hello from a bound socket",
    "echo_server.py": "Hello, Server",
    "feed_binance.py": "missing: btcusdt@aggTrade sequence",
    "feed_graphql.py": "BTC has ended: complete",
    "feed_in_a_thread.py": "the last prices: {'A': 3, 'B': 3}",
    "feed_kraken.py": "missing: ('trade', 'BTC/USD') after 2 sequence",
    "first_connection.py": "Hello, Server",
    "asyncio_client.py": "you said: Hello from asyncio",
    "inside_asyncio.py": "Hello from a reactor inside asyncio",
    "inside_qt.py": "inside",  # or why not
    "inside_tkinter.py": "inside",
    "inside_trio.py": "Hello from a reactor inside trio",
    "long_lived_connection.py": "Hello, Server",
    "many_subscriptions.py": "200 subscriptions have received a message",
    "mask_key.py": "Hello from the app",
    "message_in_pieces.py": "16 MiB, ",
    "no_tls_verification.py": "the app is connected",
    "origins_and_limits.py": "one that talks too much is out: 1009",
    "ping_pong.py": 'Got a pong! No need to respond: b"a ping\'s payload"',
    "protocol_handlers.py": "closed 4000 that was all",
    "proxies.py": "Hello through socks5",
    "reconnecting.py": "open again",
    "several_processes.py": "2 processes have answered",
    "subprotocols.py": "the server chose None",
    "suppress_origin.py": "the app is connected",
    "timeouts.py": "timed out",
    "tokens.py": "let in",
    "trace.py": "Hello, Server",
}


def test_every_example_is_known_here() -> None:
    assert sorted(SHOWS) == SCRIPTS


def test_the_index_lists_every_example_and_the_extra_that_it_needs() -> None:
    rows = re.findall(
        r"^\| \[(\w+\.py)\]\(\1\) \| .+ \| (.*) \|$", (FOLDER / "README.md").read_text(), re.M
    )
    names = [name for name, _ in rows]
    assert sorted(names) == SCRIPTS
    for name, needs in rows:
        imported = set(re.findall(r"\b(trio|qt_host|pproxy)\b", (FOLDER / name).read_text()))
        extras = {"trio": "`trio`", "qt_host": "`qt`", "pproxy": "`test`"}
        assert needs.split(" ")[0] == "".join(extras[each] for each in imported), name


def run(script: str) -> subprocess.CompletedProcess[str]:
    paths = [str(FOLDER.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-W", "error", str(FOLDER / script)],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Future[subprocess.CompletedProcess[str]]]]:
    """All examples, running side by side: they spend their time starting processes."""
    with ThreadPoolExecutor(4) as pool:
        yield {script: pool.submit(run, script) for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_example_runs(
    script: str, results: dict[str, Future[subprocess.CompletedProcess[str]]]
) -> None:
    example = results[script].result()
    assert example.returncode == 0, example.stderr
    assert SHOWS[script] in example.stdout
    if script == "trace.py":
        assert "Origin: testing_websockets.com" in example.stderr
        assert "++Rcv decoded: fin=1 opcode=1 data=b'Hello, Server'" in example.stderr
    else:
        assert not example.stderr
