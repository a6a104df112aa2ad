"""Which proxy a URL is reached through, and the URLs of proxies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor import WebSocketProxyException
from reactor.client.proxy_choice import choose_proxy, no_proxy_of, parse_proxy
from reactor.client.url import parse_url
from reactor.transports.proxy import KINDS, Proxy

A = "http://a:1"
B = "socks5h://b:2"


def chosen(
    url: str,
    environ: dict[str, str] | None = None,
    proxy: Any = True,
    no_proxy: list[str] | None = None,
) -> str | None:
    """Return the proxy for a URL, as text."""
    found = choose_proxy(parse_url(url), proxy, no_proxy, environ or {})
    return None if found is None else str(found)


class TestURL:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("http://proxy:3128", Proxy("http", "proxy", 3128)),
            ("http://proxy", Proxy("http", "proxy", 80)),
            ("https://u:p@proxy", Proxy("https", "proxy", 443, "u", "p")),
            ("https://proxy:3129", Proxy("https", "proxy", 3129)),
            ("socks4://proxy", Proxy("socks4", "proxy", 1080)),
            ("socks4a://proxy", Proxy("socks4a", "proxy", 1080)),
            ("socks5://proxy", Proxy("socks5", "proxy", 1080)),
            ("socks5h://proxy", Proxy("socks5h", "proxy", 1080)),
            ("socks://proxy:9050", Proxy("socks5h", "proxy", 9050)),
            ("proxy:3128", Proxy("http", "proxy", 3128)),
            ("u:p@proxy:3128", Proxy("http", "proxy", 3128, "u", "p")),
            (" HTTP://PROXY:3128/ \n", Proxy("http", "proxy", 3128)),
            ("http://proxy/path?query#fragment", Proxy("http", "proxy", 80)),
            ("http://[2001:DB8::1]:8080", Proxy("http", "2001:db8::1", 8080)),
            ("http://127.0.0.1:8080", Proxy("http", "127.0.0.1", 8080)),
            ("http://user@proxy", Proxy("http", "proxy", 80, "user")),
            ("http://user:@proxy", Proxy("http", "proxy", 80, "user", "")),
            ("http://us%40er:p%3Aw%2F%C3%A9@proxy", Proxy("http", "proxy", 80, "us@er", "p:w/é")),
            ("http://user:p@ss@proxy", Proxy("http", "proxy", 80, "user", "p@ss")),
            ("socks5://u%20:p%25@proxy:1", Proxy("socks5", "proxy", 1, "u ", "p%")),
        ],
    )
    def test_good(self, url: str, expected: Proxy) -> None:
        assert parse_proxy(url) == expected

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("ftp://secret:secret@proxy", "its scheme must be one of http, https, socks4, "),
            ("://proxy", "its scheme must be one of"),
            ("http://", "hostname is invalid"),
            ("", "hostname is invalid"),
            ("http://secret:secret@:80", "hostname is invalid"),
            ("http://secret:secret@pro xy", "hostname is invalid"),
            ("http://secret:secret@proxy:0", "port 0 is invalid"),
            ("http://secret:secret@proxy:65536", "port 65536 is invalid"),
            ("http://secret:secret@proxy:80x", "port 80x is invalid"),
            ("http://secret:sec/ret@proxy", "must be encoded"),
            ("http://secret:sec#ret@proxy", "must be encoded"),
            ("http://sec%3Aret:secret@proxy", "the username for an http proxy holds a colon"),
            ("https://sec%3Aret:secret@proxy", "the username for an https proxy holds a colon"),
            ("socks5://secret@proxy", "needs both username and password"),
            ("socks5h://:secret@proxy", "needs both username and password"),
            ("socks5://s%C3%A9cret:secret@proxy", "the username for socks5 must be ASCII"),
            ("socks5://secret:s%C3%A9cret@proxy", "the password for socks5 must be ASCII"),
            (f"socks5://{'secret' * 43}:p@proxy", "the username for socks5 is longer than 255"),
            (f"socks5h://u:{'secret' * 43}@proxy", "the password for socks5h is longer than 255"),
            ("socks4://sec%00ret@proxy", "the username for socks4 must be ASCII"),
            ("socks4a://s%C3%A9cret@proxy", "the username for socks4a must be ASCII"),
        ],
    )
    def test_bad(self, url: str, reason: str) -> None:
        with pytest.raises(ValueError, match="proxy is invalid: ") as caught:
            parse_proxy(url)
        assert reason in str(caught.value)
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("url", [None, b"http://proxy", 3128])
    def test_not_a_str(self, url: Any) -> None:
        with pytest.raises(TypeError, match="proxy must be a URL, not"):
            parse_proxy(url)

    @given(st.sampled_from(sorted(KINDS)), st.text(min_size=1), st.text(min_size=1))
    def test_credentials_come_back_as_they_were_encoded(
        self, kind: str, username: str, password: str
    ) -> None:
        encoded = ":".join(
            "".join(f"%{octet:02x}" for octet in text.encode("utf-8", "replace"))
            for text in (username, password)
        )
        username, password = (t.encode("utf-8", "replace").decode() for t in (username, password))
        try:
            proxy = parse_proxy(f"{kind}://{encoded}@h")
        except ValueError:
            possible = kind == "http" and ":" not in username
            assert not possible  # the limits of SOCKS: see above
        else:
            assert (proxy.username, proxy.password) == (username, password)


class TestProxy:
    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (("ftp", "h", 1), "'ftp' is not one of http, https, socks4, socks4a, socks5, socks5h"),
            (("http", "", 1), "no host"),
            (("http", "h", 0), "port 0"),
            (("http", "h", 65536), "port 65536"),
            (("http", "h", "80"), "port '80'"),
        ],
    )
    def test_what_cannot_be_is_named(self, arguments: Any, reason: str) -> None:
        with pytest.raises(ValueError, match="proxy is invalid: ") as caught:
            Proxy(*arguments)
        assert reason in str(caught.value)

    def test_as_text_it_shows_no_secret(self) -> None:
        proxy = Proxy("socks5", "::1", 1080, "user", "secret")
        assert str(proxy) == "socks5://[::1]:1080"
        assert "secret" not in repr(proxy)


class TestEnvironment:
    def test_nothing_set_means_no_proxy(self) -> None:
        assert chosen("ws://h") is None
        assert chosen("wss://h", {"no_proxy": "x", "PATH": "/bin"}) is None

    @pytest.mark.parametrize(
        ("variable", "ws", "wss"),
        [
            ("http_proxy", True, False),
            ("HTTP_PROXY", True, False),
            ("https_proxy", False, True),
            ("HTTPS_PROXY", False, True),
            ("all_proxy", True, True),
            ("ALL_PROXY", True, True),
            ("ftp_proxy", False, False),
        ],
    )
    def test_each_variable_is_for_its_scheme(self, variable: str, ws: bool, wss: bool) -> None:
        environ = {variable: A}
        assert chosen("ws://h", environ) == (A if ws else None)
        assert chosen("wss://h", environ) == (A if wss else None)

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("http_proxy", "HTTP_PROXY"),
            ("HTTP_PROXY", "all_proxy"),
            ("all_proxy", "ALL_PROXY"),
        ],
    )
    def test_the_first_that_is_set_counts(self, first: str, second: str) -> None:
        assert chosen("ws://h", {second: B, first: A}) == A
        assert chosen("ws://h", {second: B, first: " "}) == B

    def test_socks_is_understood(self) -> None:
        assert chosen("wss://h", {"https_proxy": "socks5://u:p@s:9"}) == "socks5://s:9"
        assert chosen("wss://h", {"all_proxy": "socks://s:9"}) == "socks5h://s:9"

    def test_credentials_are_taken(self) -> None:
        url = parse_url("ws://h")
        environ = {"http_proxy": "http://us%3Ber:p%40ss@a:1"}
        assert choose_proxy(url, True, None, environ) == Proxy("http", "a", 1, "us;er", "p@ss")

    @pytest.mark.parametrize("value", ["http://p:x", "ftp://p"])
    def test_what_is_no_proxy_names_the_variable(self, value: str) -> None:
        with pytest.raises(WebSocketProxyException, match="variable HTTPS_PROXY: proxy is") as e:
            chosen("wss://h", {"HTTPS_PROXY": value})
        assert "secret" not in str(e.value)
        assert chosen("ws://h", {"HTTPS_PROXY": value}) is None
        assert chosen("wss://h", {"HTTPS_PROXY": value, "no_proxy": "h"}) is None

    def test_a_header_of_a_client_is_not_taken_for_a_proxy(self) -> None:
        cgi = {"HTTP_PROXY": A, "REQUEST_METHOD": "GET"}
        assert chosen("ws://h", cgi) is None
        assert chosen("ws://h", {**cgi, "http_proxy": B}) == B

    def test_no_proxy_of_the_environment(self) -> None:
        environ = {"http_proxy": A, "no_proxy": "x, h ,y"}
        assert chosen("ws://h", environ) is None
        assert chosen("ws://other", environ) == A
        assert chosen("ws://h", {"http_proxy": A, "NO_PROXY": "h"}) is None
        assert chosen("ws://h", {"http_proxy": A, "NO_PROXY": "h", "no_proxy": "x"}) == A

    def test_the_list_as_it_is(self) -> None:
        assert no_proxy_of({"no_proxy": "a,.b"}) == ["a", ".b"]
        assert no_proxy_of({"NO_PROXY": "a"}) == ["a"]


class TestOption:
    @pytest.mark.parametrize("proxy", [None, False])
    def test_none_means_none(self, proxy: Any) -> None:
        assert chosen("ws://h", {"http_proxy": A}, proxy) is None

    @pytest.mark.parametrize("url", ["ws://h", "wss://h"])
    def test_a_given_one_is_for_both_schemes_and_wins(self, url: str) -> None:
        environ = {"http_proxy": A, "https_proxy": A, "all_proxy": A}
        assert chosen(url, environ, B) == B
        assert chosen(url, environ, Proxy("socks4", "c", 3)) == "socks4://c:3"

    def test_no_proxy_of_the_environment_is_not_for_a_given_one(self) -> None:
        assert chosen("ws://h", {"no_proxy": "*"}, A) == A

    def test_what_is_given_as_direct_is_direct_through_any(self) -> None:
        assert chosen("ws://h", {}, A, ["h"]) is None
        assert chosen("ws://h", {}, Proxy("socks4", "c", 3), ["h"]) is None
        assert chosen("ws://h", {"http_proxy": A}, True, ["h"]) is None
        assert chosen("ws://other", {}, A, ["h"]) == A

    def test_a_given_list_replaces_that_of_the_environment(self) -> None:
        environ = {"http_proxy": A, "no_proxy": "h"}
        assert chosen("ws://h", environ, True, ["other"]) == A
        assert chosen("ws://h", environ, True, []) == A

    def test_a_wrong_one_is_named(self) -> None:
        with pytest.raises(ValueError, match="proxy is invalid"):
            chosen("ws://h", {}, "ftp://h")


@pytest.mark.parametrize(
    ("host", "entry", "direct"),
    [
        ("example.com", "*", True),
        ("127.0.0.1", " * ", True),
        ("example.com", "example.com", True),
        ("EXAMPLE.com", "Example.COM", True),
        ("example.com.", "example.com", True),
        ("example.com", "example.com.", True),
        ("www.example.com", "example.com", True),
        ("a.b.example.com", "example.com", True),
        ("www.example.com", ".example.com", True),
        ("example.com", ".example.com", True),
        ("www.example.com", "*.example.com", True),
        ("badexample.com", "example.com", False),
        ("badexample.com", ".example.com", False),
        ("example.com", "www.example.com", False),
        ("example.com", "com.", True),
        ("example.com", "example", False),
        ("example.com", "", False),
        ("example.com", ".", False),
        ("example.com", "*.", False),
        ("bücher.example", "bücher.example", True),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("straße.example", "straße.example", True),
        ("straße.example", "strasse.example", False),
        ("127.1", "127.0.0.1", True),
        ("example.com", "a..b", False),
        ("example.com", "exa mple.com", False),
        ("localhost", "localhost", True),
        ("localhost", "127.0.0.1", False),
        # ports
        ("example.com:8080", "example.com:8080", True),
        ("example.com:8080", "example.com:80", False),
        ("www.example.com:8080", ".example.com:8080", True),
        ("example.com", "example.com:80", True),  # the port that ws has
        ("10.0.0.1:8080", "10.0.0.1:8080", True),
        ("10.0.0.1:8080", "10.0.0.1:8081", False),
        ("[::1]:8080", "[::1]:8080", True),
        ("[::1]:8080", "[::1]:80", False),
        ("example.com:8080", "example.com:x", False),
        ("example.com:8080", "example.com:", False),
        # addresses and networks
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "0.0.1", False),
        ("10.0.0.1", "0.1", False),
        ("10.0.0.1", "10.0.0.0/8", True),
        ("10.0.0.1", "10.9.9.9/8", True),
        ("11.0.0.1", "10.0.0.0/8", False),
        ("10.0.0.1", "0.0.0.0/0", True),
        ("10.0.0.1", "::/0", False),
        ("10.0.0.1", "10.0.0.0/33", False),
        ("10.0.0.1", "x/8", False),
        ("example.com", "0.0.0.0/0", False),
        ("[::1]", "::1", True),
        ("[::1]", "[::1]", True),
        ("[::1]", "0:0:0:0:0:0:0:1", True),
        ("[::2]", "::1", False),
        ("[2001:db8::7]", "2001:db8::/32", True),
        ("[2001:db9::7]", "2001:db8::/32", False),
        ("[::1]", "0.0.0.0/0", False),
        ("[fe80::1%25eth0]", "fe80::/10", True),
        ("[fe80::1%25eth0]", "fe80::1", True),
    ],
)
def test_what_no_proxy_means(host: str, entry: str, direct: bool) -> None:
    expected = None if direct else A
    assert chosen(f"ws://{host}", {}, A, ["unrelated", entry]) == expected
    assert chosen(f"ws://{host}", {"all_proxy": A, "no_proxy": f"unrelated,{entry}"}) == expected


@given(st.lists(st.text(), max_size=3), st.sampled_from(["h.example", "10.0.0.1", "[::1]"]))
def test_no_entry_is_an_error(entries: list[str], host: str) -> None:
    assert chosen(f"ws://{host}", {}, A, entries) in (None, A)
