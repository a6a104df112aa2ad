"""The fixtures, as a project that has the package installed finds them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from reactor.testing import ManualReactor, Pair, Recorder, ScriptedPeer, faults


def test_the_loop_stands_still(reactor_loop: ManualReactor) -> None:
    called: list[int] = []
    reactor_loop.call_later(1.0, called.append, 1)
    reactor_loop.advance(1.0)
    assert called == [1]


def test_the_pair_is_on_that_loop(
    reactor_loop: ManualReactor, reactor_pair: Callable[..., Pair]
) -> None:
    client, server = reactor_pair(Recorder, Recorder, url="ws://any.test/x")
    assert client.loop is server.loop is reactor_loop


def test_peers_play_what_they_are_given(
    reactor_loop: ManualReactor, reactor_peer: Callable[..., ScriptedPeer]
) -> None:
    refused = reactor_loop.connect(reactor_peer(faults.refuse(503)).url, Recorder)
    served = reactor_loop.connect(reactor_peer().url, Recorder)
    reactor_loop.run_until(lambda: refused.closes and "open" in served.names)


def test_pytest_finds_them_in_any_project(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_it(reactor_loop, reactor_peer, reactor_pair):\n    reactor_loop.advance(1.0)\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_kit_itself_needs_no_pytest() -> None:
    code = "import sys; sys.modules['pytest'] = None; import reactor.testing"
    subprocess.run([sys.executable, "-c", code], timeout=30, check=True)
