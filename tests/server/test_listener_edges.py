"""Clients that vanish, factories that fail, paths in the file system; continues test_server.py."""

from __future__ import annotations

import gc
import logging
import os
import socket
from collections.abc import Callable

import pytest

from reactor import Reactor, WebSocketProtocol

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
