"""Reading and writing: what the compiled functions do by other means than Python.

Every test runs both ways.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import pytest

from reactor import Reactor
from reactor.exceptions import (
    WebSocketConnectionClosedException,
    WebSocketConnectionLostException,
)
from reactor.protocols.session import Role, State

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.sockets import Sockets, drain, received, reset, take_number
from ..support.threads import Background
from ..support.websocket_frames import (
    CLOSE,
    TEXT,
    build_frame,
    close_payload,
)
from ..support.zlib_peer import ZlibPeer
from .acting import (
    AGREEMENT,
    BUILT,
    Act,
    as_client,
    echo,
    payloads,
    tcp_pair,
    texts_of,
)
from .twins import attach

pytestmark = BUILT


# --- writing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [4608, 100_000])
def test_what_the_kernel_takes_in_part_arrives_whole_and_in_order(
    loop: Reactor, sockets: Sockets, room: int
) -> None:
    near, far = sockets.pair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
    protocol = Act()
    connection = attach(loop, Role.CLIENT, near, protocol)
    messages = [bytes([i]) * size for i, size in enumerate([300_000, 5, 70_000, 0, 126])]
    for message in messages:
        loop.call_soon(protocol.send, message)
    loop.run_once(0)
    assert connection.stream.queued > 0
    assert connection.stream.queued == protocol.buffered_amount
    data = bytearray()

    for _ in range(2000):
        try:
            data += far.recv(3000)
        except BlockingIOError:
            pass
        loop.run_once(0)
    assert not protocol.buffered_amount
    data += received(far)
    assert payloads(bytes(data)) == messages
    assert protocol.names == ["open", "writable"]
    assert loop.stats().writers == 0


def test_what_the_kernel_refuses_waits(loop: Reactor, sockets: Sockets) -> None:
    near, far = sockets.stuffed()
    protocol = Act()
    connection = attach(loop, Role.SERVER, near, protocol)
    loop.call_soon(protocol.send, "first")
    loop.call_soon(protocol.send, "second")
    loop.run_once(0)
    assert connection.stream.queued == len(texts_of("first", "second"))
    assert loop.stats().writers == 1
    drain(far)
    run_until(loop, lambda: not connection.stream.queued)
    assert received(far) == texts_of("first", "second")
    loop.call_soon(protocol.send, "third")
    loop.run_once(0)
    assert received(far) == texts_of("third")


def test_what_is_sent_behind_fragments_that_wait_stays_behind_them(
    loop: Reactor, sockets: Sockets
) -> None:
    near, far = sockets.stuffed()
    protocol = Act()
    attach(loop, Role.SERVER, near, protocol, high_water=10, low_water=0)

    def send() -> None:
        protocol.send("in the way of them")
        protocol.send_fragments(["a", "b"])
        protocol.send("behind")
        protocol.send(b"behind, too")

    loop.call_soon(send)
    loop.run_once(0)
    drain(far)
    run_until(loop, lambda: not protocol.buffered_amount)
    assert b"".join(payloads(received(far))) == b"in the way of themabbehindbehind, too"


def test_what_is_sent_outside_of_a_run_leaves_at_once(loop: Reactor, sockets: Sockets) -> None:
    protocol = Act()
    near, far = sockets.pair()
    attach(loop, Role.SERVER, near, protocol)
    for message in ("one", "two"):
        assert protocol.send(message) == 5
        assert received(far) == texts_of(message)


def test_what_another_thread_sends_wakes_the_loop_and_leaves(
    loop: Reactor, sockets: Sockets
) -> None:
    protocol = Act()
    near, far = sockets.pair()
    attach(loop, Role.SERVER, near, protocol)
    loop.run_once(0)  # it is this thread's now

    def send() -> int:
        return sum(protocol.send(f"{number}") for number in range(500))

    thread = Background(send)
    data = bytearray()

    def all_there() -> bool:
        data.extend(received(far))
        return len(data) >= 2 * 500 + 1390

    run_until(loop, all_there)
    assert thread.result() == len(data)
    assert payloads(bytes(data)) == [b"%d" % number for number in range(500)]


@pytest.mark.parametrize("limit", [1 << 70, float("inf")])
def test_a_limit_may_be_beyond_any_queue(loop: Reactor, sockets: Sockets, limit: Any) -> None:
    protocol = Act()
    far = as_client(loop, protocol, sockets, write_limit=limit)
    sizes: list[int] = []
    loop.call_soon(lambda: sizes.append(protocol.send("x")))
    loop.run_once(0)
    assert sizes == [7]
    assert payloads(received(far)) == [b"x"]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200 * 1024])
@pytest.mark.parametrize("text", [True, False])
def test_messages_of_every_form_of_length_in_both_directions(
    loop: Reactor, sockets: Sockets, size: int, text: bool
) -> None:
    message: str | bytes = "abcdefg" * (size // 7) + "h" * (size % 7)
    if not text:
        message = str(message).encode()
    ours, theirs = sockets.pair()
    client, server = Act(), echo()
    attach(loop, Role.CLIENT, ours, client)
    attach(loop, Role.SERVER, theirs, server)
    client.send(message)
    loop.call_soon(client.send, message)
    run_until(loop, lambda: len(client.messages) == 2)
    assert server.messages == client.messages == [message] * 2
    assert type(client.messages[0]) is type(message)


def test_a_long_compressed_message_behind_a_plain_one_comes_all_at_once_in_pieces(
    loop: Reactor, sockets: Sockets
) -> None:
    class Pieces(Act):
        def on_data(self, data: str | bytes, opcode: int, fin: bool) -> None:
            self.events.append(("data", data, opcode, fin))

    protocol = Pieces()
    options = {"fragments": True, "fragment_size": 1000, "agreement": AGREEMENT}
    far = as_client(loop, protocol, sockets, **options)
    far.send(texts_of("plain") + build_frame(TEXT, ZlibPeer().compress(b"long" * 5000), rsv=4))
    loop.run_once(1)
    pieces = protocol.of("data")
    assert protocol.messages == ["plain"]
    assert "".join(data for data, _, _ in pieces) == "long" * 5000
    assert [fin for _, _, fin in pieces] == [False] * (len(pieces) - 1) + [True]
    assert len(pieces) > 5


# --- the peer's end, and faults -----------------------------------------------------------------


def test_the_peers_end(loop: Reactor, sockets: Sockets) -> None:
    protocol = Act()
    far = as_client(loop, protocol, sockets)
    far.send(texts_of("last"))
    far.shutdown(socket.SHUT_WR)
    run_until(loop, lambda: protocol.closes)
    [error] = protocol.errors
    assert type(error) is WebSocketConnectionClosedException
    assert str(error) == "Connection to remote host was lost."
    assert protocol.names == ["open", "message", "error", "close"]
    assert protocol.closes == [(1006, "")]


@pytest.mark.parametrize("noticed", ["reading", "sending"])
def test_a_reset(loop: Reactor, sockets: Sockets, noticed: str) -> None:
    near, far = tcp_pair(sockets)
    protocol = Act()
    attach(loop, Role.CLIENT, near, protocol)
    if noticed == "sending":
        protocol.pause_reading()
        loop.call_soon(protocol.send, "hello?")
    reset(far)
    if noticed == "sending":
        loop.run_once(0)
        assert protocol.closes == []  # something might still be there to be read
        protocol.resume_reading()
    run_until(loop, lambda: protocol.closes)
    [error] = protocol.errors
    assert type(error) is WebSocketConnectionLostException
    reason = f"[Errno {errno.ECONNRESET}] {os.strerror(errno.ECONNRESET)}"
    assert str(error) == f"Connection to remote host was lost. ({reason})"
    assert error.errno == errno.ECONNRESET
    assert type(error.__cause__) is ConnectionResetError
    assert protocol.closes == [(1006, "")]
    assert near.fileno() < 0


def test_a_broken_pipe(loop: Reactor, sockets: Sockets) -> None:
    protocol = Act()
    far = as_client(loop, protocol, sockets)
    protocol.pause_reading()
    far.close()
    loop.call_soon(protocol.send, "hello?")
    loop.run_once(0)
    protocol.resume_reading()
    run_until(loop, lambda: protocol.closes)
    assert type(protocol.errors[0].__cause__) is BrokenPipeError


@pytest.mark.parametrize("tcp", [True, False])
def test_what_came_before_a_broken_pipe_is_delivered(
    loop: Reactor, sockets: Sockets, tcp: bool
) -> None:
    near, far = tcp_pair(sockets) if tcp else sockets.pair()
    protocol = Act()
    attach(loop, Role.CLIENT, near, protocol)
    messages = [f"{number}" * 20 for number in range(500)]
    far.sendall(texts_of(*messages) + build_frame(CLOSE, close_payload(1008, b"over")))
    (reset if tcp else socket.socket.close)(far)
    for _ in range(3):  # the first one may still be taken by the kernel
        protocol.send("late")
    run_until(loop, lambda: protocol.closes)
    assert protocol.messages == messages
    assert protocol.closes == [(1008, "over")]
    assert protocol.errors == []


def test_a_socket_closed_behind_our_back_is_not_read_from_whoever_has_its_number(
    loop: Reactor, sockets: Sockets
) -> None:
    def steal(_: object) -> None:
        sock = victim.sock
        assert sock is not None
        number = sock.fileno()
        sock.close()
        stolen.append(sockets.enter_context(take_number(other, number)))

    stolen: list[socket.socket] = []
    thief, victim = Act(steal), Act()
    feeds = [as_client(loop, thief, sockets), as_client(loop, victim, sockets)]
    other, feeder = sockets.pair()
    feeder.send(texts_of("not yours"))
    for feed in feeds:  # in this order they become ready
        feed.send(texts_of("go"))
    loop.run_once(1)
    loop.run_once(0)
    assert stolen[0].recv(1000, socket.MSG_PEEK) == texts_of("not yours")
    assert victim.messages == []
    assert victim.closes == [(1006, "")]
    assert "Bad file descriptor" in str(victim.errors[0])


def test_a_socket_closed_behind_our_back_is_not_written_to_whoever_has_its_number(
    loop: Reactor, sockets: Sockets
) -> None:
    protocol = Act()
    as_client(loop, protocol, sockets)
    other, feeder = sockets.pair()
    sock = protocol.sock
    assert sock is not None
    number = sock.fileno()

    def steal() -> None:
        sock.close()
        sockets.enter_context(take_number(other, number))
        protocol.send("not for you")

    loop.call_soon(steal)
    run_until(loop, lambda: protocol.closes)
    assert received(feeder) == b""
    assert protocol.closes == [(1006, "")]
    assert "Bad file descriptor" in str(protocol.errors[0])


def test_a_socket_of_the_users_own_class_is_asked(loop: Reactor, sockets: Sockets) -> None:
    class Shouting(socket.socket):
        def recv(self, bufsize: int, flags: int = 0) -> bytes:
            return super().recv(bufsize, flags).replace(b"quiet", b"QUIET")

        def send(self, data: Any, flags: int = 0) -> int:
            return super().send(bytes(data).replace(b"quiet", b"QUIET"), flags)

    near, far = sockets.pair()
    protocol = echo()
    own = sockets.enter_context(Shouting(fileno=near.detach()))
    attach(loop, Role.SERVER, own, protocol)
    far.send(build_frame(TEXT, b"quiet", key=b"\0\0\0\0"))
    loop.run_once(1)
    assert protocol.messages == ["QUIET"]
    protocol.send("quiet")
    assert received(far) == texts_of("QUIET", "QUIET")


def test_tls_is_as_always(loop: Reactor, authority: Authority) -> None:
    servers: list[Act] = []

    def factory() -> Act:
        servers.append(echo())
        return servers[-1]

    listener = loop.listen("127.0.0.1", 0, factory, ssl=authority.server_context)
    url = f"wss://127.0.0.1:{listener.port}/"
    client = loop.connect(url, Act(), sslopt=authority.sslopt)
    run_until(loop, lambda: client.state is State.OPEN)
    messages: list[str | bytes] = ["short", b"", "é" * 100_000, bytes(200_000)]
    for message in messages:
        loop.call_soon(client.send, message)
    run_until(loop, lambda: len(client.messages) == len(messages))
    assert client.messages == messages
