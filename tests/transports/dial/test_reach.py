"""From a host to a connected socket: which answers are asked for, tried, and forgotten.

The resolver and the race have tests of their own: here, scripts stand in their place.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from reactor.exceptions import (
    WebSocketAddressException,
    WebSocketConnectException,
    WebSocketConnectRefusedException,
    WebSocketTimeoutException,
)
from reactor.loop.tasks import run_blocking
from reactor.transports.dial import reach as module
from reactor.transports.dial.reach import peer_name, reach
from reactor.transports.dial.resolver import Address, Answer

OLD = Address(socket.AF_INET, ("192.0.2.1", 80))
NEW = Address(socket.AF_INET, ("192.0.2.2", 80))
REFUSED = WebSocketConnectRefusedException(errno.ECONNREFUSED, "refused")

#: Points in time at which answers were found: long before the call, and after it has begun.
BEFORE, SINCE = 0.0, time.monotonic() + 1e6


class World:
    """What the resolver and the race do.

    Attributes:
        answers: what look-ups return or raise, one after the other.
        outcomes: what dials return or raise.
        dialled: the addresses that were tried, for each dial.
        forgotten: the answers that the resolver was told to forget.
    """

    def __init__(self) -> None:
        self.answers: list[Answer | Exception] = []
        self.outcomes: list[socket.socket | Exception] = []
        self.dialled: list[list[Address]] = []
        self.options: dict[str, Any] = {}
        self.forgotten: list[Answer] = []

    async def look_up(self, host: str, port: int, until: float | None) -> Answer:
        assert (host, port, until) == ("a.example", 80, 5.0)
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def dial(self, addresses: list[Address], **options: Any) -> socket.socket:
        self.dialled.append(addresses)
        self.options = options
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def reach(self, **options: Any) -> tuple[socket.socket, Answer]:
        return run_blocking(reach("a.example", 80, until=5.0, **options))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(module, "look_up", world.look_up)
    monkeypatch.setattr(module, "dial", world.dial)
    monkeypatch.setattr(module, "forget_answer", world.forgotten.append)
    return world


@pytest.fixture
def connected() -> Iterator[socket.socket]:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as sock,
    ):
        yield sock


def answer(found: float, *addresses: Address) -> Answer:
    return Answer(("a.example", 80, 0), found, addresses)


def test_the_answer_that_led_there_comes_with_the_socket(
    world: World, connected: socket.socket
) -> None:
    found = answer(BEFORE, OLD, NEW)
    world.answers, world.outcomes = [found], [connected]
    assert world.reach(sockopt=[(1, 2, 3)], source_address=("127.0.0.1", 0)) == (connected, found)
    assert world.dialled == [[OLD, NEW]]
    assert world.options == {
        "until": 5.0,
        "host_name_for_errors": "a.example",
        "sockopt": [(1, 2, 3)],
        "source_address": ("127.0.0.1", 0),
    }
    assert world.forgotten == []


def test_a_name_that_does_not_resolve_is_an_error(world: World) -> None:
    world.answers = [WebSocketAddressException("no such name")]
    with pytest.raises(WebSocketAddressException):
        world.reach()
    assert world.dialled == []


def test_a_fresh_answer_that_leads_nowhere_is_forgotten(world: World) -> None:
    found = answer(SINCE, OLD)
    world.answers, world.outcomes = [found], [REFUSED]
    with pytest.raises(WebSocketConnectRefusedException):
        world.reach()
    assert world.forgotten == [found]


def test_a_stale_answer_is_asked_for_again_and_new_addresses_are_tried(
    world: World, connected: socket.socket
) -> None:
    stale, fresh = answer(BEFORE, OLD), answer(SINCE, OLD, NEW)
    world.answers, world.outcomes = [stale, fresh], [REFUSED, connected]
    assert world.reach() == (connected, fresh)
    assert world.dialled == [[OLD], [NEW]]
    assert world.forgotten == [stale]


def test_the_same_addresses_are_not_tried_again(world: World) -> None:
    world.answers, world.outcomes = [answer(BEFORE, OLD), answer(SINCE, OLD)], [REFUSED]
    with pytest.raises(WebSocketConnectRefusedException):
        world.reach()
    assert world.dialled == [[OLD]]


def test_a_name_that_has_gone_meanwhile_does_not_hide_the_first_failure(world: World) -> None:
    world.answers = [answer(BEFORE, OLD), WebSocketAddressException("no such name")]
    world.outcomes = [REFUSED]
    with pytest.raises(WebSocketConnectRefusedException) as caught:
        world.reach()
    assert caught.value.__suppress_context__


def test_a_time_out_is_the_end_and_the_answer_is_forgotten(world: World) -> None:
    found = answer(BEFORE, OLD)
    world.answers, world.outcomes = [found], [WebSocketTimeoutException("too late")]
    with pytest.raises(WebSocketTimeoutException):
        world.reach()
    assert world.forgotten == [found]


def test_a_process_without_descriptors_says_nothing_about_the_host(world: World) -> None:
    world.answers = [answer(BEFORE, OLD)]
    world.outcomes = [WebSocketConnectException(errno.EMFILE, "too many open files")]
    with pytest.raises(WebSocketConnectException):
        world.reach()
    assert world.forgotten == []


def test_the_name_of_a_peer(connected: socket.socket) -> None:
    port = connected.getpeername()[1]
    assert peer_name(connected) == f"127.0.0.1:{port}"
    with socket.socket() as sock:
        assert peer_name(sock) == ""
