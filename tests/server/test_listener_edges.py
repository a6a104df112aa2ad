"""Clients that vanish, factories that fail, paths in the file system; continues test_server.py."""

from __future__ import annotations

import errno
import gc
import logging
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from reactor import Accept, Reactor, WebSocketProtocol
from reactor.exceptions import WebSocketStateException

from ..support.certificates import Authority
from ..support.clients import REQUEST, RawClient, head
from ..support.driving import run_until
from ..support.websocket_frames import CLOSE, read_frames

pytestmark = pytest.mark.usefixtures("no_leaks")

#: The beginning of a record of TLS that announces more than follows.
HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.mark.parametrize("when", ["before it is accepted", "after its first bytes"])
def test_a_client_that_resets_within_the_tls_handshake_is_no_error(
    loop: Reactor, authority: Authority, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    caplog.set_level(logging.INFO, "reactor")
    listener = loop.listen("127.0.0.1", 0, ssl=authority.server_context)
    with RawClient(loop, listener.address) as client:
        client.send(HALF_A_HELLO)
        if when == "after its first bytes":
            run_until(loop, lambda: listener._handshakes)
            loop.run_once(0)
        client.reset()
    run_until(loop, lambda: "opening handshake failed" in caplog.text)
    gc.collect()  # a socket that was not closed would warn, which is an error
    assert not listener._handshakes
    assert {record.levelno for record in caplog.records} == {logging.INFO}


def test_the_path_of_a_unix_socket_of_the_caller_stays(loop: Reactor, unix_path: str) -> None:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(unix_path)
    loop.listen(sock=sock).close()
    assert sock.fileno() == -1
    assert os.path.exists(unix_path)


def test_the_path_of_a_unix_socket_of_the_listener_goes(loop: Reactor, unix_path: str) -> None:
    listener = loop.listen(unix_path=unix_path)
    assert os.path.exists(unix_path)
    listener.close()
    assert not os.path.exists(unix_path)


def broken() -> WebSocketProtocol:
    raise RuntimeError("of the user")


@pytest.mark.parametrize("factory", [broken, object])
def test_a_client_whose_protocol_object_cannot_be_made_is_told_1011(
    loop: Reactor, caplog: pytest.LogCaptureFixture, factory: Callable[[], WebSocketProtocol]
) -> None:
    listener = loop.listen("127.0.0.1", 0, factory)
    with RawClient(loop, listener.address) as client:
        client.send(head(*REQUEST))
        answer, _, frames = client.until_closed().partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert client.ended == "EOF"
    (frame,) = read_frames(frames)
    assert (frame.opcode, frame.payload[:2]) == (CLOSE, (1011).to_bytes(2, "big"))
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_client_that_has_gone_before_it_could_be_told_is_no_error(
    loop: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    clients: list[RawClient] = []

    def broken_later() -> WebSocketProtocol:
        clients[0].reset()
        raise RuntimeError("of the user")

    listener = loop.listen("127.0.0.1", 0, broken_later)
    with RawClient(loop, listener.address) as client:
        clients.append(client)
        client.send(head(*REQUEST))
        run_until(loop, lambda: "of the user" in caplog.text)
    assert not listener.connections


def test_a_socket_that_cannot_accept_is_an_error_of_the_loop(
    loop: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(socket.socket):
        faults = 1

        def accept(self) -> tuple[socket.socket, Any]:
            if self.faults:
                self.faults -= 1
                raise OSError(errno.EIO, "of the system")
            return super().accept()

    sock = Odd()
    sock.bind(("127.0.0.1", 0))
    listener = loop.listen(sock=sock)
    with RawClient(loop, listener.address) as client:
        client.upgrade()
    assert "of the system" in caplog.text


def test_a_unix_socket_has_no_port(loop: Reactor, unix_path: str) -> None:
    listener = loop.listen(unix_path=unix_path)
    with pytest.raises(ValueError, match="has no port"):
        listener.port  # noqa: B018
    assert not hasattr(listener, "other")


def test_a_forked_child_lets_go_of_everything_but_the_path(loop: Reactor, unix_path: str) -> None:
    """tests/loop/test_lifetime_fork.py does it in a child; here it is the parent's copy."""
    listener = loop.listen(unix_path=unix_path)
    with RawClient(loop, unix_path, family=socket.AF_UNIX) as client:
        run_until(loop, lambda: listener._handshakes)
        loop.loop.poller.remove(listener.sock.fileno())  # a child forgets what is watched
        listener.let_go()
        assert listener.sock.fileno() == -1
        assert not listener._handshakes
        assert client.until_closed() == b""
    assert os.path.exists(unix_path)
    listener.close()
    assert os.path.exists(unix_path)


def test_a_connection_that_closes_already_is_not_closed_again(loop: Reactor) -> None:
    listener = loop.listen("127.0.0.1", 0)
    with RawClient(loop, listener.address) as client:
        client.upgrade()
        (protocol,) = listener.protocols
        protocol.close(4000, "first")
        listener.close()
        assert client.frame().payload == b"\x0f\xa0first"
        client.close()


def test_the_end_of_each_connection_is_for_the_log_of_those_who_want_it(
    loop: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "reactor")
    listener = loop.listen("127.0.0.1", 0)
    with RawClient(loop, listener.address) as client:
        client.upgrade()
        client.send_frame(CLOSE, b"\x0f\xa0enough")
        run_until(loop, lambda: "ended" in caplog.text)
    message = caplog.records[-1].getMessage()
    assert message.startswith("/chat?... from 127.0.0.1:")
    assert message.endswith(" ended: 4000 enough")
    with RawClient(loop, listener.address) as client:
        client.upgrade()
        client.reset()
        run_until(loop, lambda: caplog.text.count("ended") == 2)
    assert "lost" in caplog.records[-1].getMessage()


def test_a_connection_that_came_in_cannot_be_opened_again(loop: Reactor) -> None:
    listener = loop.listen("127.0.0.1", 0)
    with RawClient(loop, listener.address) as client:
        client.upgrade()
        with pytest.raises(WebSocketStateException, match="only the client can do that"):
            listener.protocols[0].reconnect()


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({"sslkeylogfile": "keys"}, ValueError, "sslkeylogfile needs ssl"),
        ({"sslkeylogfile": 5}, TypeError, "sslkeylogfile"),
        ({"process_request": 5}, TypeError, "process_request must be a function, not int"),
    ],
)
def test_options_that_cannot_be(
    loop: Reactor, options: Any, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        loop.listen("127.0.0.1", 0, **options)


def test_what_is_to_change_an_answer_must_be_a_function() -> None:
    wrong: Any = b"HTTP/1.1 101"
    with pytest.raises(TypeError, match="process_response must be a function, not b'HTTP"):
        Accept(process_response=wrong)


def test_compression_is_agreed_on_if_both_want_it(loop: Reactor) -> None:
    listener = loop.listen("127.0.0.1", 0, compression="deflate")
    offer = "Sec-WebSocket-Extensions: permessage-deflate"
    with RawClient(loop, listener.address) as client:
        assert any("permessage-deflate" in line for line in client.upgrade(offer))
        assert listener.protocols[0].compression is not None
    with RawClient(loop, listener.address) as client:
        assert not any("permessage-deflate" in line for line in client.upgrade())
