"""WebSocket URLs, and where redirects lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.client import url as url_module
from reactor.client.url import WebSocketURL, join, parse_url, same_origin, shown_endpoint
from reactor.exceptions import WebSocketHandshakeException


class TestParse:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("ws://example.com", WebSocketURL("ws", "example.com", 80, "/")),
            ("wss://example.com", WebSocketURL("wss", "example.com", 443, "/")),
            ("ws://h:8080/", WebSocketURL("ws", "h", 8080, "/")),
            ("ws://h:/", WebSocketURL("ws", "h", 80, "/")),
            ("ws://h:65535", WebSocketURL("ws", "h", 65535, "/")),
            ("WSS://EXAMPLE.com:443/Path", WebSocketURL("wss", "example.com", 443, "/Path")),
            ("  ws://h/x\r\n", WebSocketURL("ws", "h", 80, "/x")),
            ("ws://under_score.local./", WebSocketURL("ws", "under_score.local.", 80, "/")),
            ("ws://127.0.0.1:9001/x", WebSocketURL("ws", "127.0.0.1", 9001, "/x")),
            ("ws://[::1]", WebSocketURL("ws", "::1", 80, "/")),
            ("ws://[FE80::A]:81/", WebSocketURL("ws", "fe80::a", 81, "/")),
            ("ws://[fe80::1%25eth0]:81", WebSocketURL("ws", "fe80::1%eth0", 81, "/")),
            ("ws://[fe80::1%eth0]/", WebSocketURL("ws", "fe80::1%eth0", 80, "/")),
            ("ws://[fe80::1%2525]/", WebSocketURL("ws", "fe80::1%25", 80, "/")),
            ("ws://[fe80::1%25]/", WebSocketURL("ws", "fe80::1%25", 80, "/")),
            ("ws://b\xfccher.de", WebSocketURL("ws", "xn--bcher-kva.de", 80, "/")),
            ("ws://STRA\xdfE.de.:81", WebSocketURL("ws", "xn--strae-oqa.de.", 81, "/")),
            ("ws://b%C3%BCcher.de/", WebSocketURL("ws", "xn--bcher-kva.de", 80, "/")),
            ("ws://127.0.0.1./", WebSocketURL("ws", "127.0.0.1", 80, "/")),
            ("ws://0x7f.1/", WebSocketURL("ws", "127.0.0.1", 80, "/")),
        ],
    )
    def test_good(self, url, expected):
        assert parse_url(url) == expected

    @pytest.mark.parametrize(
        ("rest", "resource"),
        [
            ("", "/"),
            ("/", "/"),
            ("/a/b;c?d=e&f", "/a/b;c?d=e&f"),
            ("?q", "/?q"),
            ("/a?", "/a"),
            ("/a#fragment", "/a"),
            ("#fragment?x", "/"),
            ("/a?b?c#d#e", "/a?b?c"),
            ("/a b?c d", "/a%20b?c%20d"),
            ("/caf\xe9?\u20ac", "/caf%C3%A9?%E2%82%AC"),
            ("/a%20b%zz", "/a%20b%zz"),
            ('/"<>\\^`{|}', '/"<>\\^`{|}'),
            ("//a/../b", "//a/../b"),
            ("/user@host:1/", "/user@host:1/"),
            ("?a://b@c", "/?a://b@c"),
        ],
    )
    def test_resource(self, rest, resource):
        url = parse_url(f"ws://h{rest}")
        assert url == WebSocketURL("ws", "h", 80, resource)

    @pytest.mark.parametrize(
        ("userinfo", "username", "password"),
        [
            ("", None, None),
            ("@", None, None),
            ("user@", "user", None),
            ("user:@", "user", ""),
            ("user:pass@", "user", "pass"),
            (":pass@", "", "pass"),
            ("us%40er:p%3Aa%2Fs%C3%A9:s@", "us@er", "p:a/s\xe9:s"),
            ("a@b:c@", "a@b", "c"),
        ],
    )
    def test_userinfo(self, userinfo, username, password):
        url = parse_url(f"wss://{userinfo}h:444/x")
        assert (url.username, url.password) == (username, password)
        assert (url.host, url.port) == ("h", 444)

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("", "url is invalid"),
            ("example.com", "url is invalid"),
            ("ws://h/\x00", r"url is invalid: it holds '\x00' at position 7"),
            ("ws://h/a\r\nb", r"url is invalid: it holds '\r' at position 8"),
            ("ws://h/\ud800", r"url is invalid: it holds '\ud800'"),
            ("ws://evil.com\\@h/", "url is invalid: it holds a backslash"),
            ("ftp://h/", "scheme ftp is invalid"),
            ("http://h/", "scheme http is invalid"),
            ("HTTPS://h/", "scheme https is invalid"),
            ("localhost:9001", "scheme localhost is invalid"),
            ("://h", "scheme  is invalid"),
            ("ws:", "hostname is invalid"),
            ("ws:h", "hostname is invalid"),
            ("ws:/h", "hostname is invalid"),
            ("ws://", "hostname is invalid"),
            ("ws:///path", "hostname is invalid"),
            ("ws://:80/", "hostname is invalid"),
            ("ws://user@/", "hostname is invalid"),
            ("ws://a b/", "hostname is invalid: 'a b'"),
            ("ws://a%20b/", "hostname is invalid: 'a%20b'"),
            ("ws://a\\b/", "hostname is invalid"),
            ("ws://a%FCb/", "hostname is invalid: 'a%FCb'"),
            ("ws://a%2Fb/", "hostname is invalid: 'a%2Fb'"),
            ("ws://a%00b/", "hostname is invalid: 'a%00b'"),
            ("ws://a..b/", "hostname is invalid: 'a..b': a part of it is empty"),
            (f"ws://{'a' * 64}.com/", "hostname is invalid"),
            ("ws://a\u200db/", "hostname is invalid: 'a\\u200db': Joiner U+200D not allowed"),
            ("ws://\u2100/", "hostname is invalid"),  # IDNA makes it "a/c"
            ("ws://::1/", "hostname is invalid: '::1'"),
            ("ws://[::1/", "hostname is invalid: '[::1'"),
            ("ws://[::1]x/", "hostname is invalid: '[::1]x'"),
            ("ws://[]/", "hostname is invalid: []"),
            ("ws://[h]/", "hostname is invalid: [h]"),
            ("ws://[1.2.3.4]/", "hostname is invalid: [1.2.3.4]"),
            ("ws://[fe80::1%]/", "hostname is invalid: [fe80::1%]: bad zone"),
            ("ws://[fe80::1%a b]/", "hostname is invalid: [fe80::1%a b]: bad zone"),
            ("ws://h:99999/", "port 99999 is invalid"),
            ("ws://h:65536/", "port 65536 is invalid"),
            ("ws://h:0/", "port 0 is invalid"),
            ("ws://h:-1/", "port -1 is invalid"),
            ("ws://h:abc/", "port abc is invalid"),
            ("ws://h:1:2/", "port 1:2 is invalid"),
            ("ws://h:\u0661/", "port \u0661 is invalid"),
            (f"ws://h:{'9' * 5000}/", "port 999"),
        ],
    )
    def test_bad(self, url, message):
        with pytest.raises(ValueError) as caught:
            parse_url(url)
        assert str(caught.value).startswith(message)
        assert type(caught.value) is ValueError

    @pytest.mark.parametrize("url", [None, b"ws://h/", 7])
    def test_wrong_type(self, url):
        with pytest.raises(TypeError, match=f"url must be str, not {type(url).__name__}"):
            parse_url(url)

    @given(st.text())
    def test_any_text_gives_a_url_or_a_value_error(self, text):
        try:
            url = parse_url(f"ws://{text}")
        except ValueError:
            return
        assert url.resource.startswith("/")
        assert all("\x21" <= character <= "\x7e" for character in url.resource + url.host)
        assert 0 < url.port < 65536


class TestProperties:
    @pytest.mark.parametrize(
        ("url", "host_header", "origin", "text"),
        [
            ("ws://h", "h", "http://h", "ws://h/"),
            ("ws://h:80", "h", "http://h", "ws://h/"),
            ("ws://h:443", "h:443", "http://h:443", "ws://h:443/"),
            ("wss://h:443/x", "h", "https://h", "wss://h/x"),
            ("wss://h:80", "h:80", "https://h:80", "wss://h:80/"),
            ("ws://u:p@h:81?q", "h:81", "http://h:81", "ws://h:81/?q"),
            ("ws://[::1]", "[::1]", "http://[::1]", "ws://[::1]/"),
            ("wss://[::1]:8443", "[::1]:8443", "https://[::1]:8443", "wss://[::1]:8443/"),
            ("ws://[fe80::1%25eth0]:81", "[fe80::1]:81", "http://[fe80::1]:81", None),
            ("ws://h.example.:81", "h.example.:81", "http://h.example.:81", None),
        ],
    )
    def test_headers_and_text(self, url, host_header, origin, text):
        parsed = parse_url(url)
        assert parsed.host_header == host_header
        assert parsed.origin == origin
        assert str(parsed) == (text or f"{url}/")

    def test_secure(self):
        assert parse_url("wss://h").secure is True
        assert parse_url("ws://h:443").secure is False

    def test_the_password_is_not_shown(self):
        url = parse_url("ws://user:secret@h/")
        assert "secret" not in repr(url) + str(url)

    def test_is_frozen(self):
        with pytest.raises(AttributeError):
            parse_url("ws://h").port = 81

    @pytest.mark.parametrize("url", ["ws://h/", "wss://[fe80::1%2525]:81/a?b", "ws://h:443/%20"])
    def test_the_text_parses_to_the_same(self, url):
        assert parse_url(str(parse_url(url))) == parse_url(url)


class TestSameOrigin:
    @pytest.mark.parametrize(
        ("a", "b", "expected"),
        [
            ("ws://h/a", "ws://H:80/b?c", True),
            ("ws://u@h/", "ws://h/", True),
            ("ws://h/", "wss://h/", False),
            ("ws://h/", "wss://h:80/", False),
            ("ws://h/", "ws://h:81/", False),
            ("ws://h/", "ws://www.h/", False),
        ],
    )
    def test_same_origin(self, a, b, expected):
        assert same_origin(parse_url(a), parse_url(b)) is expected
        assert same_origin(parse_url(b), parse_url(a)) is expected


class TestJoin:
    @pytest.mark.parametrize(
        ("base", "location", "expected"),
        [
            ("ws://h:81/a/b?c", "/x?y", "ws://h:81/x?y"),
            ("ws://h:81/a/b?c", "x", "ws://h:81/a/x"),
            ("ws://h:81/a/b?c", "../x", "ws://h:81/x"),
            ("ws://h:81/a/b?c", "?d", "ws://h:81/a/b?d"),
            ("ws://h:81/a", "//other/x", "ws://other/x"),
            ("wss://h/a", "//other:444", "wss://other:444/"),
            ("ws://h/a", "ws://other/x", "ws://other/x"),
            ("ws://h/a", "wss://other/x", "wss://other/x"),
            ("ws://h/a", "http://other/x#y", "ws://other/x"),
            ("ws://h/a", "https://other/x", "wss://other/x"),
            ("ws://h/a", "HTTPS://Other/x", "wss://other/x"),
            ("wss://h/a", "HTTPS://other:443/x", "wss://other/x"),
            ("wss://h/a", "wss://other/x", "wss://other/x"),
            ("ws://ws.ws/a", "b", "ws://ws.ws/b"),
            ("wss://[::1]:81/a", "b", "wss://[::1]:81/b"),
            ("ws://[fe80::1%25eth0]/a", "b", "ws://[fe80::1%25eth0]/b"),
            ("ws://h/a", "/b c", "ws://h/b%20c"),
            ("ws://h/a", "/caf\xc3\xa9", "ws://h/caf%C3%A9"),  # UTF-8, read as latin-1
            ("ws://h/a", "/\u20ac", "ws://h/%E2%82%AC"),
            ("ws://h/a", "//b\xc3\xbccher.de/", "ws://xn--bcher-kva.de/"),
            ("ws://h/a", "//stra%C3%9Fe.de/", "ws://xn--strae-oqa.de/"),
            ("ws://h/a", "//other./x", "ws://other./x"),
        ],
    )
    def test_target(self, base, location, expected):
        assert join(parse_url(base), location) == parse_url(expected)

    @pytest.mark.parametrize("location", ["ws://h/x", "http://h/x", "http://other/"])
    def test_no_way_from_tls_to_plain(self, location):
        with pytest.raises(WebSocketHandshakeException, match="from wss to ws") as caught:
            join(parse_url("wss://h/"), location)
        assert repr(location) in str(caught.value)

    @pytest.mark.parametrize(
        ("location", "reason"),
        [
            ("ftp://h/", "scheme ftp is invalid"),
            ("javascript:x", "scheme javascript is invalid"),
            ("http://", "hostname is invalid"),
            ("ws://a b/", "hostname is invalid"),
            ("ws://a%E2%80%8Db/", "hostname is invalid: 'a%E2%80%8Db': Joiner U+200D"),
            ("http://[::1/", ""),
            ("https://h:99999/", "port 99999 is invalid"),
        ],
    )
    def test_bad_location(self, location, reason):
        with pytest.raises(WebSocketHandshakeException) as caught:
            join(parse_url("wss://h/"), location)
        message = str(caught.value)
        assert message.startswith(f"Invalid redirect target {location!r}: ")
        assert reason in message

    def test_credentials_stay_within_the_origin(self):
        base = parse_url("ws://u:p@h/")
        assert join(base, "/x") == parse_url("ws://u:p@h/x")
        assert join(base, "http://h:80/x") == parse_url("ws://u:p@h/x")

    @pytest.mark.parametrize(
        "location", ["ws://other/", "ws://h:81/", "wss://h/", "http://other/", "//other/"]
    )
    def test_credentials_are_not_carried_to_another_origin(self, location):
        url = join(parse_url("ws://u:p@h/"), location)
        assert (url.username, url.password) == (None, None)

    def test_credentials_of_the_location(self):
        url = join(parse_url("ws://u:p@h/"), "ws://x:y@h/")
        assert (url.username, url.password) == ("x", "y")


@pytest.mark.parametrize("url", ["ws://user:sesame@h/", "wss://h/?token=sesame"])
def test_what_may_be_secret_in_a_url_is_not_kept(url: str) -> None:
    def kept() -> int:
        return url_module._parse_and_keep.cache_info().currsize

    before = kept()
    assert parse_url(url).host == "h"
    assert kept() == before


def test_a_redirect_that_is_refused_does_not_show_a_password() -> None:
    base = parse_url("wss://h/")
    for location in ("http://me:sesame@other/", "ftp://me:sesame@other/"):
        with pytest.raises(WebSocketHandshakeException, match="//other/") as caught:
            join(base, location)
        assert "sesame" not in str(caught.value)


def test_what_connections_are_counted_under_is_one_text_for_all_of_a_host() -> None:
    assert shown_endpoint("::1", 80) == "[::1]:80"
    assert shown_endpoint("example.com", 443) is shown_endpoint("example.com", 443)
