"""Opening handshakes that are overheard: a tap hears them, and the watch that there is does too."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from reactor.client.options import ClientOptions, HandshakeWatch
from reactor.client.tapped import TappedWatch, tap_handshakes
from reactor.client.url import parse_url
from reactor.protocols.http.headers import Headers
from reactor.protocols.http.http11 import Response

from ..support.recorder import Recorder
from ..support.scene import Scene

URL = parse_url("ws://a.example/path")
ANSWER = Response(101, "Switching Protocols", Headers([]))


def test_the_tap_hears_before_the_watch_and_both_hear_everything() -> None:
    both = mock.Mock()
    both.watch.cookie.return_value = "a=1"
    both.watch.proxy_without_tls.return_value = True
    watch = TappedWatch(both.tap, both.watch)
    sock: Any = object()
    watch.connected(URL, sock)
    assert watch.cookie(URL) == "a=1"
    watch.request_sent(b"request")
    watch.response_received(URL, ANSWER, b"answer")
    watch.body_received(b"body")
    watch.closed()
    proxy: Any = object()
    error = OSError("no TLS")
    assert watch.proxy_without_tls(proxy, error)
    assert both.mock_calls == [
        mock.call.tap.connected(sock, "ws://a.example/path"),
        mock.call.watch.connected(URL, sock),
        mock.call.watch.cookie(URL),
        mock.call.tap.sent(b"request"),
        mock.call.watch.request_sent(b"request"),
        mock.call.tap.received(b"answer"),
        mock.call.watch.response_received(URL, ANSWER, b"answer"),
        mock.call.tap.received(b"body"),
        mock.call.watch.body_received(b"body"),
        mock.call.tap.closed(),
        mock.call.watch.closed(),
        mock.call.watch.proxy_without_tls(proxy, error),
    ]


def test_without_a_watch_nothing_is_answered() -> None:
    watch = TappedWatch(mock.Mock(), None)
    assert watch.cookie(URL) is None
    proxy: Any = object()
    assert not watch.proxy_without_tls(proxy, OSError("no TLS"))


@pytest.mark.parametrize("where", ["the loop", "the protocol object"])
def test_the_options_of_an_attempt_have_a_watch_if_somebody_listens(
    scene: Scene, where: str
) -> None:
    recorder = Recorder()
    scene.connect(recorder)
    connection: Any = recorder._reactor_connection
    options = ClientOptions(watch=HandshakeWatch())
    assert tap_handshakes(connection, options) is options
    wiretap = mock.Mock()
    if where == "the loop":
        scene.loop.loop.wiretaps = (wiretap,)
    else:
        recorder._reactor_wiretaps = (wiretap,)
    tapped = tap_handshakes(connection, options)
    assert isinstance(tapped.watch, TappedWatch)
    tapped.watch.request_sent(b"request")
    wiretap.handshake.return_value.sent.assert_called_once_with(b"request")
    wiretap.handshake.return_value = None
    assert tap_handshakes(connection, options) is options
    scene.loop.loop.wiretaps = recorder._reactor_wiretaps = ()
    recorder.abort()
