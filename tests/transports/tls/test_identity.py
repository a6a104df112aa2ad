"""Which options for TLS lead to the same context."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from reactor.transports.tls.identity import KEYLOG_VARIABLE, identity_of


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    a, b = identity_of(first, {}), identity_of(second, {})
    assert (hash(a) == hash(b)) or a != b
    return a == b


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"ciphers": "A", "cert_reqs": 2}, {"cert_reqs": 2, "ciphers": "A"}),
        ({"cert_chain": ["c", "k", "p"]}, {"cert_chain": ("c", "k", "p")}),
        ({"ca_cert_data": bytearray(b"x")}, {"ca_cert_data": b"x"}),
        ({"password": "secret"}, {"password": b"secret"}),
        ({"password": bytearray(b"secret")}, {"password": b"secret"}),
        ({"cert_chain": ("c", "k", "p")}, {"cert_chain": ("c", "k", b"p")}),
    ],
)
def test_options_that_mean_the_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert same(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"ciphers": None}),
        ({"ciphers": "A"}, {"ciphers": b"A"}),
        ({"cert_reqs": True}, {"cert_reqs": 1}),
        ({"password": "secret"}, {"password": "Secret"}),
        ({"cert_chain": ("c", "k", "p")}, {"cert_chain": ("c", "k")}),
        ({"cert_chain": "ck"}, {"cert_chain": ("c", "k")}),
    ],
)
def test_options_that_do_not(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert not same(first, second)


def test_what_cannot_be_hashed_is_the_same_object_or_another() -> None:
    value: dict[str, str] = {}
    assert same({"context": value}, {"context": value})
    assert not same({"context": value}, {"context": {}})
    assert identity_of({"context": value}, {}) != identity_of({"context": 5}, {})


def test_a_password_is_not_in_it_and_a_function_that_returns_it_is_not_called() -> None:
    assert "secret" not in repr(identity_of({"password": "secret"}, {}))
    assert same({"password": pytest.fail}, {"password": pytest.fail})


def test_variables_of_the_environment_count() -> None:
    assert identity_of({}, {"SSL_CERT_FILE": "a"}) != identity_of({}, {"SSL_CERT_FILE": "b"})


@pytest.mark.parametrize("key", ["ca_certs", "ca_cert_path", "certfile", "keyfile", "cert_chain"])
def test_a_file_that_was_replaced_counts(tmp_path: Path, key: str) -> None:
    file = tmp_path / "file.pem"
    options: dict[str, Any] = {key: (str(file), None) if key == "cert_chain" else str(file)}
    missing = identity_of(options, {})
    file.write_text("old")
    old = identity_of(options, {})
    assert old == identity_of(options, {})
    os.utime(file, ns=(1, 1))
    renewed = identity_of(options, {})
    assert len({missing, old, renewed}) == 3


def test_the_key_log_grows_and_is_the_same_all_the_same(tmp_path: Path) -> None:
    file, variables = tmp_path / "keys", {KEYLOG_VARIABLE: str(tmp_path / "keys")}
    before = identity_of({}, variables)
    file.write_text("CLIENT_RANDOM ...")
    assert identity_of({}, variables) == before
