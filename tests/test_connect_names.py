"""Names on their way to addresses: what a DNS server that does not answer, or has changed its mind,
means for connections. Both drivers, TLS and proxies where they matter.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from reactor import Reactor

from .support.driving import run_until
from .support.peers import Serve, Talk
from .support.recorder import Recorder

pytestmark = pytest.mark.usefixtures("no_leaks")


class Names:
    """Stands for getaddrinfo.

    Attributes:
        addresses: name -> IPv4 address; whoever asks for another name waits until the end.
        asked: the names that were asked for, in order.
    """

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self.asked: list[str] = []
        self.end = threading.Event()

    def getaddrinfo(self, host: str, port: int, *_: Any) -> list[Any]:
        self.asked.append(host)
        if host not in self.addresses:
            assert self.end.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.addresses[host], port))]


@pytest.fixture
def names(no_leaks: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    yield names
    names.end.set()


def accepting(talk: Talk) -> None:
    talk.upgrade()
    talk.until_closed()


# --- names that are never answered ----------------------------------------------------------------


def test_they_hold_up_no_other_name(loop: Reactor, names: Names, serve: Serve) -> None:
    peer = serve(accepting)
    names.addresses["good.example"] = "127.0.0.1"
    for number in range(100):
        loop.connect(f"ws://dead-{number}.example/", Recorder, connect_timeout=None)
    run_until(loop, lambda: len(names.asked) >= 32)
    good = loop.connect(f"ws://good.example:{peer.port}/", Recorder)
    run_until(loop, lambda: good.events)
    assert good.names == ["open"]
    assert len(names.asked) == 101
