"""WebSocketProtocol: handlers that do nothing by default, verbs that go to the connection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from reactor import WebSocketProtocol
from reactor.exceptions import WebSocketStateException
from reactor.protocols.session import State

#: How each verb is called, and how its connection must see that.
VERBS: list[tuple[str, tuple[Any, ...], tuple[Any, ...]]] = [
    ("send", ("text",), ("text", None)),
    ("send", (b"binary", True), (b"binary", True)),
    ("send_fragment", ("first",), ("first", False, None)),
    ("send_fragment", (b"last", True, False), (b"last", True, False)),
    ("send_fragments", (["first", "last"],), (["first", "last"], None)),
    ("send_fragments", ([b"only"], False), ([b"only"], False)),
    ("send_frame", (1, b"last"), (1, b"last", True)),
    ("send_frame", (1, b"first", False), (1, b"first", False)),
    ("ping", (), (b"",)),
    ("ping", (b"payload",), (b"payload",)),
    ("pong", (), (b"",)),
    ("pong", (b"payload",), (b"payload",)),
    ("close", (), (1000, "", None)),
    ("close", (3000, "why"), (3000, "why", None)),
    ("close", (3000, "why", 2.5), (3000, "why", 2.5)),
    ("abort", (), ()),
    ("pause_reading", (), ()),
    ("resume_reading", (), ()),
]

ANSWERING = {"send", "send_frame", "ping", "pong"}

PROPERTIES = [
    "url",
    "state",
    "subprotocol",
    "compression",
    "request",
    "response",
    "buffered_amount",
    "latency",
    "sock",
]


class FakeConnection:
    """Answers each property with an object of its own, and records each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        for name in PROPERTIES:
            setattr(self, name, object())
        self.sender = self.reader = self

    def __getattr__(self, name: str) -> Any:
        def record(*args: Any) -> int:
            self.calls.append((name, *args))
            return 42

        return record


@pytest.fixture
def connection() -> FakeConnection:
    return FakeConnection()


@pytest.fixture
def protocol(connection) -> WebSocketProtocol:
    protocol = WebSocketProtocol()
    protocol._reactor_connection = connection
    return protocol


class TestHandlers:
    @pytest.mark.parametrize(
        ("name", "args"),
        [
            ("on_open", ()),
            ("on_reconnect", ()),
            ("on_message", ("text",)),
            ("on_message", (b"binary",)),
            ("on_data", ("text", 1, False)),
            ("on_ping", (b"",)),
            ("on_pong", (b"",)),
            ("on_writable", ()),
            ("on_error", (ValueError(),)),
            ("on_close", (1006, "")),
        ],
    )
    def test_do_nothing_by_default(self, protocol, connection, name, args):
        assert getattr(protocol, name)(*args) is None
        assert connection.calls == []

    def test_a_reconnect_is_an_open_by_default(self):
        class Subscriber(WebSocketProtocol):
            opened = 0

            def on_open(self) -> None:
                self.opened += 1

        subscriber = Subscriber()
        subscriber.on_open()
        subscriber.on_reconnect()
        assert subscriber.opened == 2


class TestVerbs:
    @pytest.mark.parametrize(("name", "args", "seen"), VERBS)
    def test_go_to_the_connection(self, protocol, connection, name, args, seen):
        answer = getattr(protocol, name)(*args)
        assert connection.calls == [(name, *seen)]
        assert answer == (42 if name in ANSWERING else None)

    @pytest.mark.parametrize("name", PROPERTIES)
    def test_properties_are_those_of_the_connection(self, protocol, connection, name):
        assert getattr(protocol, name) is getattr(connection, name)

    @pytest.mark.parametrize("name", PROPERTIES)
    def test_properties_cannot_be_set(self, protocol, name):
        with pytest.raises(AttributeError):
            setattr(protocol, name, None)


class TestWithoutAConnection:
    """Before the object was given to Reactor.connect() or came from Reactor.listen()."""

    @pytest.mark.parametrize(("name", "args", "_seen"), VERBS)
    def test_verbs_say_that_there_is_none(self, name, args, _seen):
        with pytest.raises(WebSocketStateException, match="connection"):
            getattr(WebSocketProtocol(), name)(*args)

    @pytest.mark.parametrize("name", [name for name in PROPERTIES if name != "state"])
    def test_properties_say_that_there_is_none(self, name):
        with pytest.raises(WebSocketStateException, match="connection"):
            getattr(WebSocketProtocol(), name)

    def test_the_state_is_closed(self):
        assert WebSocketProtocol().state is State.CLOSED

    def test_a_subclass_need_not_call_the_constructor_of_its_base(self):
        class Own(WebSocketProtocol):
            def __init__(self, symbol: str) -> None:
                self.symbol = symbol

        assert Own("EURUSD").state is State.CLOSED

    def test_a_connection_belongs_to_one_object(self, connection):
        first, second = WebSocketProtocol(), WebSocketProtocol()
        first._reactor_connection = connection
        assert first.state is connection.state
        assert second.state is State.CLOSED


def test_what_goes_to_the_connection_besides_the_verbs() -> None:
    protocol, connection = WebSocketProtocol(), FakeConnection()
    protocol._reactor_connection = connection  # type: ignore[assignment]
    protocol.reconnect(1.5, "why")
    protocol.run_in_thread(len, "abc", then=print)
    assert connection.calls == [
        ("reconnect", protocol, 1.5, "why"),
        ("run_in_thread", protocol, len, ("abc",), print),
    ]


def test_the_loop_of_a_protocol_object_is_the_reactor_that_has_the_event_loop() -> None:
    protocol, connection = WebSocketProtocol(), FakeConnection()
    protocol._reactor_connection = connection  # type: ignore[assignment]
    owner = object()
    connection.loop = SimpleNamespace(owner=owner)
    connection.ending = connection.last_activity = None
    assert protocol.loop is owner
    assert protocol.ending is None
    assert protocol.last_activity is None  # type: ignore[comparison-overlap]


def test_a_retry_goes_on_as_planned_by_default() -> None:
    assert WebSocketProtocol().on_retry(1, 2.0, None) is None
