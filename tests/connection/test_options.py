"""Options: their defaults, what they are turned into, and that a wrong one is named."""

from __future__ import annotations

import dataclasses
import re
import ssl
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from reactor import Backoff, Reactor, WebSocketProtocol
from reactor.client.options import ClientOptions
from reactor.connection.options import ConnectionOptions
from reactor.server.options import ServerOptions

ROLES = [ClientOptions, ServerOptions]

#: For each option, values that it cannot have.
WRONG: dict[str, list[Any]] = {
    "ping_interval": [-1, -0.001, nan, inf, "20", b"20"],
    "ping_timeout": [0, -1, nan, inf, "20"],
    "ping_payload": ["x" * 126, b"x" * 126, "é" * 63, 7],
    "close_timeout": [0, -1, nan, inf, None, "5"],
    "max_message_size": [0, -1, None, "big"],
    "max_fragments": [0, -1, None, "many", 1.5, 1 << 64],
    "fragment_size": [0, 10],  # the latter needs fragments=True
    "max_head_size": [0, -1, None, "big"],
    "max_header_count": [0, -1, None, "many"],
    "write_limit": [0, -1, nan, None, "big"],
    "high_water": [-1, None, "high"],
    "low_water": [-1, 65537, None, "low"],
    "on_overflow": ["Pause", None, True, ["pause"]],
    "sslkeylogfile": [5, True, ["keys"]],
}
WRONG_FOR_CLIENTS: dict[str, list[Any]] = {
    "connect_timeout": [0, -1, nan, inf, "10"],
    "redirect_limit": [-1, None, "3"],
    "reconnect": [-1, -0.5, nan, inf, "5", [1]],
    "subprotocols": ["chat"],
    "proxy": ["gopher://proxy:80", "ftp://proxy:21", 7],
    "no_proxy": ["localhost"],
    "proxy_timeout": [0, -1, nan, inf, "10"],
}
WRONG_FOR_SERVERS: dict[str, list[Any]] = {
    "handshake_timeout": [0, -1, nan, inf, None, "10"],
    "max_connections": [0, -1, "many"],
    "backlog": [-1, None, "long"],
    "subprotocols": ["chat"],
}


def pairs(*tables: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(name, value, id=f"{name}={value!r}"[:40])
        for table in tables
        for name, values in table.items()
        for value in values
    ]


def names_it(kind: type[Any], name: str, value: object) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"(^|\W){re.escape(name)}\b") as caught:
        kind(**{name: value})
    number = isinstance(value, (int, float))
    if number and type(caught.value) is not ValueError:
        # Any number is of the wrong type there.
        assert name in ("ping_payload", "proxy", "sslkeylogfile", "on_overflow")


@pytest.mark.parametrize("kind", ROLES)
@pytest.mark.parametrize(("name", "value"), pairs(WRONG))
def test_a_wrong_value_is_named(kind: type[ConnectionOptions], name: str, value: object) -> None:
    names_it(kind, name, value)


@pytest.mark.parametrize(("name", "value"), pairs(WRONG_FOR_CLIENTS))
def test_a_wrong_value_of_a_client_is_named(name: str, value: object) -> None:
    names_it(ClientOptions, name, value)


@pytest.mark.parametrize(("name", "value"), pairs(WRONG_FOR_SERVERS))
def test_a_wrong_value_of_a_server_is_named(name: str, value: object) -> None:
    names_it(ServerOptions, name, value)


def test_the_low_mark_must_not_be_above_the_high_one() -> None:
    with pytest.raises(ValueError, match="low_water must be between 0 and high_water=100, not 101"):
        ClientOptions(high_water=100, low_water=101)


@pytest.mark.parametrize("kind", ROLES)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ping_interval", None),
        ("ping_interval", 0),
        ("ping_interval", 0.001),
        ("ping_timeout", None),
        ("ping_timeout", 0.001),
        ("ping_payload", "x" * 125),
        ("ping_payload", b"x" * 125),
        ("close_timeout", 0.001),
        ("max_message_size", 1),
        ("max_fragments", 1),
        ("write_limit", 1),
        ("low_water", 0),
        ("low_water", 65536),
        ("high_water", 16384),
    ],
)
def test_the_edges_of_what_is_allowed(
    kind: type[ConnectionOptions], name: str, value: object
) -> None:
    assert getattr(kind(**{name: value}), name) == value  # type: ignore[arg-type]


def test_the_edges_of_what_is_allowed_for_clients() -> None:
    options = ClientOptions(connect_timeout=None, redirect_limit=0, reconnect=0, subprotocols=[])
    assert options.connect_timeout is None
    assert ClientOptions(connect_timeout=0.001).connect_timeout == 0.001


def test_the_edges_of_what_is_allowed_for_servers() -> None:
    options = ServerOptions(handshake_timeout=0.001, max_connections=1, subprotocols=["chat"])
    assert (options.handshake_timeout, options.max_connections) == (0.001, 1)
    assert ServerOptions(max_connections=None).max_connections is None


@pytest.mark.parametrize("kind", ROLES)
def test_an_unknown_name_is_named(kind: type[ConnectionOptions]) -> None:
    with pytest.raises(TypeError, match="ping_intervall"):
        kind(ping_intervall=20)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("kind", "other"), [(ClientOptions, "handshake_timeout"), (ServerOptions, "reconnect")]
)
def test_the_options_of_the_other_role_are_unknown(kind: type[Any], other: str) -> None:
    with pytest.raises(TypeError, match=other):
        kind(**{other: 1})


