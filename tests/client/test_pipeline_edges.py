"""Names to verify that are not the URL's, and closed sockets; continues test_connect.py."""

from __future__ import annotations

import errno
import socket
from typing import Any, ClassVar

import pytest

from reactor import (
    Reactor,
    WebSocketBadStatusException,
    WebSocketConnectException,
    WebSocketTimeoutException,
)
from reactor.client.options import ClientOptions, HandshakeWatch
from reactor.client.pipeline import check_arguments, connect
from reactor.loop.tasks import Turn, run_blocking

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.peers import Serve, Talk, answer
from ..support.recorder import Recorder

pytestmark = pytest.mark.usefixtures("no_leaks")


def accepting(talk: Talk) -> None:
    talk.upgrade()
    talk.until_closed()


def test_the_name_to_verify_does_not_go_along_to_another_origin(
    serve: Serve, authority: Authority
) -> None:
    second = serve(accepting, context=authority.server_context)
    found = ("HTTP/1.1 302 Found", "Content-Length: 0")
    first = serve(
        answer(*found, "Location: /same"),
        answer(*found, f"Location: {second.url}/other"),
        context=authority.issue("first.example"),
    )
    sslopt = {**authority.sslopt, "server_hostname": "first.example"}
    upgraded = run_blocking(connect(first.url, ClientOptions(sslopt=sslopt)))
    upgraded.sock.close()
    assert str(upgraded.url) == f"{second.url}/other"
    assert first.connections == 2  # within the origin it is still the name to verify


def test_a_socket_that_is_closed_already(loop: Reactor) -> None:
    sock = socket.socket()
    sock.close()
    recorder = Recorder()
    loop.connect("ws://127.0.0.1/", recorder, sock=sock)
    run_until(loop, lambda: recorder.closes)
    (error,) = recorder.errors
    assert isinstance(error, WebSocketConnectException)
    assert error.errno == errno.EBADF
    assert "sock cannot be used" in str(error)


def test_a_url_is_text_or_a_function() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match="url must be a str or a function, not int"):
        check_arguments(wrong, ClientOptions())


def test_a_watch_hears_the_body_of_a_refusal(serve: Serve) -> None:
    class Watch(HandshakeWatch):
        bodies: ClassVar[list[bytes]] = []

        def body_received(self, body: bytes) -> None:
            self.bodies.append(body)

    peer = serve(answer("HTTP/1.1 403 Forbidden", "Content-Length: 4", body=b"stop"))
    with pytest.raises(WebSocketBadStatusException):
        run_blocking(connect(peer.url, ClientOptions(watch=Watch())))
    assert Watch.bodies == [b"stop"]


def test_a_given_socket_serves_the_first_request_only(serve: Serve) -> None:
    second = serve(accepting)
    first = serve(
        answer("HTTP/1.1 302 Found", "Content-Length: 0", f"Location: {second.url}/there")
    )
    sock = socket.create_connection(("127.0.0.1", first.port))
    upgraded = run_blocking(connect(first.url, ClientOptions(sock=sock)))
    upgraded.sock.close()
    assert second.requests[0].request_line == "GET /there HTTP/1.1"


def test_a_time_that_is_over_before_anything_was_dialled() -> None:
    coroutine = connect("ws://a.example/", ClientOptions(connect_timeout=5.0))
    request = coroutine.send(None)
    assert type(request).__name__ == "Now"
    assert isinstance(coroutine.send(100.0), Turn)
    with pytest.raises(WebSocketTimeoutException, match=r"before a\.example was dialled"):
        coroutine.send(False)
