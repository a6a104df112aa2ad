"""Clients that wait for an async process_request: they may leave, and they may speak too early."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from reactor import HTTPResponse, Listener, Reactor
from reactor.loop.helper_threads import helpers
from reactor.loop.steps import InThread, in_thread, sleep
from reactor.protocols.http.http11 import Request

from ..support.certificates import Authority
from ..support.clients import REQUEST, RawClient, head
from ..support.driving import run_until
from ..support.recorder import Recorder
from ..support.serving import Served, echoes
from ..support.websocket_frames import TEXT, build_frame

pytestmark = pytest.mark.usefixtures("no_leaks")

#: No time passes by itself: see conftest.py.
STILL = True

Client = Callable[..., RawClient]


@pytest.fixture
def busy(no_leaks: None) -> Iterator[threading.Event]:
    """All helper threads of users are at work until this is set."""
    free = threading.Event()
    begun = threading.Semaphore(0)

    def work() -> None:
        begun.release()
        free.wait(50)

    for _ in range(helpers._limit):
        helpers.submit(InThread(work, (), None, None), lambda *_: None)
    for _ in range(helpers._limit):
        assert begun.acquire(timeout=20)
    yield free
    free.set()


class LogIn:
    """A process_request that asks a database.

    Attributes:
        waiting: the names of those that wait for an answer.
        looked_up: those that the database was asked for.
    """

    def __init__(self) -> None:
        self.waiting: set[str] = set()
        self.looked_up: list[str] = []

    async def __call__(self, request: Request, sock: Any) -> HTTPResponse | None:
        name = request.target.removeprefix("/")
        self.waiting.add(name)
        try:
            await in_thread(self.looked_up.append, name)
        finally:
            self.waiting.discard(name)
        return None


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_of_those_that_have_left_nothing_is_begun(
    loop: Reactor,
    served: Served,
    authority: Authority,
    busy: threading.Event,
    secure: bool,
) -> None:
    log_in = LogIn()
    listener = loop.listen(
        *("127.0.0.1", 0, served),
        process_request=log_in,
        ssl=authority.server_context if secure else None,
    )
    url = f"{'wss' if secure else 'ws'}://127.0.0.1:{listener.port}"
    good = loop.connect(f"{url}/good", Recorder, sslopt=authority.sslopt)
    run_until(loop, lambda: log_in.waiting)
    hasty = [
        loop.connect(f"{url}/{number}", Recorder, sslopt=authority.sslopt) for number in range(50)
    ]
    run_until(loop, lambda: len(log_in.waiting) == 51)
    for client in hasty:
        client.close()
    run_until(loop, lambda: log_in.waiting == {"good"})
    assert len(listener._handshakes) == 1
    assert len(helpers._queue) == 1
    busy.set()
    run_until(loop, lambda: good.events)
    assert good.names == ["open"]
    assert log_in.looked_up == ["good"]


@pytest.mark.parametrize("way", ["close", "reset", "end"])
@pytest.mark.parametrize("early", [0, 1, 20_000])
def test_that_a_client_has_left_is_noticed_whatever_is_awaited(
    loop: Reactor, raw_client: Client, served: Served, way: str, early: int
) -> None:
    ended: list[type[BaseException]] = []
    waiting: list[int] = []

    async def wait(request: Request, sock: Any) -> None:
        try:
            waiting.append(1)
            await sleep(3600)
        except BaseException as exc:
            ended.append(type(exc))
            raise

    listener = loop.listen("127.0.0.1", 0, served, process_request=wait)
    client = raw_client(listener)
    client.send(head(*REQUEST) + bytes(early))
    run_until(loop, lambda: waiting)
    getattr(client, way)()
    run_until(loop, lambda: ended)
    assert ended == [GeneratorExit]
    assert listener._handshakes == {}
    assert (loop.stats().readers, loop.stats().timers) == (1, 0)
    assert served == []


def test_a_function_that_refuses_to_end_does_not_keep_a_client_that_has_left(
    loop: Reactor, raw_client: Client, served: Served
) -> None:
    waiting: list[int] = []

    async def stubborn(request: Request, sock: Any) -> None:
        while True:
            try:
                waiting.append(1)
                await sleep(3600)
            except Exception:
                continue

    listener = loop.listen("127.0.0.1", 0, served, process_request=stubborn)
    client = raw_client(listener)
    client.send(head(*REQUEST))
    run_until(loop, lambda: waiting)
    client.close()
    run_until(loop, lambda: not listener._handshakes)
    assert waiting == [1]


@pytest.mark.parametrize("size", [5, 1_000, 300_000])
def test_what_comes_meanwhile_is_not_lost(
    loop: Reactor, raw_client: Client, served: Served, busy: threading.Event, size: int
) -> None:
    log_in = LogIn()
    listener = loop.listen("127.0.0.1", 0, served, process_request=log_in)
    client = raw_client(listener)
    client.send(head(*REQUEST))
    run_until(loop, lambda: log_in.waiting)
    client.sock.setblocking(True)
    feeder = threading.Thread(
        target=client.sock.sendall, args=(build_frame(TEXT, b"x" * size, key=b"abcd"),)
    )
    feeder.start()
    for _ in range(5):  # a busy loop would not come to an end here
        loop.run_once(0.01)
    busy.set()
    run_until(loop, lambda: served and served[0].messages)
    feeder.join(20)
    client.sock.setblocking(False)
    assert served[0].messages == ["x" * size]


def test_a_client_that_has_sent_too_much_does_not_keep_the_loop_busy(
    loop: Reactor, raw_client: Client, served: Served, busy: threading.Event
) -> None:
    log_in = LogIn()
    client = raw_client(loop.listen("127.0.0.1", 0, served, process_request=log_in))
    client.send(head(*REQUEST) + build_frame(TEXT, bytes(120_000), key=b"abcd"))
    run_until(loop, lambda: log_in.waiting)
    run_until(loop, lambda: loop.stats().readers == 1)  # the listener
    busy.set()
    run_until(loop, lambda: served and served[0].messages)
    assert [len(message) for message in served[0].messages] == [120_000]


def test_what_comes_meanwhile_over_tls_is_not_lost_either(
    loop: Reactor,
    raw_client: Client,
    served: Served,
    authority: Authority,
    busy: threading.Event,
) -> None:
    log_in = LogIn()
    listener = loop.listen(
        "127.0.0.1", 0, served, process_request=log_in, ssl=authority.server_context
    )
    with ExitStack() as stack:
        client = raw_client(listener)
        tls = stack.enter_context(
            authority.client_context().wrap_socket(
                client.sock, server_hostname="localhost", do_handshake_on_connect=False
            )
        )

        def is_through() -> bool:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                return False
            return True

        run_until(loop, is_through)
        # Four records, of which the server reads one for the request.
        tls.send(head(*REQUEST) + build_frame(TEXT, b"x" * 50_000, key=b"abcd"))
        run_until(loop, lambda: log_in.waiting)
        tls.send(build_frame(TEXT, b"more", key=b"abcd"))
        busy.set()
        run_until(loop, lambda: served and len(served[0].messages) == 2)
        assert served[0].messages == ["x" * 50_000, "more"]


def test_who_waits_is_served_as_ever_when_others_have_left(
    loop: Reactor, raw_client: Client, served: Served, busy: threading.Event
) -> None:
    log_in = LogIn()
    listener: Listener = loop.listen("127.0.0.1", 0, served, process_request=log_in)
    clients = [raw_client(listener) for _ in range(4)]
    for client in clients:
        client.send(head(*REQUEST))
    run_until(loop, lambda: len(helpers._queue) == 4)
    clients[0].close()
    clients[2].reset()
    run_until(loop, lambda: len(helpers._queue) == 2)
    busy.set()
    for client in (clients[1], clients[3]):
        assert client.head()[0].startswith("HTTP/1.1 101 ")
        assert echoes(client)
    assert len(log_in.looked_up) == 2
