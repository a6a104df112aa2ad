"""The classes of websocket-client's ``_dispatcher``, the genuine ones and ours."""

from __future__ import annotations

import socket
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture(params=["reactor.websocket", "websocket"])
def module(request: pytest.FixtureRequest) -> Any:
    return import_module(f"{request.param}._dispatcher")


class WithPending:
    """A socket that holds *pending* bytes, as one with TLS does."""

    def __init__(self, sock: socket.socket, pending: int) -> None:
        self._sock = sock
        self._pending = pending

    def fileno(self) -> int:
        return self._sock.fileno()

    def pending(self) -> int:
        self._pending -= 1
        return max(0, self._pending + 1)


@pytest.mark.parametrize("kind", ["Dispatcher", "SSLDispatcher"])
def test_reads_as_long_as_there_is_something_and_the_app_runs(module: Any, kind: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"abc")
        sock = WithPending(ours, 1) if kind == "SSLDispatcher" else ours
        app = SimpleNamespace(keep_running=True, sock=SimpleNamespace(sock=sock))
        heard, checks = [], []

        def read() -> bool:
            heard.append(ours.recv(1))
            return len(heard) < 3

        getattr(module, kind)(app, 5).read(sock, read, lambda: checks.append(1))
        assert (heard, len(checks)) == ([b"a", b"b", b"c"], 2)
        app.sock = None
        getattr(module, kind)(app, 5).read(sock, read, checks.clear)


def test_a_wait_that_ends_without_anything_checks(module: Any) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        app = SimpleNamespace(keep_running=True, sock=SimpleNamespace(sock=ours))
        module.Dispatcher(app, 0.001).read(
            ours, pytest.fail, lambda: setattr(app, "keep_running", False)
        )


def test_tls_that_holds_bytes_is_not_waited_for(module: Any) -> None:
    holding = mock.Mock(**{"pending.return_value": 5})
    app = SimpleNamespace(sock=SimpleNamespace(sock=holding))
    dispatcher = module.SSLDispatcher(app, 5)
    assert dispatcher.select(holding, None) == [holding]
    holding.pending.return_value = 0
    selector = mock.Mock(**{"select.side_effect": [[(holding, 1)], []]})
    assert [dispatcher.select(holding, selector) for _ in range(2)] == [holding, None]
    selector.select.assert_called_with(5)
    app.sock = None
    assert dispatcher.select(holding, selector) is None


def test_the_base_calls_back_and_sends(module: Any) -> None:
    base, called = module.DispatcherBase(None, None), mock.Mock()
    base.timeout(None, called)
    base.timeout(0, called)
    base.reconnect(0, called)
    assert called.call_args_list == [mock.call(), mock.call(), mock.call(reconnecting=True)]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert base.send(ours, b"hello") == 5
        assert theirs.recv(10) == b"hello"


@pytest.mark.parametrize("ping_timeout", [None, 5])
def test_a_dispatcher_of_somebody_else_is_wrapped(module: Any, ping_timeout: float | None) -> None:
    other, lost, read, check = mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock()
    wrapped = module.WrappedDispatcher(None, ping_timeout, other, lost)
    other.signal.assert_called_once_with(2, other.abort)
    wrapped.read("sock", read, check)
    other.read.assert_called_once_with("sock", read)
    assert other.timeout.call_args_list == ([mock.call(5, check)] if ping_timeout else [])
    assert wrapped.send("sock", b"data") == 4
    other.buffwrite.assert_called_once_with("sock", b"data", module.send, lost)
    wrapped.reconnect(3, read)
    assert other.timeout.call_args == mock.call(3, read, True)


def test_a_dispatcher_on_another_thread_than_the_main_one_has_no_ctrl_c() -> None:
    other = mock.Mock(**{"signal.side_effect": ValueError("signal only works in main thread")})
    ours = import_module("reactor.websocket._dispatcher")  # theirs raises
    wrapped = ours.WrappedDispatcher(None, None, other, None)
    wrapped.timeout(3, print, 1)
    other.timeout.assert_called_once_with(3, print, 1)
