"""SIGTERM as a server in production gets it: the example that shows the pattern, from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reactor import Reactor

from ..support.driving import run_until
from ..support.recorder import Recorder

pytestmark = pytest.mark.usefixtures("no_leaks")

ROOT = Path(__file__).parents[2]


def test_at_sigterm_clients_are_told_and_the_process_ends(loop: Reactor) -> None:
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "chat_server.py"), "0"]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().split()[-1]
            url = f"ws://127.0.0.1:{port}/rooms/tea?token=secret-of-"
            ann, bob = loop.connect(f"{url}ann", Recorder), loop.connect(f"{url}bob", Recorder)
            run_until(loop, lambda: ann.messages and bob.messages, timeout=20)
            server.send_signal(signal.SIGTERM)
            run_until(loop, lambda: ann.closes and bob.closes, timeout=20)
            assert server.wait(20) == 0
        finally:
            server.kill()
    assert ann.closes == bob.closes == [(1001, "")]
    assert ann.errors == bob.errors == []
