"""WebSocketApp: arguments that are wrong, and arguments by position.

Whatever gets the fixture ``library`` is played with this package and with websocket-client.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import reactor

from ...support.apps import ALL, RecordedApp, code, play, said
from ...support.peers import ScriptedPeer
from ...support.websocket_frames import CLOSE, PING, PONG, TEXT, build_frame

pytestmark = pytest.mark.usefixtures("sockets_of_websocket_client")

BYE = said(build_frame(CLOSE, code(1000)))


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:80", "ws://", "ws:", ""])
def test_url_that_cannot_be_used(library: Any, url: str) -> None:
    recorded = RecordedApp(library, url)
    with pytest.raises(ValueError):
        recorded.run()
    assert recorded.events == []
    assert recorded.app.sock is None


def test_run_that_is_going_on_already(library: Any) -> None:
    seen: list[str] = []

    def on_open(app: Any) -> None:
        with pytest.raises(library.WebSocketException) as caught:
            app.run_forever()
        seen.append(str(caught.value))

    recorded = play(library, BYE, reactions={"open": on_open})
    assert seen == ["socket is already opened"]
    assert recorded.names == ["open", "error", "close"]


def test_positional_arguments(library: Any) -> None:
    numbers = itertools.count()
    called: list[Any] = []

    def note(name: str) -> Any:
        return lambda app, *args: called.append((name, *args))

    frames = (
        build_frame(TEXT, b"a", fin=False),
        build_frame(0, b"b"),
        build_frame(PING, b"p"),
        build_frame(PONG, b"q"),
        build_frame(CLOSE, code(1000)),
    )
    with ScriptedPeer(said(*frames)) as peer:
        app = library.WebSocketApp(
            peer.url,
            ["X-One: 1"],
            note("open"),
            note("reconnect"),
            note("message"),
            note("error"),
            note("close"),
            note("ping"),
            note("pong"),
            note("cont_message"),
            False,
            lambda count: bytes([next(numbers)]) * count,
            "a=b",
            None,
            note("data"),
            None,
        )
        result = app.run_forever(
            *(None, None, 60, 30, "payload", None, None, None, None, None),
            *(True, "host.example", "http://origin.example", None, False, False, None, None),
        )
        lines = peer.requests[0].lines
    assert [event[0] for event in called] == [
        *("open", "data", "message", "data", "cont_message", "ping", "pong", "error", "close")
    ]
    assert ("message", b"a") in called
    assert result is False
    assert "Host: host.example" in lines
    assert "Origin: http://origin.example" in lines
    assert lines[-2:] == ["X-One: 1", "Cookie: a=b"]
    assert next(numbers) == 2  # pong and close
    assert (app.ping_interval, app.ping_timeout, app.ping_payload) == (60, 30, "payload")


def test_unknown_argument(library: Any) -> None:
    with pytest.raises(TypeError):
        library.WebSocketApp("ws://127.0.0.1:1", on_wednesday=print)
    with pytest.raises(TypeError):
        library.WebSocketApp("ws://127.0.0.1:1").run_forever(pings=3)


def test_none_as_ping_interval(library: Any) -> None:
    with ScriptedPeer(BYE) as peer:
        recorded = RecordedApp(library, peer.url)
        recorded.run(None, None, None, None)
    assert recorded.events[-1] == ("close", 1000, None)


def test_url_from_a_function() -> None:
    with ScriptedPeer(BYE) as peer:
        recorded = RecordedApp(reactor, lambda: f"{peer.url}/made", ALL)
        recorded.run()
        assert peer.requests[0].request_line == "GET /made HTTP/1.1"


def test_url_of_another_type() -> None:
    with pytest.raises(TypeError, match="url"):
        reactor.WebSocketApp(5).run_forever()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"sslopt": {"ca_certs": "/nowhere/at.all"}},
        {"http_proxy_host": "127.0.0.1", "http_proxy_port": 1},
        {"http_proxy_host": "127.0.0.1", "http_proxy_port": 0, "proxy_type": "socks5"},
    ],
    ids=["sslopt", "proxy", "port"],
)
def test_option_that_cannot_be_used_is_an_error_of_the_attempt(
    library: Any, options: dict[str, Any]
) -> None:
    recorded = RecordedApp(library, "wss://127.0.0.1:1")
    recorded.run(**options)
    assert recorded.names == ["error", "close"]
    assert recorded.result is True


@pytest.mark.parametrize(
    ("options", "kind", "name"),
    [
        ({"http_proxy_host": "h", "proxy_type": "gopher"}, reactor.WebSocketException, "gopher"),
        ({"http_proxy_host": "h", "http_proxy_port": "p"}, ValueError, "http_proxy_port"),
        ({"http_proxy_host": "h", "http_proxy_timeout": -1}, ValueError, "proxy_timeout"),
        ({"http_no_proxy": "host"}, TypeError, "no_proxy"),
        ({"reconnect": -1}, ValueError, "reconnect"),
        ({"reconnect": "soon"}, TypeError, "reconnect"),
        ({"ping_interval": 1, "ping_payload": "x" * 126}, ValueError, "ping_payload"),
        ({"dispatcher": object()}, TypeError, "read"),
    ],
)
def test_option_that_can_never_be_used_is_an_error_of_the_call(
    options: dict[str, Any], kind: type[Exception], name: str
) -> None:
    recorded = RecordedApp(reactor, "ws://127.0.0.1:1")
    with pytest.raises(kind, match=name):
        recorded.run(**options)
    assert recorded.events == []
    assert recorded.app.keep_running is False
