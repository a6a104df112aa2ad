"""The options of a client's connection: what they may be, and what they mean."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from reactor import Backoff
from reactor.client.options import ClientOptions, HandshakeWatch
from reactor.transports.proxy import Proxy


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({"connect_timeout": 0}, ValueError, "connect_timeout must be None, or greater than 0"),
        ({"proxy_timeout": float("inf")}, ValueError, "proxy_timeout must be None, or greater"),
        ({"connect_pace": 5}, TypeError, "connect_pace must be None or a Pace"),
        ({"sslkeylogfile": 5}, TypeError, "sslkeylogfile must be the path of a file, not int"),
        ({"redirect_limit": -1}, ValueError, "redirect_limit must be 0 or greater"),
        ({"reconnect": -1}, ValueError, "reconnect must be None, a Backoff"),
        ({"no_proxy": "a.example"}, TypeError, "no_proxy is a list of hosts, not a str"),
        ({"proxy": "gopher://p:1"}, ValueError, "proxy"),
        (
            {"sock": socket.socket, "reconnect": 1},
            ValueError,
            "reconnect cannot be given with sock",
        ),
        ({"origin": 5}, TypeError, "origin must be a str, not int"),
        ({"host": b"a"}, TypeError, "host must be a str, not bytes"),
        ({"cookie": 5}, TypeError, "cookie must be a str, not int"),
        ({"origin": "a\r\nX: y"}, ValueError, "Origin"),
        ({"subprotocols": "chat"}, TypeError, "subprotocols"),
        ({"mask_key": b"1234"}, TypeError, "mask_key must be a function, not bytes"),
    ],
)
def test_what_cannot_be_is_an_error_that_names_it(
    options: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        ClientOptions(**options)


def test_a_key_log_is_one_of_the_options_for_tls(tmp_path: Path) -> None:
    options = ClientOptions(sslkeylogfile=tmp_path / "keys", sslopt={"ca_certs": "ca.pem"})
    assert options.sslopt == {"ca_certs": "ca.pem", "keylog_filename": str(tmp_path / "keys")}
    assert ClientOptions(sslkeylogfile=str(tmp_path)).sslopt == {"keylog_filename": str(tmp_path)}


@pytest.mark.parametrize("proxy", [None, True, False, "socks5://p:1", Proxy("http", "p", 1)])
def test_a_proxy_may_be_named_or_left_to_the_environment(proxy: Any) -> None:
    assert ClientOptions(proxy=proxy).proxy == proxy


@pytest.mark.parametrize(
    ("reconnect", "policy"),
    [(None, None), (0, None), (5, Backoff.fixed(5)), (Backoff(first=2), Backoff(first=2))],
)
def test_the_policy_of_reconnects(reconnect: Any, policy: Backoff | None) -> None:
    assert ClientOptions(reconnect=reconnect).backoff == policy


def test_what_is_asked_for_at_each_attempt_is_not_checked_before() -> None:
    options = ClientOptions(cookie=lambda: "a=1", header=lambda: {"A": "1"}, mask_key=bytes)
    assert callable(options.cookie)


def test_a_watch_that_watches_nothing_answers_nothing() -> None:
    watch = HandshakeWatch()
    anything: Any = object()
    assert watch.cookie(anything) is None
    assert not watch.proxy_without_tls(anything, OSError("no TLS"))
    watch.connected(anything, anything)
    watch.request_sent(b"")
    watch.response_received(anything, anything, b"")
    watch.body_received(b"")
    watch.closed()
