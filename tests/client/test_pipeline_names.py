"""Names on their way to addresses: what a DNS server that does not answer, or has changed its mind,
means for connections. Both drivers, TLS and proxies where they matter.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from reactor import (
    Reactor,
    WebSocketAddressException,
    create_connection,
)
from reactor.loop.helper_threads import look_ups
from reactor.loop.tasks import run_blocking
from reactor.transports.dial import hosts
from reactor.transports.dial import race as dial
from reactor.transports.dial.resolver import resolve

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.peers import ScriptedPeer, Serve, Talk, answer, http
from ..support.recorder import Recorder
from ..support.socks import read_socks5

pytestmark = pytest.mark.usefixtures("no_leaks")


Place = tuple[str, int]


class Names:
    """Stands for getaddrinfo.

    Attributes:
        places: name -> where it leads, whatever port is asked for; whoever asks for another name
            waits until the end.
        asked: the names that were asked for, in order.
    """

    def __init__(self) -> None:
        self.places: dict[str, list[Place]] = {}
        self.asked: list[str] = []
        self.end = threading.Event()

    def getaddrinfo(self, host: str, *_: Any) -> list[Any]:
        self.asked.append(host)
        if host not in self.places:
            assert self.end.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in self.places[host]]

    def remember(self, host: str, places: list[Place], port: int = 80) -> None:
        """Have the library know where a host is, or was."""
        self.places[host] = places
        run_blocking(resolve(host, port, None))
        del self.places[host]
        self.asked.clear()


@pytest.fixture
def names(no_leaks: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    yield names
    names.end.set()


@pytest.fixture
def dead() -> Iterator[Place]:
    """A place at which connections are refused."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()


