"""Which side has ended a connection, or an attempt."""

from __future__ import annotations

import pytest

from reactor.exceptions import (
    WebSocketHandshakeException,
    WebSocketProtocolException,
    WebSocketQueueFullException,
    WebSocketTimeoutException,
)
from reactor.protocols.ending import find_initiator


@pytest.mark.parametrize("error", [None, WebSocketTimeoutException("idle")])
@pytest.mark.parametrize("close_received", [False, True])
def test_we_if_we_wanted_it_whatever_came(error: Exception | None, close_received: bool) -> None:
    assert find_initiator(error, True, True, close_received) == "us"


@pytest.mark.parametrize(
    "error", [WebSocketProtocolException("bad"), WebSocketQueueFullException("full")]
)
def test_we_if_we_complain(error: Exception) -> None:
    assert find_initiator(error, False, True, False) == "us"


def test_the_peer_if_its_close_frame_came_first() -> None:
    assert find_initiator(None, False, True, True) == "peer"


def test_the_peer_if_it_refused_the_handshake() -> None:
    error = WebSocketHandshakeException("Handshake status 403")
    assert find_initiator(error, False, False, False) == "peer"


def test_we_if_a_function_of_the_user_raised_before_it_was_open() -> None:
    assert find_initiator(ZeroDivisionError(), False, False, False) == "us"


@pytest.mark.parametrize("opened", [False, True])
def test_the_network_otherwise(opened: bool) -> None:
    error = WebSocketTimeoutException("timed out")
    assert find_initiator(error, False, opened, False) == "network"
    assert find_initiator(None, False, opened, False) == "network"
