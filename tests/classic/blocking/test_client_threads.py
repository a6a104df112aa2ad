"""A blocking WebSocket that several threads use."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import reactor
from reactor import (
    WebSocket,
    WebSocketConnectionClosedException,
    WebSocketTimeoutException,
)

from ...support.certificates import Authority
from ...support.classic import Clients, Says, clients_of
from ...support.peers import Talk, echo
from ...support.servers import serve_with_reactor
from ...support.threads import Background
from ...support.websocket_frames import (
    BINARY,
    CLOSE,
    TEXT,
    build_frame,
    close_payload,
)

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def clients() -> Iterator[Clients]:
    yield from clients_of(reactor)


@pytest.fixture(params=["plain", "TLS"])
def connect(
    request: pytest.FixtureRequest, clients: Clients, authority: Authority
) -> Callable[..., WebSocket]:
    """Connects to a scripted peer, with and without TLS."""

    def connect_to(script: Any, **options: Any) -> WebSocket:
        context = authority.server_context if request.param == "TLS" else None
        peer = clients.serve(script, context=context)
        ws: WebSocket = clients.connect_to(peer.url, sslopt=authority.sslopt, **options)
        return ws

    return connect_to


Connect = Callable[..., WebSocket]


def hold(talk: Talk) -> None:
    """Accept the upgrade, tell so, and say nothing more."""
    talk.upgrade(then=build_frame(TEXT, b"begin"))
    talk.hold()


def receiving(ws: WebSocket, method: str = "recv") -> Background:
    """A thread that waits in recv()."""
    assert ws.recv() == "begin"
    reading = threading.Event()
    read = ws.frame_buffer.recv

    def announce(bufsize: int) -> bytes:
        reading.set()
        return read(bufsize)  # type: ignore[no-any-return]

    ws.frame_buffer.recv = announce
    waiting = Background(getattr(ws, method))
    assert reading.wait(10)
    return waiting


@pytest.mark.parametrize("method", ["recv", "recv_data", "recv_data_frame", "recv_frame"])
@pytest.mark.parametrize("timeout", [None, 60])
def test_abort_wakes_who_receives(connect: Connect, method: str, timeout: float | None) -> None:
    ws = connect(hold)
    ws.settimeout(timeout)
    waiting = receiving(ws, method)
    ws.abort()
    with pytest.raises(WebSocketConnectionClosedException, match="Connection to remote host was l"):
        waiting.result()
    assert not ws.connected


@pytest.mark.parametrize("timeout", [None, 60])
def test_shutdown_wakes_who_receives(connect: Connect, timeout: float | None) -> None:
    ws = connect(hold)
    ws.settimeout(timeout)
    waiting = receiving(ws)
    ws.shutdown()
    with pytest.raises(WebSocketConnectionClosedException, match="Connection is closed"):
        waiting.result()
    assert (ws.connected, ws.sock) == (False, None)


def test_the_descriptor_is_closed_when_who_receives_has_let_go_of_it(connect: Connect) -> None:
    ws = connect(hold)
    sock, read = ws.sock, ws.frame_buffer.recv
    seen: list[object] = []

    def look(bufsize: int) -> bytes:
        try:
            return read(bufsize)  # type: ignore[no-any-return]
        except WebSocketConnectionClosedException:
            seen.append(shutting_down.ends_within(0.05))
            seen.append(sock.fileno())
            raise

    ws.frame_buffer.recv = look
    begin = threading.Event()
    shutting_down = Background(lambda: (begin.wait(10), ws.shutdown()))
    waiting = receiving(ws)
    number = sock.fileno()
    begin.set()
    with pytest.raises(WebSocketConnectionClosedException):
        waiting.result()
    shutting_down.result()
    assert (seen, sock.fileno()) == ([False, number], -1)


@pytest.mark.parametrize("timeout", [None, 60])
def test_close_gives_the_answer_to_who_receives(connect: Connect, timeout: float | None) -> None:
    ws = connect(Says(build_frame(TEXT, b"begin")))
    ws.settimeout(timeout)
    waiting = receiving(ws)
    ws.close(4000, "bye")
    assert waiting.result() == ""
    assert ws.close_frame is not None
    assert ws.close_frame.data == close_payload(4000, b"bye")


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_close_wakes_who_receives_from_a_mute_server(connect: Connect, timeout: float) -> None:
    ws = connect(hold)
    ws.settimeout(None)
    waiting = receiving(ws)
    ws.close(timeout=timeout)
    with pytest.raises(WebSocketConnectionClosedException, match="Connection is closed"):
        waiting.result()


def test_close_reads_on_when_who_receives_has_had_enough(connect: Connect) -> None:
    def one_more(talk: Talk) -> None:
        talk.upgrade(then=build_frame(TEXT, b"begin"))
        frame = talk.frame()
        talk.send(build_frame(TEXT, b"more") + build_frame(CLOSE, frame.payload))
        talk.until_closed()

    ws = connect(one_more)
    waiting = receiving(ws)
    ws.close(4000)
    assert waiting.result() == "more"
    assert ws.close_frame is not None


@pytest.mark.parametrize("how", ["close", "shutdown"])
def test_several_threads_may_end_a_connection(connect: Connect, how: str) -> None:
    ws = connect(Says(build_frame(TEXT, b"begin")))
    waiting = receiving(ws)
    ending = [Background(getattr(ws, how)) for _ in range(5)]
    for thread in ending:
        thread.result()
    try:
        assert waiting.result() == ""
    except WebSocketConnectionClosedException:
        pass
    assert ws.sock is None


@pytest.mark.parametrize("how", ["abort", "shutdown", "close"])
def test_who_sends_is_woken_too(clients: Clients, how: str) -> None:
    stuck = threading.Event()

    class Telling(WebSocket):
        def _flush(self) -> None:
            if len(self._unsent) > 1000:
                stuck.set()
            super()._flush()

    ws = clients.connect(hold, class_=Telling)
    ws.settimeout(None)
    sending = Background(ws.send, bytes(2 * 10**7), BINARY)
    assert stuck.wait(10)
    if how == "close":
        ws.close(timeout=0.05)
    else:
        getattr(ws, how)()
    with pytest.raises((WebSocketConnectionClosedException, BrokenPipeError)):
        sending.result()


def test_one_thread_sends_while_another_one_receives(connect: Connect) -> None:
    ws = connect(echo)
    messages = [f"{number} " * 2000 for number in range(200)]

    def send_all() -> None:
        for message in messages:
            ws.send(message)

    sending = Background(send_all)
    assert [ws.recv() for _ in messages] == messages
    sending.result()
    ws.close()


def test_frames_of_several_threads_do_not_mix(authority: Authority) -> None:
    with serve_with_reactor(ssl=authority.server_context) as url:
        ws = reactor.create_connection(url, timeout=10, sslopt=authority.sslopt)

        def send_many(letter: str) -> None:
            for _ in range(50):
                ws.send(letter * 5000)

        threads = [Background(send_many, letter) for letter in "abcd"]
        received = [ws.recv() for _ in range(200)]
        for thread in threads:
            thread.result()
        ws.close()
    assert sorted(received) == sorted(letter * 5000 for letter in "abcd" for _ in range(50))


def test_who_receives_does_not_keep_others_from_sending(connect: Connect) -> None:
    script = Says(build_frame(TEXT, b"begin"))
    ws = connect(script)
    ws.settimeout(None)
    waiting = receiving(ws)
    for _ in range(3):
        ws.send("x")
        assert script.said() == (TEXT, b"x")
    assert waiting.running
    ws.close()
    assert waiting.result() == ""


def test_two_threads_that_receive_get_one_message_each(connect: Connect) -> None:
    def send_two(talk: Talk) -> None:
        talk.upgrade(then=build_frame(TEXT, b"begin"))
        talk.frame()
        talk.send(build_frame(TEXT, b"one") + build_frame(TEXT, b"two"))
        talk.until_closed()

    ws = connect(send_two)
    waiting = receiving(ws)
    other = Background(ws.recv)
    ws.send("go on")
    assert {waiting.result(), other.result()} == {"one", "two"}


def test_a_signal_handler_may_close(clients: Clients) -> None:
    ws = clients.connect(Says(build_frame(TEXT, b"begin")))
    assert ws.recv() == "begin"
    ws.settimeout(None)
    previous = signal.signal(signal.SIGALRM, lambda *_: ws.close())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(WebSocketConnectionClosedException):
            ws.recv()
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert ws.sock is None


def test_an_interrupted_recv_can_be_repeated(clients: Clients) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    ws = clients.connect(echo)
    ws.settimeout(None)
    previous = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Stop):
            ws.recv()
    finally:
        signal.signal(signal.SIGALRM, previous)
    ws.send("still there")
    assert ws.recv() == "still there"


def test_a_time_out_of_one_thread_does_not_disturb_the_other(connect: Connect) -> None:
    ws = connect(echo)
    ws.settimeout(0.01)
    for _ in range(3):
        with pytest.raises(WebSocketTimeoutException):
            ws.recv()
    sending = Background(ws.send, "x")
    assert sending.result() == 7
    ws.settimeout(10)
    assert ws.recv() == "x"
