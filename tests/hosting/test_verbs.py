"""The verbs of a dispatcher, and websocket-client's own WebSocketApp on a Reactor."""

from __future__ import annotations

import signal
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest
import websocket

from reactor import Reactor

from ..support.apps import RecordedApp, code, dropped, said
from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.peers import ScriptedPeer, Talk, echo
from ..support.recorder import Recorder
from ..support.servers import serve_with_reactor
from ..support.sockets import Sockets, drain, fill, received
from ..support.websocket_frames import CLOSE, PONG, TEXT, build_frame

pytestmark = pytest.mark.usefixtures("no_leaks", "sockets_of_websocket_client")


def times(count: int, called: list[Any], *name: Any) -> Callable[..., bool]:
    """Return a callback that wants to be called so often, and notes its arguments."""

    def callback(*args: Any) -> bool:
        called.append((*name, *args))
        return len(called) < count

    return callback


# --- read, write, timeout -------------------------------------------------------------------------


def test_read_until_a_false_value(loop: Reactor, sockets: Sockets) -> None:
    called: list[Any] = []
    sock = sockets.readable()  # and nobody reads the byte
    loop.read(sock, times(3, called), "a", 1)
    loop.dispatch()
    assert called == [("a", 1)] * 3
    assert loop.stats().readers == 0


def test_read_can_be_asked_for_again(loop: Reactor, sockets: Sockets) -> None:
    called: list[Any] = []
    sock = sockets.readable()

    def once(name: str) -> None:
        called.append(name)

    loop.read(sock, once, "first")
    loop.dispatch()
    loop.read(sock, once, "second")
    loop.dispatch()
    assert called == ["first", "second"]


def test_read_takes_whatever_has_a_descriptor(loop: Reactor) -> None:
    called: list[Any] = []
    with Reactor() as other:
        loop.read(other, times(1, called))
        other.stop()
        loop.dispatch()
    assert called == [()]


def test_write_until_a_false_value(loop: Reactor, sockets: Sockets) -> None:
    called: list[Any] = []
    ours, _ = sockets.pair()
    loop.write(ours, times(2, called), "x")
    loop.dispatch()
    assert called == [("x",)] * 2
    assert loop.stats().writers == 0


def test_timeout_until_a_false_value(loop: Reactor) -> None:
    called: list[Any] = []
    start = loop.time()
    loop.timeout(0.01, times(3, called), "t")
    loop.dispatch()
    assert called == [("t",)] * 3
    assert loop.time() - start >= 0.03


