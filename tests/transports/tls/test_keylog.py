"""The option sslkeylogfile. The file stays open as long as its context, which others may share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reactor import Reactor

from ...support.certificates import Authority
from ...support.driving import run_until
from ...support.recorder import Recorder


def test_secrets_of_tls_are_logged_for_who_asks(
    loop: Reactor, authority: Authority, tmp_path: Path
) -> None:
    server, client = tmp_path / "server.log", tmp_path / "client.log"
    context = authority.issue("127.0.0.1")
    listener = loop.listen("127.0.0.1", 0, Recorder, ssl=context, sslkeylogfile=str(server))
    url = f"wss://127.0.0.1:{listener.port}/"
    heard = loop.connect(url, Recorder(), sslopt=authority.sslopt, sslkeylogfile=str(client))
    run_until(loop, lambda: "open" in heard.names)

    def secrets(path: Path) -> set[str]:
        return {line for line in path.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC")}

    assert secrets(server) == secrets(client) != set()


def test_a_key_log_that_is_no_path_or_of_no_use(loop: Reactor) -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match="sslkeylogfile must be the path of a file, not int"):
        loop.connect("wss://host/", Recorder, sslkeylogfile=wrong)
    with pytest.raises(ValueError, match="sslkeylogfile needs ssl"):
        loop.listen("127.0.0.1", 0, Recorder, sslkeylogfile="keys.log")
