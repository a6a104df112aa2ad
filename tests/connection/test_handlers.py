"""What may be given as a protocol object, or as a function that makes them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from reactor import WebSocketProtocol
from reactor.connection.handlers import (
    HANDLERS,
    check_factory,
    check_protocol,
    overrides_on_error,
)

from ..support.recorder import Recorder
from ..support.scene import Scene


class Awaiting(WebSocketProtocol):
    """Has a handler that nobody would await."""

    async def on_message(self, message: str | bytes) -> None:  # type: ignore[override]
        pass


async def later(*_: object) -> None:
    """What cannot be a handler."""


def test_the_handlers_are_those_of_the_protocol() -> None:
    assert {"on_open", "on_message", "on_close", "on_retry"} <= HANDLERS


def test_a_protocol_object_is_fine_and_so_are_handlers_that_are_assigned() -> None:
    recorder = Recorder()
    recorder.on_pong = print  # type: ignore[method-assign, assignment]
    check_protocol(recorder)
    check_protocol(Recorder())  # its class is known


def test_a_class_is_looked_at_once() -> None:
    """It is the same for all of its objects, of which there may be thousands."""

    class Quiet(WebSocketProtocol):
        """Has no handlers yet."""

    check_factory(Quiet)
    Quiet.on_message = later  # type: ignore[assignment, method-assign]
    check_protocol(Quiet())
    with pytest.raises(TypeError, match=r"Loud\.on_message"):
        check_factory(type("Loud", (Quiet,), {}))


def test_what_cannot_be_a_protocol_object(scene: Scene) -> None:
    with pytest.raises(TypeError, match="must be a WebSocketProtocol, not 5"):
        check_protocol(5)
    with pytest.raises(TypeError, match=r"Awaiting\.on_message"):
        check_protocol(Awaiting())
    recorder = Recorder()
    recorder.on_pong = later  # type: ignore[method-assign, assignment]
    with pytest.raises(TypeError, match=r"Recorder\.on_pong"):
        check_protocol(recorder)
    connected = Recorder()
    scene.connect(connected)
    with pytest.raises(ValueError, match="has a connection already"):
        check_protocol(connected)
    connected.abort()


def test_classes_and_functions_make_protocol_objects() -> None:
    check_factory(Recorder)
    check_factory(lambda: Recorder())
    check_factory(partial(Recorder))


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        (Recorder(), r"not the object .* \(did you mean the class, Recorder\?\)"),
        (5, "or a function that returns an object of one, not 5"),
        (Awaiting, r"Awaiting\.on_message"),
        (later, "protocol"),
    ],
)
def test_what_cannot_make_them(factory: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        check_factory(factory)


def test_who_hears_of_errors() -> None:
    class Hearing(WebSocketProtocol):
        def on_error(self, error: Exception) -> None:
            pass

    assigned = WebSocketProtocol()
    assert not overrides_on_error(assigned)
    assigned.on_error = print  # type: ignore[method-assign, assignment]
    assert overrides_on_error(assigned)
    assert overrides_on_error(Hearing())


@pytest.mark.parametrize(
    ("name", "meant"),
    [("on_mesage", "on_message"), ("on_opn", "on_open"), ("on_errror", "on_error")],
)
def test_a_misspelt_handler_is_warned_of(name: str, meant: str) -> None:
    with pytest.warns(UserWarning, match=f"Mine.{name} means .*'{meant}'") as caught:
        type("Mine", (WebSocketProtocol,), {name: lambda self: None})
    assert [each.filename for each in caught] == [__file__]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_connect", "on_open"),
        ("on_connected", "on_open"),
        ("onopen", "on_open"),
        ("onOpen", "on_open"),
        ("connection_made", "on_open"),
        ("connectionMade", "on_open"),
        ("on_ws_connected", "on_open"),
        ("on_disconnect", "on_close"),
        ("onclose", "on_close"),
        ("connection_lost", "on_close"),
        ("onmessage", "on_message"),
        ("onData", "on_message"),
        ("on_receive", "on_message"),
        ("data_received", "on_message"),
        ("on_ws_frame", "on_message"),
        ("on_failure", "on_error"),
        ("onPing", "on_ping"),
        ("on_reconnected", "on_reconnect"),
        ("on_reconnecting", "on_retry"),
        ("resume_writing", "on_writable"),
    ],
)
def test_the_handlers_of_other_libraries_lead_to_ours(name: str, meant: str) -> None:
    with pytest.warns(UserWarning, match=f"Mine.{name} means .*'{meant}'") as caught:
        type("Mine", (WebSocketProtocol,), {name: lambda self: None})
    assert len(caught) == 1


def test_what_is_a_method_of_another_base_is_called_by_that(
    recwarn: pytest.WarningsRecorder,
) -> None:
    names = ("connection_made", "data_received")
    methods = dict.fromkeys(names, print)
    type("Both", (asyncio.Protocol, WebSocketProtocol), methods)
    assert not recwarn.list


def test_other_methods_of_a_protocol_are_the_users_own(recwarn: pytest.WarningsRecorder) -> None:
    names = ("on_trade", "on_event", "on_login", "on_book", "mesage", "_on_message", "on_message")
    mine = type("Mine", (WebSocketProtocol,), dict.fromkeys(names, print))
    type("Inherits", (mine,), {"on_mesage": 5})  # no method
    assert not recwarn.list
