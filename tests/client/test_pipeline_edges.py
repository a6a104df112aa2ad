"""Names to verify that are not the URL's, and closed sockets; continues test_connect.py."""

from __future__ import annotations

import errno
import socket

import pytest

from reactor import Reactor, WebSocketConnectException
from reactor.client.options import ClientOptions
from reactor.client.pipeline import connect
from reactor.loop.tasks import run_blocking

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