@pytest.fixture
def silent() -> Iterator[Place]:
    """A place at which nobody answers: the backlog is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield listening.getsockname()


def at(peer: ScriptedPeer) -> Place:
    return "127.0.0.1", peer.port


def accepting(talk: Talk) -> None:
    talk.upgrade()
    talk.until_closed()


# --- names that are never answered ----------------------------------------------------------------


def test_they_hold_up_no_other_name(loop: Reactor, names: Names, serve: Serve) -> None:
    peer = serve(accepting)
    names.places["good.example"] = [at(peer)]
    for number in range(100):
        loop.connect(f"ws://dead-{number}.example/", Recorder, connect_timeout=None)
    run_until(loop, lambda: len(names.asked) >= 32)
    good = loop.connect("ws://good.example/", Recorder)
    run_until(loop, lambda: good.events)
    assert good.names == ["open"]
    assert len(names.asked) == 101


def test_names_that_are_known_never_wait_for_them(
    loop: Reactor, names: Names, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hosts_file = tmp_path / "hosts"
    hosts_file.write_text("127.0.0.1 localhost printer.example\n")
    monkeypatch.setattr(hosts, "HOSTS_FILE", str(hosts_file))
    monkeypatch.setattr(look_ups, "_patience", 3600.0)  # so that others would wait for ever
    port = serve(accepting).port
    names.remember("feed.example", [("127.0.0.1", port)], port)
    dead = [loop.connect(f"ws://dead-{number}.example/", Recorder) for number in range(100)]
    run_until(loop, lambda: len(names.asked) == 32)
    waiting = len(threading.enumerate())
    known = ["localhost", "localhost.", "a.localhost", "printer.example", "feed.example"]
    known += ["127.0.0.1", "127.0.0.1.", "127.1"]
    for name in known:
        feed = loop.connect(f"ws://{name}:{port}/", Recorder)
        run_until(loop, lambda feed=feed: feed.events)  # type: ignore[misc]
        assert feed.names == ["open"], name
    assert len(threading.enumerate()) <= waiting + len(known)  # those of the peer
    assert len(names.asked) == 32
    for protocol in dead:
        protocol.close()


# --- answers that have become wrong ---------------------------------------------------------------


def test_after_a_failed_dial_the_next_attempt_asks_again(
    loop: Reactor, names: Names, serve: Serve, dead: Place
) -> None:
    class Feed(Recorder):
        def on_error(self, error: Exception) -> None:
            super().on_error(error)
            names.places["feed.example"] = [at(peer)]

    peer = serve(accepting)
    names.places["feed.example"] = [dead]
    feed = loop.connect("ws://feed.example/", Feed, reconnect=0.001)
    run_until(loop, lambda: "open" in feed.names)
    assert feed.names == ["error", "close", "open"]
    assert len(names.asked) == 2


def test_a_remembered_answer_is_never_the_reason_for_a_failure(
    names: Names, serve: Serve, dead: Place
) -> None:
    peer = serve(accepting)
    names.remember("feed.example", [dead])
    names.places["feed.example"] = [dead, at(peer)]
    create_connection("ws://feed.example/").shutdown()
    assert len(names.asked) == 1
    # The newer answer is remembered, though one of its addresses is dead.
    create_connection("ws://feed.example/").shutdown()
    assert len(names.asked) == 1


def test_where_asking_again_tells_nothing_new_the_error_is_that_of_the_dial(
    names: Names, dead: Place
) -> None:
    names.remember("feed.example", [dead])
    names.places["feed.example"] = [dead]
    with pytest.raises(ConnectionRefusedError):
        create_connection("ws://feed.example/")
    assert len(names.asked) == 1


def test_where_asking_again_fails_the_error_is_that_of_the_dial(names: Names, dead: Place) -> None:
    names.remember("feed.example", [dead])
    names.end.set()
    with pytest.raises(ConnectionRefusedError):
        create_connection("ws://feed.example/")
    assert len(names.asked) == 1


def test_an_address_that_says_nothing_is_forgotten_too(
    names: Names, serve: Serve, silent: Place
) -> None:
    names.remember("feed.example", [silent])  # so that all of the time is for the dial
    with pytest.raises(TimeoutError):
        create_connection("ws://feed.example/", timeout=0.01)
    peer = serve(accepting)
    names.places["feed.example"] = [at(peer)]
    create_connection("ws://feed.example/").shutdown()
    assert names.asked == ["feed.example"]


def test_an_address_at_which_somebody_else_is_by_now_is_forgotten(
    names: Names, serve: Serve, authority: Authority
) -> None:
    other = serve(lambda talk: talk.recv())  # says nothing, and leaves
    names.places["localhost.example"] = [at(other)]
    sslopt = {**authority.sslopt, "server_hostname": "localhost"}
    with pytest.raises(OSError, match="EOF occurred in violation of protocol"):
        create_connection("wss://localhost.example/", sslopt=sslopt)
    peer = serve(accepting, context=authority.server_context)
    names.places["localhost.example"] = [at(peer)]
    create_connection("wss://localhost.example/", sslopt=sslopt).shutdown()
    assert len(names.asked) == 2


def test_a_server_that_refuses_is_not_asked_for_again(
    loop: Reactor, names: Names, serve: Serve
) -> None:
    busy = answer("HTTP/1.1 503 Busy", "Content-Length: 0")
    names.places["feed.example"] = [at(serve(busy, busy, accepting))]
    feed = loop.connect("ws://feed.example/", Recorder, reconnect=0.001)
    run_until(loop, lambda: "open" in feed.names)
    assert feed.names.count("error") == 2
    assert len(names.asked) == 1


def test_a_want_of_descriptors_says_nothing_about_the_answer(
    names: Names, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    names.places["feed.example"] = [at(serve(accepting))]

    def exhausted(*_: Any) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(dial, "_start", exhausted)
        with pytest.raises(OSError, match="Too many open files"):
            create_connection("ws://feed.example/")
    create_connection("ws://feed.example/").shutdown()
    assert len(names.asked) == 1


def test_many_that_fail_together_ask_together(loop: Reactor, names: Names, dead: Place) -> None:
    names.remember("feed.example", [dead])
    feeds = [loop.connect("ws://feed.example/", Recorder) for _ in range(50)]
    run_until(loop, lambda: len(look_ups._wanted) == 50)
    names.end.set()
    run_until(loop, lambda: all(feed.closes for feed in feeds))
    # One whose turn comes after the first refusal finds nothing remembered: it only asks.
    errors = {type(feed.errors[0]): feed.errors for feed in feeds}
    known = (ConnectionRefusedError, WebSocketAddressException)
    assert all(issubclass(kind, known) for kind in errors), errors
    assert any(issubclass(kind, ConnectionRefusedError) for kind in errors), errors
    assert len(names.asked) == 1


def test_the_target_of_a_redirect_that_has_moved_is_found(
    names: Names, serve: Serve, dead: Place
) -> None:
    moved = answer("HTTP/1.1 302 Found", "Location: ws://other.example/", "Content-Length: 0")
    names.remember("other.example", [dead])
    names.places = {"feed.example": [at(serve(moved))], "other.example": [at(serve(accepting))]}
    create_connection("ws://feed.example/").shutdown()
    assert names.asked == ["feed.example", "other.example"]


def through(talk: Talk) -> None:
    talk.head()
    talk.send(http("HTTP/1.1 200 Connected"))
    accepting(talk)


def test_a_proxy_that_has_moved_is_found(
    loop: Reactor, names: Names, serve: Serve, dead: Place
) -> None:
    names.remember("proxy.example", [dead], 8080)
    names.places["proxy.example"] = [at(serve(through))]
    proxy = "http://proxy.example:8080"
    feed = loop.connect("ws://feed.example/", Recorder, proxy=proxy)
    run_until(loop, lambda: feed.events)
    assert feed.names == ["open"]
    assert names.asked == ["proxy.example"]


def test_a_target_that_a_proxy_cannot_reach_is_asked_for_again(
    loop: Reactor, names: Names, serve: Serve
) -> None:
    asked: list[str] = []

    def socks(talk: Talk) -> None:
        asked.append(read_socks5(talk).host)
        if asked[-1] == "192.0.2.1":
            talk.send(b"\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00")  # host unreachable
            names.places["feed.example"] = [("192.0.2.2", 80)]
        else:
            talk.send(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38")
            accepting(talk)

    names.places["feed.example"] = [("192.0.2.1", 80)]
    proxy = f"socks5://127.0.0.1:{serve(socks).port}"
    feed = loop.connect("ws://feed.example/", Recorder, proxy=proxy, reconnect=0.001)
    run_until(loop, lambda: "open" in feed.names)
    assert feed.names == ["error", "close", "open"]
    assert asked == ["192.0.2.1", "192.0.2.2"]
