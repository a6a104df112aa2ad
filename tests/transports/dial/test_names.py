from __future__ import annotations

from typing import Any

import pytest

from reactor.transports.dial.names import (
    canonical_host,
    server_hostname,
    to_ascii,
    without_final_dot,
)


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.com.", "example.com."),
        ("under_score", "under_score"),
        ("r3---sn-x.example", "r3---sn-x.example"),
        ("-x-.example", "-x-.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("xn--not-punycode-", "xn--not-punycode-"),
        # What follows is as in Chromium and Firefox, and where IDNA 2003 gave another name.
        ("b\xfccher.example", "xn--bcher-kva.example"),
        ("B\xdcCHER.EXAMPLE.", "xn--bcher-kva.example."),
        ("stra\xdfe.example", "xn--strae-oqa.example"),
        ("\u03b2\u03cc\u03bb\u03bf\u03c2.com", "xn--nxasmm1c.com"),
        ("\u0dc1\u0dca\u200d\u0dbb\u0dd3.com", "xn--10cl1a0b660p.com"),
        ("\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.com", "xn--mgba3gch31f060k.com"),
        ("\u65e5\u672c\u8a9e\u3002jp", "xn--wgv71a119e.jp"),
        ("\uff45xample\uff0ecom", "example.com"),
        ("under_score.\xfc", "under_score.xn--tda"),
        ("xn--bcher-kva.\xfc", "xn--bcher-kva.xn--tda"),
        ("u\u0308.example", "xn--tda.example"),
        ("\xe4" * 10 + "." + "a" * 63, "xn--" + "4caaaaaaaaaa" + "." + "a" * 63),
    ],
)
def test_names_in_ascii(name: str, encoded: str) -> None:
    assert to_ascii(name) == encoded
    assert to_ascii(encoded) == encoded


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "a part of it is empty"),
        (".", "a part of it is empty"),
        ("a..b", "a part of it is empty"),
        (".a", "a part of it is empty"),
        ("a..", "a part of it is empty"),
        ("\xad.example", "a part of it is empty"),
        ("a" * 64, "a part of it is longer than 63 characters"),
        ("\xe4" * 64, "too long"),
        ("a." * 126 + "bc", "it is longer than 253 characters"),
        ("a\u200db.example", "U\\+200D"),
        ("\u0301a.example", "combining"),
        ("\u05d0a\u05d1.example", "right-to-left"),
        ("\u2615.example", "U\\+2615"),
        ("ab--\xfc.example", "hyphens"),
        ("\ud800.example", "U\\+D800"),
    ],
)
def test_what_is_no_name(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"(?i){reason}") as caught:
        to_ascii(name)
    assert type(caught.value) is ValueError


def test_253_characters_are_a_name_and_the_final_dot_does_not_count() -> None:
    name = "a." * 126 + "b"
    assert to_ascii(name) == name
    assert to_ascii(f"{name}.") == f"{name}."


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1.", "192.0.2.1"),
        ("127.1", "127.0.0.1"),
        ("0x7F.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
    ],
)
def test_an_address_in_any_notation(host: str, address: str) -> None:
    assert canonical_host(host) == address


@pytest.mark.parametrize(
    "host",
    ["256.0.0.1", "1.2.3.4.5", "1.2.3.x", "0x.1.2.3", "1..2", "09.1.1.1", "web.1", "1.2.3.4 x"],
)
def test_what_only_looks_like_an_address_is_a_name_or_an_error(host: str) -> None:
    try:
        assert canonical_host(host) == host
    except ValueError:
        assert ".." in host


@pytest.mark.parametrize(
    ("name", "without"), [("a.example.", "a.example"), ("a.example", "a.example"), ("", "")]
)
def test_without_the_final_dot(name: str, without: str) -> None:
    assert without_final_dot(name) == without


def test_server_hostname_of_the_options() -> None:
    assert server_hostname({"server_hostname": "b.example"}, "a.example") == "b.example"
    assert server_hostname({"server_hostname": None}, "a.example") == "a.example"
    assert server_hostname({}, "a.example") == "a.example"
    assert server_hostname(None, "a.example") == "a.example"
    assert server_hostname(None, "fe80::1%eth0") == "fe80::1"
    assert server_hostname(None, "a.example.") == "a.example"
    assert server_hostname({"server_hostname": "b.example."}, "a.example") == "b.example"
    assert server_hostname({"server_hostname": "Stra\xdfe.example."}, "a.example") == (
        "xn--strae-oqa.example"
    )


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        ("a\u200db", ValueError, r"sslopt\['server_hostname'\] is invalid: 'a\\u200db': Joiner"),
        (b"a.example", TypeError, r"sslopt\['server_hostname'\] must be a str, not bytes"),
    ],
)
def test_a_server_hostname_that_cannot_be_one(
    name: Any, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        server_hostname({"server_hostname": name}, "a.example")
