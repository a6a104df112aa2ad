"""The defaults of the whole process, for both libraries."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

import reactor
from reactor import Backoff
from reactor.classic.defaults import check_timeout, get_reconnect
from reactor.transports.dial import race as dial


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    for library in (reactor, import_module("websocket")):
        library.setdefaulttimeout(None)
        library.set_reconnect(0)


def test_there_is_no_time_out_by_default(library: Any) -> None:
    assert library.getdefaulttimeout() is None


@pytest.mark.parametrize("timeout", [5, 0.25, 0, None])
def test_the_default_time_out_can_be_set(library: Any, timeout: float | None) -> None:
    library.setdefaulttimeout(1)
    library.setdefaulttimeout(timeout)
    assert library.getdefaulttimeout() == timeout


@pytest.mark.parametrize(
    ("timeout", "error"), [(-1, ValueError), (float("nan"), ValueError), ("5", TypeError)]
)
def test_what_is_no_time_out_is_refused(timeout: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="timeout must be None"):
        reactor.setdefaulttimeout(timeout)
    with pytest.raises(error, match="timeout must be None"):
        check_timeout(timeout)
    assert reactor.getdefaulttimeout() is None


def test_the_reconnect_interval_can_be_set(library: Any) -> None:
    library.set_reconnect(7)
    kept = get_reconnect() if library is reactor else import_module("websocket._app").RECONNECT
    assert kept == 7


def test_the_reconnect_interval_can_be_a_backoff() -> None:
    assert get_reconnect() == 0
    backoff = Backoff()
    reactor.set_reconnect(backoff)
    assert get_reconnect() is backoff


def test_the_default_socket_options(library: Any) -> None:
    assert isinstance(library.DEFAULT_SOCKET_OPTION, list)
    assert {tuple(option[1:]) for option in library.DEFAULT_SOCKET_OPTION} >= {
        (socket.TCP_NODELAY, 1),
        (socket.SO_KEEPALIVE, 1),
    }


def test_changing_the_default_socket_options_has_an_effect() -> None:
    assert reactor.DEFAULT_SOCKET_OPTION is dial.DEFAULT_SOCKET_OPTION


def test_sock_opt_keeps_what_it_is_given(library: Any) -> None:
    options, tls = [(1, 2, 3)], {"ca_certs": "x"}
    kept = library.sock_opt(options, tls)
    assert (kept.sockopt, kept.sslopt, kept.timeout) == (options, tls, None)
    empty = library.sock_opt(None, None)
    assert (empty.sockopt, empty.sslopt) == ([], {})