def test_callback_that_fails_is_called_again(
    loop: Reactor, sockets: Sockets, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[int] = []

    def read() -> bool:
        called.append(1)
        if len(called) == 1:
            raise LookupError("once")
        return False

    loop.read(sockets.readable(), read)
    loop.dispatch()
    assert len(called) == 2
    assert "exception in callback" in caplog.text


def test_abort_ends_dispatch(loop: Reactor, sockets: Sockets) -> None:
    ours, _ = sockets.pair()
    loop.read(ours, print)  # never
    loop.timeout(0.01, loop.abort)
    loop.dispatch()
    assert loop.stats().readers == 1


def test_signal_can_abort(loop: Reactor, sockets: Sockets) -> None:
    ours, _ = sockets.pair()
    before = signal.getsignal(signal.SIGINT)
    loop.signal(2, loop.abort)
    loop.read(ours, print)
    loop.timeout(0.01, signal.raise_signal, signal.SIGINT)
    loop.dispatch()
    loop.close()
    assert signal.getsignal(signal.SIGINT) == before


# --- sockets that are closed without a word -------------------------------------------------------


def test_dispatch_ends_when_the_callback_has_closed_its_socket(
    loop: Reactor, sockets: Sockets
) -> None:
    sock = sockets.readable()

    def read() -> bool:
        sock.close()
        return True

    loop.read(sock, read)
    loop.dispatch()


def test_dispatch_ends_when_all_sockets_were_closed_by_somebody(
    loop: Reactor, sockets: Sockets
) -> None:
    reading, _ = sockets.pair()
    writing, _ = sockets.stuffed()
    loop.read(reading, print)
    loop.write(writing, print)
    loop.timeout(0.01, reading.close)
    loop.timeout(0.02, writing.close)
    loop.dispatch()


@pytest.mark.parametrize("watch", ["read", "write"])
@pytest.mark.parametrize("also", ["read", "write"])
def test_descriptor_of_a_closed_socket_can_be_used_again(
    loop: Reactor, sockets: Sockets, watch: str, also: str
) -> None:
    called: list[str] = []
    first, _ = sockets.stuffed()
    getattr(loop, also)(first, print, "never")
    number = first.fileno()
    first.close()
    second = sockets.readable()
    assert second.fileno() == number
    getattr(loop, watch)(second, lambda: called.append("called"))
    loop.dispatch()
    assert called == ["called"]


def test_callback_can_close_its_socket_and_watch_another_one(
    loop: Reactor, sockets: Sockets
) -> None:
    called: list[str] = []
    first = sockets.readable()

    def read() -> bool:
        number = first.fileno()
        first.close()
        second = sockets.readable()
        assert second.fileno() == number
        loop.read(second, lambda: called.append("second"))
        return False

    loop.read(first, read)
    loop.dispatch()
    assert called == ["second"]


@pytest.mark.parametrize("way", ["reader", "writer"])
def test_own_watching_is_not_disturbed_by_a_closed_socket(
    loop: Reactor, sockets: Sockets, way: str
) -> None:
    called: list[str] = []
    first, _ = sockets.pair()
    loop.read(first, print)
    number = first.fileno()
    first.close()
    second = sockets.readable()
    assert second.fileno() == number

    def once() -> None:
        called.append("called")
        getattr(loop, f"remove_{way}")(number)

    getattr(loop, f"add_{way}")(number, once)
    run_until(loop, lambda: called)


def test_closed_socket_is_forgotten_with_the_next_turn(loop: Reactor, sockets: Sockets) -> None:
    first, _ = sockets.pair()
    loop.read(first, print)
    first.close()
    loop.run_once(0)
    assert loop.stats().readers == 0


# --- buffwrite ------------------------------------------------------------------------------------


def send(sock: socket.socket, data: bytes) -> int:
    return sock.send(data)


def no_error(exc: Exception) -> None:
    raise AssertionError from exc


@pytest.mark.parametrize("blocking", [True, False])
def test_buffwrite_never_waits(loop: Reactor, sockets: Sockets, blocking: bool) -> None:
    ours, theirs = sockets.pair()
    ours.setblocking(blocking)
    data = bytes(range(256)) * 20_000
    loop.buffwrite(ours, data[:5], send, no_error)
    loop.buffwrite(ours, data[5:3_000_000], send, no_error)
    loop.buffwrite(ours, data[3_000_000:], send, no_error)
    assert ours.getblocking() is blocking
    got = bytearray()

    def read() -> bool:
        got.extend(theirs.recv(65536))
        return len(got) < len(data)

    loop.read(theirs, read)
    loop.dispatch()
    assert got == data
    assert loop.stats().writers == 0


def test_buffwrite_from_another_thread(loop: Reactor, sockets: Sockets) -> None:
    def send_here(sock: socket.socket, data: bytes) -> int:
        assert threading.current_thread() is not thread
        return send(sock, data)

    ours, theirs = sockets.pair()
    thread = threading.Thread(target=loop.buffwrite, args=(ours, b"data", send_here, no_error))
    thread.start()
    thread.join()
    got: list[bytes] = []
    loop.read(theirs, lambda: got.append(theirs.recv(100)))
    loop.dispatch()
    assert got == [b"data"]


@pytest.mark.parametrize("when", ["at once", "later"])
def test_buffwrite_tells_of_an_error(loop: Reactor, sockets: Sockets, when: str) -> None:
    ours, theirs = sockets.stuffed() if when == "later" else sockets.pair()
    errors: list[Exception] = []
    if when == "at once":
        theirs.close()
    loop.buffwrite(ours, b"data", send, errors.append)
    loop.timeout(0.01, theirs.close)
    loop.dispatch()
    assert [isinstance(exc, ConnectionError) for exc in errors] == [True]
    assert loop.stats().writers == 0


def test_buffwrite_to_a_closed_socket(loop: Reactor, sockets: Sockets) -> None:
    ours, _ = sockets.pair()
    ours.close()
    errors: list[Exception] = []
    loop.buffwrite(ours, b"data", send, errors.append)
    assert [type(exc) for exc in errors] == [OSError]
    loop.dispatch()


def test_what_was_left_for_a_closed_socket_does_not_go_to_the_next_one(
    loop: Reactor, sockets: Sockets
) -> None:
    first, _ = sockets.stuffed()
    loop.buffwrite(first, b"for the first", send, no_error)
    number = first.fileno()
    first.close()
    second, theirs = sockets.pair()
    assert second.fileno() == number
    loop.buffwrite(second, b"for the second", send, no_error)
    loop.dispatch()
    assert theirs.recv(100) == b"for the second"


def test_an_error_may_be_answered_with_another_socket_on_the_same_descriptor(
    loop: Reactor, sockets: Sockets
) -> None:
    first, gone = sockets.stuffed()
    number = first.fileno()
    peers: list[socket.socket] = []

    def on_disconnect(_exc: Exception) -> None:
        first.close()
        second, theirs = sockets.stuffed()
        assert second.fileno() == number
        loop.buffwrite(second, b"for the second", send, no_error)
        peers.append(theirs)

    loop.buffwrite(first, b"for the first", send, on_disconnect)
    gone.close()
    run_until(loop, lambda: peers)
    drain(peers[0])
    loop.dispatch()
    assert received(peers[0]).endswith(b"for the second")


def test_buffwrite_asks_again_when_nothing_was_sent(loop: Reactor, sockets: Sockets) -> None:
    ours, theirs = sockets.pair()
    tries: list[int] = []

    def send_at_the_second_try(sock: socket.socket, data: bytes) -> int:
        tries.append(len(data))
        return send(sock, data) if len(tries) > 1 else 0

    loop.buffwrite(ours, b"data", send_at_the_second_try, no_error)
    loop.dispatch()
    assert (tries, theirs.recv(100)) == ([4, 4], b"data")


def test_buffwrite_after_a_partial_one(loop: Reactor, sockets: Sockets) -> None:
    ours, theirs = sockets.pair()
    fill(ours)
    loop.buffwrite(ours, b"one", send, no_error)
    loop.buffwrite(ours, b"two", send, no_error)
    drain(theirs)
    loop.dispatch()
    assert theirs.recv(100).endswith(b"onetwo")


# --- websocket-client's WebSocketApp --------------------------------------------------------------


@pytest.fixture(params=["plain", "tls"])
def context(request: pytest.FixtureRequest, authority: Authority) -> ssl.SSLContext | None:
    return authority.server_context if request.param == "tls" else None


def options_for(loop: Reactor, authority: Authority) -> dict[str, Any]:
    return {"dispatcher": loop, "sslopt": {"ca_certs": authority.ca_file}}


def test_foreign_app(loop: Reactor, authority: Authority, context: Any) -> None:
    def on_message(app: Any, message: str) -> None:
        if message == "last":
            app.close()

    def on_open(app: Any) -> None:
        for text in ("one", "two", "last"):
            app.send(text)

    with serve_with_reactor(ssl=context) as url:
        recorded = RecordedApp(websocket, url, reactions={"open": on_open, "message": on_message})
        recorded.run(**options_for(loop, authority))
        assert recorded.result is False
        loop.dispatch()
    assert recorded.names[0] == "open"
    assert recorded.of("message") == [("one",), ("two",), ("last",)]
    assert recorded.app.sock is None


def test_large_messages_of_a_foreign_app(loop: Reactor, authority: Authority, context: Any) -> None:
    text, octets = "é" * 2_000_000, bytes(3_000_000)
    got: list[Any] = []

    def on_message(app: Any, message: Any) -> None:
        got.append(message)
        if len(got) == 3:
            app.close()

    def on_open(app: Any) -> None:
        app.send(text)
        app.send(octets, 2)
        app.send("last")

    with serve_with_reactor(ssl=context) as url:
        app = websocket.WebSocketApp(url, on_open=on_open, on_message=on_message)
        app.run_forever(**options_for(loop, authority))
        loop.dispatch()
    assert got == [text, octets, "last"]


def test_many_messages_to_a_foreign_app(loop: Reactor, authority: Authority, context: Any) -> None:
    """With TLS, several frames are in one record, of which the poller sees nothing."""
    frames = b"".join(build_frame(TEXT, f"{n}".encode()) for n in range(500))
    with ScriptedPeer(said(frames, build_frame(CLOSE, code(1000))), context=context) as peer:
        recorded = RecordedApp(websocket, peer.url)
        recorded.run(**options_for(loop, authority))
        loop.dispatch()
    assert recorded.of("message") == [(f"{n}",) for n in range(500)]
    assert recorded.names[-2:] == ["error", "close"]


def test_foreign_app_whose_server_drops_the_connection(
    loop: Reactor, authority: Authority, context: Any
) -> None:
    with ScriptedPeer(dropped(), context=context) as peer:
        recorded = RecordedApp(websocket, peer.url)
        recorded.run(**options_for(loop, authority))
        loop.dispatch()
    assert recorded.names == ["open", "error", "close"]


def test_foreign_app_comes_back(loop: Reactor, authority: Authority, context: Any) -> None:
    def on_message(app: Any, _: str) -> None:
        app.keep_running = False
        app.close()
        loop.abort()

    again = said(build_frame(TEXT, b"again"))
    with ScriptedPeer(dropped(), dropped(), again, context=context) as peer:
        recorded = RecordedApp(
            websocket, peer.url, ("open", "reconnect", "message"), {"message": on_message}
        )
        recorded.run(reconnect=0.01, **options_for(loop, authority))
        loop.dispatch()
        assert peer.connections == 3
    assert recorded.names == ["open", "reconnect", "reconnect", "message"]


def test_pings_of_a_foreign_app(loop: Reactor) -> None:
    def on_pong(app: Any, _: bytes) -> None:
        if len(recorded.of("pong")) == 3:
            app.close(timeout=0)  # it would wait for the peer's close frame
            loop.abort()

    with ScriptedPeer(echo) as peer:
        recorded = RecordedApp(websocket, peer.url, reactions={"pong": on_pong})
        recorded.run(dispatcher=loop, ping_interval=0.03, ping_payload="x")
        loop.dispatch()
    assert recorded.of("pong") == [(b"x",)] * 3
    threads = [thread for thread in threading.enumerate() if "_send_ping" in thread.name]
    for thread in threads:
        thread.join(5)


def test_several_foreign_apps(loop: Reactor) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade()
        talk.send(build_frame(TEXT, talk.frame().payload * 2))
        talk.send(build_frame(PONG) + build_frame(CLOSE, code(1000)))
        talk.frame()

    with ScriptedPeer(script) as peer:
        apps = [
            RecordedApp(
                websocket,
                peer.url,
                reactions={"open": lambda app, number=number: app.send(f"{number}")},
            )
            for number in range(5)
        ]
        for recorded in apps:
            recorded.run(dispatcher=loop)
        loop.dispatch()
    for number, recorded in enumerate(apps):
        assert recorded.names == ["open", "message", "pong", "error", "close"]
        assert recorded.of("message") == [(f"{number}" * 2,)]


def test_foreign_app_that_is_closed_by_a_timer(loop: Reactor) -> None:
    with serve_with_reactor() as url:
        recorded = RecordedApp(websocket, url)
        recorded.run(dispatcher=loop)
        loop.timeout(0.01, recorded.app.close)
        loop.dispatch()  # which ends, although the app has told nobody
        again = RecordedApp(
            websocket,
            url,
            reactions={"open": lambda app: app.send("x"), "message": lambda app, _: app.close()},
        )
        again.run(dispatcher=loop)
        loop.dispatch()
    assert again.of("message") == [("x",)]


def test_a_reader_that_closes_its_socket_may_connect(loop: Reactor, sockets: Sockets) -> None:
    """The new socket gets the number of the closed one, which the poller has not forgotten."""
    listener = loop.listen("127.0.0.1", 0)
    sock = sockets.readable()
    number = sock.fileno()
    recorder = Recorder()

    def close_and_connect() -> bool:
        sock.close()
        loop.connect(f"ws://127.0.0.1:{listener.port}/", recorder, proxy=None)
        return False

    loop.read(sock, close_and_connect)
    run_until(loop, lambda: recorder.events)
    assert recorder.names == ["open"]
    assert recorder.sock.fileno() == number
    loop.close()