@pytest.mark.parametrize("kind", ROLES)
def test_options_are_given_by_name_only(kind: type[Any]) -> None:
    with pytest.raises(TypeError):
        kind(20)


@pytest.mark.parametrize("kind", ROLES)
def test_options_do_not_change(kind: type[Any]) -> None:
    options = kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.close_timeout = 1


def test_secrets_stay_out_of_the_log() -> None:
    for given in (
        {"sslopt": {"password": "sesame"}},
        {"header": {"Authorization": "sesame"}},
        {"cookie": "session=sesame"},
        {"subprotocols": ["bearer", "sesame"]},
        {"connection": "Connection: sesame"},
        {"proxy": "http://user:sesame@proxy.example"},
    ):
        assert "sesame" not in repr(ClientOptions(**given))  # type: ignore[arg-type]
    assert "sesame" not in repr(ServerOptions(response_headers={"Set-Cookie": "sesame"}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert "SSLContext" not in repr(ServerOptions(ssl=context))


class TestKeepAlive:
    def test_the_default_pings_who_is_idle(self) -> None:
        policy = ClientOptions().keep_alive
        assert policy is not None
        assert (policy.interval, policy.timeout) == (20, 20)
        assert (policy.payload, policy.when_idle) == (b"", True)

    @pytest.mark.parametrize("interval", [None, 0, 0.0])
    def test_none(self, interval: float | None) -> None:
        assert ClientOptions(ping_interval=interval).keep_alive is None

    def test_all_of_it(self) -> None:
        policy = ServerOptions(
            ping_interval=5, ping_timeout=None, ping_payload="é", ping_when_idle=False
        ).keep_alive
        assert policy is not None
        assert (policy.interval, policy.timeout) == (5, None)
        assert (policy.payload, policy.when_idle) == ("é".encode(), False)

    def test_a_payload_of_bytes_stays_what_it_is(self) -> None:
        policy = ClientOptions(ping_payload=b"\xff").keep_alive
        assert policy is not None
        assert policy.payload == b"\xff"

    def test_it_is_made_once(self) -> None:
        options = ClientOptions()
        assert options.keep_alive is options.keep_alive


def test_a_path_may_be_any_kind_of_path() -> None:
    for path in ("keys", Path("keys")):
        assert ClientOptions(sslkeylogfile=path).sslkeylogfile == path


class TestWaterMarks:
    def test_they_are_as_given(self) -> None:
        assert ClientOptions().water_marks == (65536, 16384)
        assert ClientOptions(high_water=10, low_water=5, write_limit=12).water_marks == (10, 5)

    def test_who_is_paused_at_the_high_mark_has_room_for_another_answer(self) -> None:
        paced = ClientOptions(on_overflow="pause", write_limit=100)
        assert paced.water_marks == (50, 50)
        assert ClientOptions(on_overflow="pause").water_marks == (65536, 16384)


class TestLimits:
    def test_of_messages(self) -> None:
        limits = ClientOptions(max_message_size=10, max_fragments=2).message_limits
        assert (limits.max_message_size, limits.max_fragments) == (10, 2)

    def test_of_heads(self) -> None:
        limits = ServerOptions(max_head_size=1000, max_header_count=3).head_limits
        assert (limits.max_head_size, limits.max_header_count) == (1000, 3)

    @pytest.mark.parametrize("kind", ROLES)
    def test_everything_has_one_by_default(self, kind: type[ConnectionOptions]) -> None:
        options = kind()
        assert 0 < options.message_limits.max_message_size < inf
        assert 0 < options.message_limits.max_fragments < inf
        assert 0 < options.head_limits.max_head_size < inf
        assert 0 < options.head_limits.max_header_count < inf
        assert 0 < options.write_limit < inf
        assert options.high_water <= options.write_limit


class TestReconnect:
    @pytest.mark.parametrize("reconnect", [None, 0, 0.0])
    def test_never(self, reconnect: float | None) -> None:
        assert ClientOptions(reconnect=reconnect).backoff is None

    def test_a_policy(self) -> None:
        policy = Backoff()
        assert ClientOptions(reconnect=policy).backoff is policy

    def test_a_fixed_number_of_seconds(self) -> None:
        policy = ClientOptions(reconnect=2.5).backoff
        assert policy is not None
        assert [policy.delay(attempt) for attempt in range(5)] == [2.5] * 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        *(
            ({name: value}, f"(?i)\\b{name}\\b")
            for name in ("origin", "host", "cookie", "connection")
            for value in ("a\r\nEvil: 1", 5, b"bytes")
        ),
        ({"subprotocols": ["a b"]}, "Sec-WebSocket-Protocol: 'a b'"),
        ({"subprotocols": ["a", "a"]}, "Sec-WebSocket-Protocol: 'a' is offered twice"),
        ({"subprotocols": [5]}, "subprotocols must be a list of str, not of 5"),
        ({"mask_key": 5}, "mask_key must be a function, not int"),
        ({"sock": ..., "reconnect": 1.0}, "reconnect cannot be given with sock"),
    ],
    ids=str,
)
def test_a_wrong_option_is_an_error_of_the_call(
    loop: Reactor, options: dict[str, Any], words: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        loop.connect("ws://127.0.0.1:1/", WebSocketProtocol(), **options)
    assert loop.connections == set()
    assert loop.next_timeout() is None
