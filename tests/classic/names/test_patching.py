"""What programs, and their tests, put in the place of names in websocket-client's modules."""

from __future__ import annotations

import logging
import types
from typing import Any
from unittest import mock

import pytest

import reactor
from reactor.classic import defaults
from reactor.classic import tracing as trace
from reactor.classic.app import run as app_run
from reactor.classic.blocking import client
from reactor.classic.blocking import sock as client_socket
from reactor.classic.blocking import socket_io as blocking
from reactor.classic.names.compat import private_module
from reactor.classic.names.patching import follow

core, logging_module = private_module("_core"), private_module("_logging")


def test_a_patch_holds_where_our_code_looks_and_ends_with_it() -> None:
    with (
        mock.patch.object(core, "trace") as written,
        mock.patch.object(core, "isEnabledForTrace", return_value=True),
    ):
        websocket = reactor.WebSocket()
        websocket._send = len  # type: ignore[method-assign]
        websocket.send("hello")
        assert client.trace is written
    assert [call.args[0][:6] for call in written.call_args_list] == ["++Sent", "++Sent"]
    assert client.trace is core.trace is trace.trace


def test_a_send_and_a_recv_of_a_program_get_two_parameters() -> None:
    websocket = reactor.WebSocket()
    websocket.sock = mock.Mock()
    websocket.connected = True
    sent = []

    def send(sock: object, data: object) -> int:
        sent.append((sock, bytes(data)))  # type: ignore[call-overload]
        return len(data)  # type: ignore[arg-type]

    with (
        mock.patch.object(core, "send", send),
        mock.patch.object(core, "recv", lambda sock, size: b"\x81\x02hi"[:size]),
    ):
        assert websocket.send("hello") == len(sent[0][1])
        assert websocket._recv(4) == b"\x81\x02hi"
    assert sent[0][0] is websocket.sock
    assert client_socket.send is blocking.send
    assert client_socket.recv is blocking.recv


def test_time_in_the_app_is_that_of_a_test() -> None:
    with mock.patch.object(private_module("_app"), "time") as clock:
        assert app_run.time is clock
    assert app_run.time is not clock


def test_state_is_read_from_where_it_changes(request: pytest.FixtureRequest) -> None:
    socket_module, app_module = private_module("_socket"), private_module("_app")
    request.addfinalizer(lambda: reactor.setdefaulttimeout(None))
    request.addfinalizer(lambda: reactor.set_reconnect(0))
    reactor.setdefaulttimeout(7)
    reactor.set_reconnect(3)
    assert (socket_module._default_timeout, app_module.RECONNECT) == (7, 3)
    with mock.patch.object(app_module, "RECONNECT", 5):
        assert defaults.get_reconnect() == 5
    assert defaults.get_reconnect() == 3
    socket_module._default_timeout = 2
    assert reactor.getdefaulttimeout() == 2
    assert {"RECONNECT", "WebSocketApp"} <= set(dir(app_module))


def test_the_level_of_the_logger_is_set_as_programs_do() -> None:
    """``websocket._logging._logger.level = -99`` is a popular recipe."""
    logger = logging_module._logger
    assert logger is logging.getLogger("websocket")
    before = logger.level
    try:
        reactor._logging._logger.level = -99
        assert logging.getLogger("websocket").level == -99
    finally:
        logger.level = before


def test_a_logger_of_a_test_hears_the_message_itself() -> None:
    with mock.patch.object(logging_module, "_logger") as logger:
        reactor.error("100 %s")
    logger.error.assert_called_once_with("100 %s")
    assert trace._logger is logging.getLogger("websocket")


def test_the_state_of_the_trace_is_shown_and_reloading_begins_anew(
    request: pytest.FixtureRequest,
) -> None:
    from importlib import reload

    handler = logging.NullHandler()
    logger = logging.getLogger("websocket")
    level = logger.level
    request.addfinalizer(lambda: (logger.setLevel(level), logger.removeHandler(handler)))
    reactor.enableTrace(True, handler)
    assert (logging_module._traceEnabled, logging_module._trace_handler) == (True, handler)
    reload(logging_module)
    assert (logging_module._traceEnabled, logging_module._trace_handler) == (False, None)
    assert not reactor.isEnabledForTrace()


def test_other_names_of_such_a_module_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, home = types.ModuleType("shown"), types.ModuleType("home")
    monkeypatch.setitem(__import__("sys").modules, "shown", shown)
    home.there = home.state = shown.there = 1  # type: ignore[attr-defined]
    home.same_name, shown.same_name = "ours", "theirs"  # type: ignore[attr-defined]
    follow("shown", home, state={"state": home})
    shown.there, shown.another, shown.__doc__ = 2, 3, "text"  # type: ignore[attr-defined]
    shown.same_name = "a program's"  # type: ignore[attr-defined]
    assert (home.there, hasattr(home, "another"), home.__doc__) == (2, False, None)
    assert home.same_name == "ours"
    del shown.another
    with pytest.raises(AttributeError, match="another"):
        shown.another  # noqa: B018
    del shown.state
    with pytest.raises(AttributeError, match="state"):
        shown.state  # noqa: B018


def test_no_lock_gives_nothing(library: Any) -> None:
    with library._utils.NoLock() as given:
        assert given is None
