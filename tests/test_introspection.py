"""What looks at objects from outside gets an answer: help(), inspect, unittest.mock, hasattr.

All of them take an AttributeError for "there is none", and let everything else through.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pydoc
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

import reactor
from reactor import (
    ABNF,
    Accept,
    Backoff,
    Deflate,
    HTTPResponse,
    Reactor,
    WebSocket,
    WebSocketApp,
    WebSocketProtocol,
    WebSocketStateException,
)
from reactor.client.options import ClientOptions, HandshakeWatch
from reactor.connection.options import ConnectionOptions
from reactor.server.options import ServerOptions

from .support.driving import run_until
from .support.modules import MODULES
from .support.recorder import Recorder

CLASSES = {name: value for name, value in vars(reactor).items() if inspect.isclass(value)}


def look_at(thing: Any) -> None:
    """Do what tools do that know nothing about *thing*."""
    for name in dir(thing):
        hasattr(thing, name)
    inspect.getmembers(thing)
    mock.create_autospec(thing)
    assert pydoc.render_doc(thing, renderer=pydoc.plaintext)
    assert repr(thing)


def modules() -> Iterator[ModuleType]:
    yield reactor
    yield from map(importlib.import_module, MODULES)


def test_help_of_the_package_shows_its_classes() -> None:
    text = pydoc.render_doc(reactor, renderer=pydoc.plaintext)
    assert "class WebSocketProtocol" in text
    assert "The connection is open: messages can be sent." in text


def test_help_of_every_module() -> None:
    for module in modules():
        assert pydoc.render_doc(module, renderer=pydoc.plaintext), module


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_can_be_looked_at(name: str) -> None:
    look_at(CLASSES[name])


@pytest.mark.parametrize(
    "thing",
    [
        WebSocketProtocol(),
        WebSocketApp("ws://example/"),
        WebSocket(),
        ConnectionOptions(),
        ClientOptions(),
        ServerOptions(),
        HandshakeWatch(),
        Accept(),
        HTTPResponse(200),
        Backoff(),
        Deflate(),
        ABNF(),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_objects_without_a_connection_can_be_looked_at(thing: Any) -> None:
    look_at(thing)


def test_without_a_connection_a_protocol_object_has_no_url() -> None:
    protocol = WebSocketProtocol()
    assert not hasattr(protocol, "url")
    assert getattr(protocol, "sock", None) is None
    with pytest.raises(WebSocketStateException, match="no url without a connection") as caught:
        _ = protocol.url
    assert isinstance(caught.value, AttributeError)


def test_objects_can_be_looked_at_in_every_phase_of_their_lives(unix_path: str) -> None:
    loop = Reactor()
    listeners = [
        loop.listen("127.0.0.1", 0, WebSocketProtocol),
        loop.listen(unix_path=unix_path, protocol=WebSocketProtocol),
    ]
    protocol = loop.connect(f"ws://127.0.0.1:{listeners[0].port}/", Recorder)
    app = WebSocketApp(f"ws://127.0.0.1:{listeners[0].port}/")
    app.run_forever(dispatcher=loop)
    things = [loop, *listeners, protocol, app]
    for thing in (*things, app.sock):
        look_at(thing)
    run_until(loop, lambda: len(listeners[0].protocols) == 2 and protocol.events)
    things += listeners[0].protocols
    for thing in (*things, app.sock):
        look_at(thing)
    loop.close()
    for thing in things:
        look_at(thing)


def test_a_listener_that_is_closed_knows_where_it_listened() -> None:
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, WebSocketProtocol)
        address, port = listener.address, listener.port
        listener.close()
        assert (listener.address, listener.port) == (address, port)


def test_a_unix_socket_has_no_port(unix_path: str) -> None:
    with Reactor() as loop:
        listener = loop.listen(unix_path=unix_path, protocol=WebSocketProtocol)
        assert not hasattr(listener, "port")
        with pytest.raises(ValueError, match="has no port"):
            _ = listener.port
