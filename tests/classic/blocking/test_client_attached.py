"""A WebSocket whose socket a program attaches, or has already closed; and what looks like a socket.

What gets the fixture ``library`` holds for websocket-client as well.
"""

from __future__ import annotations

import errno
import logging
import socket
from typing import Any
from unittest import mock

import pytest

from reactor import WebSocket, WebSocketConnectionClosedException, WebSocketException
from reactor.classic.blocking import sock as sock_module

from ...support.websocket_frames import CLOSE, build_frame, close_payload, read_frames

pytestmark = pytest.mark.usefixtures("no_leaks")


class Fake:
    """Something in the place of a socket, as tests of programs have it."""

    def __init__(self, closed: bool) -> None:
        self._closed = closed
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_a_socket_that_somebody_has_closed_is_not_closed_again(library: Any) -> None:
    for was_closed in (False, True):
        connection = library.WebSocket()
        connection.sock = fake = Fake(was_closed)
        connection.shutdown()
        assert (fake.closed, connection.sock) == (not was_closed, None)


def test_a_class_of_a_test_in_the_place_of_ssl_socket(library: Any) -> None:
    connection = library.WebSocket()
    module = library._core
    with mock.patch.object(module.ssl, "SSLSocket", Fake):
        connection.sock = Fake(True)
        assert connection.is_ssl()
    assert not connection.is_ssl()


def test_closing_what_only_looks_like_a_socket_raises_nothing(library: Any) -> None:
    connection = library.WebSocket()
    connection.sock = mock.Mock()
    connection.connected = True
    connection.close()
    assert not connection.connected


def test_a_close_frame_can_be_sent_on_a_socket_that_was_attached() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        connection = WebSocket()
        connection.sock = ours
        assert not connection.connected
        connection.send_close(1001, "bye")
        with pytest.raises(WebSocketConnectionClosedException):
            connection.send("too late")
        (frame,) = read_frames(theirs.recv(100))
        assert (frame.opcode, frame.payload) == (CLOSE, close_payload(1001, b"bye"))
        connection.shutdown()
        assert theirs.recv(1) == b""
    with pytest.raises(WebSocketConnectionClosedException, match=r"^socket is already closed\.$"):
        connection.send_close()


def test_a_program_may_say_that_there_is_no_connection(library: Any) -> None:
    connection = library.WebSocket()
    connection.sock = mock.Mock()
    for _ in range(2):
        connection.connected = True
        assert connection.connected
    connection.connected = False
    assert not connection.connected
    connection.shutdown()
    assert connection.sock is None


def test_without_a_socket_there_is_no_descriptor() -> None:
    connection = WebSocket()
    with pytest.raises(WebSocketException, match="Connection not established"):
        connection.fileno()
    connection.abort()
    connection.shutdown()


def test_the_end_of_a_connection_that_has_ended_closes_the_socket() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        connection = WebSocket()
        connection.sock = ours
        theirs.send(build_frame(CLOSE, close_payload(1000)))
        assert connection.recv() == ""
        with pytest.raises(WebSocketConnectionClosedException) as caught:
            connection.recv()
        assert (caught.value.status_code, connection.sock) == (1000, None)
        assert ours.fileno() == -1


def test_a_socket_that_cannot_be_closed_is_for_the_log(caplog: pytest.LogCaptureFixture) -> None:
    error = OSError(errno.EIO, "the disk is full")
    connection = WebSocket()
    connection.sock = mock.Mock(**{"close.side_effect": error})
    with caplog.at_level(logging.DEBUG, "websocket"):
        connection.shutdown()
    assert connection.sock is None
    assert caplog.messages == [f"the socket could not be closed: {error}"]


def test_a_thread_that_does_not_let_go_of_the_descriptor_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sock_module, "PATIENCE", 0.0)
    connection = WebSocket()
    connection.readlock = mock.Mock(**{"acquire.return_value": False})
    connection.sock = wire = mock.Mock(_closed=False)
    connection.shutdown()
    wire.close.assert_called_once_with()
    connection.readlock.release.assert_not_called()


def test_a_ping_that_is_too_long_is_a_fault_whatever_has_read_it(library: Any) -> None:
    class Own(library.WebSocket):  # type: ignore[misc,name-defined]
        def recv_frame(self) -> Any:
            return library.ABNF(1, 0, 0, 0, library.ABNF.OPCODE_PING, 0, bytes(126))

    connection = Own()
    connection.sock = mock.Mock(**{"send.side_effect": len})
    with pytest.raises(library.WebSocketProtocolException, match="Ping message is too long"):
        connection.recv()
