"""The header of permessage-deflate: RFC 7692 section 7.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.protocols.http.extensions import NAME, build_element, parse_element

BITS = st.integers(8, 15)


@given(st.booleans(), st.booleans(), st.none() | BITS, st.none() | BITS | st.just(True))
def test_what_is_built_is_parsed_again(
    server: bool, client: bool, server_bits: int | None, client_bits: int | bool | None
) -> None:
    parsed = parse_element(build_element(server, client, server_bits, client_bits))
    assert parsed is not None
    assert parsed.get("server_no_context_takeover", False) is server
    assert parsed.get("client_no_context_takeover", False) is client
    assert parsed.get("server_max_window_bits") == server_bits
    assert parsed.get("client_max_window_bits") == client_bits


def test_nothing_but_the_name() -> None:
    assert build_element(False, False, None, None) == NAME
    assert parse_element(NAME) == {}


def test_names_are_compared_without_regard_to_case_and_spaces() -> None:
    assert parse_element("Permessage-Deflate ; client_max_window_bits = 10") == {
        "client_max_window_bits": 10
    }


def test_a_value_may_be_quoted() -> None:
    assert parse_element(f'{NAME}; server_max_window_bits="1\\0"') == {"server_max_window_bits": 10}


def test_another_extension() -> None:
    assert parse_element("x-webkit-deflate-frame; no_context_takeover") is None


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("client_max_window_bits; client_max_window_bits", "comes twice"),
        ("server_no_context_takeover=1", "has the value"),
        ("server_max_window_bits=7", "not 8 to 15"),
        ("server_max_window_bits=16", "not 8 to 15"),
        ("server_max_window_bits=08", "not 8 to 15"),
        ("client_max_window_bits=", "not 8 to 15"),
        ("mystery", "unknown parameter"),
    ],
)
def test_what_must_be_declined(parameters: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_element(f"{NAME}; {parameters}")
