"""Addresses, as URLs, headers and people write them."""

from __future__ import annotations

from typing import Any

import pytest

from reactor.base.addresses import host_and_port, written


@pytest.mark.parametrize(
    ("host", "text"), [("example.com", "example.com:80"), ("::1", "[::1]:80"), ("::", "[::]:80")]
)
def test_host_and_port(host: str, text: str) -> None:
    assert host_and_port(host, 80) == text


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("127.0.0.1", 9001), "127.0.0.1:9001"),
        (("::1", 9001, 0, 0), "[::1]:9001"),
        ("/run/chat", "/run/chat"),
        (b"\0abstract\x1b", r"\x00abstract\x1b"),
    ],
)
def test_what_a_socket_says(address: Any, text: str) -> None:
    assert written(address) == text
