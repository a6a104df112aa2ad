"""The cookie jar, for both libraries."""

from __future__ import annotations

from collections.abc import Callable
from http.cookies import SimpleCookie
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reactor
import reactor.classic.cookies
from reactor.classic import cookies
from reactor.classic.cookies import SimpleCookieJar

from ..support.certificates import Authority
from ..support.classic import Says
from ..support.peers import ScriptedPeer, Serve


@pytest.fixture
def jar(library: Any) -> Any:
    if library.__name__ == "reactor":
        return SimpleCookieJar()
    return import_module("websocket._cookiejar").SimpleCookieJar()


@pytest.mark.parametrize("method", ["add", "set"])
@pytest.mark.parametrize("set_cookie", ["", None, "a=b", "a=b; Path=/"])
def test_a_cookie_without_a_domain_is_not_kept(jar: Any, method: str, set_cookie: Any) -> None:
    getattr(jar, method)(set_cookie)
    assert jar.jar == {}


@pytest.mark.parametrize("method", ["add", "set"])
@pytest.mark.parametrize("domain", ["abc.com", ".abc.com", "ABC.com"])
def test_a_cookie_is_for_its_domain_and_all_below(jar: Any, method: str, domain: str) -> None:
    getattr(jar, method)(f"a=b; Domain={domain}")
    assert list(jar.jar) == [".abc.com"]
    assert jar.get("abc.com") == jar.get("x.ABC.com") == "a=b"
    assert jar.get("xabc.com") == jar.get("abc.com.es") == jar.get("com") == ""


@pytest.mark.parametrize("host", ["", None])
def test_no_host_has_no_cookies(jar: Any, host: Any) -> None:
    jar.add("a=b; domain=abc.com")
    assert jar.get(host) == ""


def test_all_cookies_of_a_header_go_together(jar: Any) -> None:
    jar.add("c=d; a=b; domain=abc")
    assert jar.get("abc") == "a=b; c=d"


def test_added_cookies_join_those_that_are_there(jar: Any) -> None:
    jar.add("a=b; c=d; domain=abc")
    jar.add("e=f; domain=.abc")
    jar.add("c=new; domain=abc")
    jar.add("x=y; domain=xyz")
    assert jar.get("abc") == "a=b; c=new; e=f"
    assert jar.get("xyz") == "x=y"


def test_set_cookies_take_the_place_of_those_that_are_there(jar: Any) -> None:
    jar.set("a=b; c=d; domain=abc")
    jar.set("e=f; domain=.abc")
    assert jar.get("abc") == "e=f"


def test_cookies_of_a_domain_and_of_one_above_go_together(jar: Any) -> None:
    jar.add("z=1; domain=abc.com")
    jar.add("a=2; domain=x.abc.com")
    assert jar.get("x.abc.com") == "a=2; z=1"
    assert jar.get("abc.com") == "z=1"


@pytest.mark.parametrize("host", ["abc.com", "x.abc.com", "X.ABC.COM"])
def test_a_host_sets_cookies_of_its_domain(host: str) -> None:
    jar = SimpleCookieJar()
    jar.add("a=b; domain=abc.com", host)
    assert jar.get("abc.com") == "a=b"


@pytest.mark.parametrize("host", ["evil.com", "notabc.com", "com"])
def test_a_host_does_not_set_the_cookies_of_another(host: str) -> None:
    jar = SimpleCookieJar()
    jar.add("a=b; domain=abc.com", host)
    assert jar.jar == {}


@pytest.mark.parametrize("set_cookie", ["\x00", "a b=c; domain=x", "=;domain=abc", "()=1"])
def test_what_is_no_cookie_is_ignored(set_cookie: str) -> None:
    jar = SimpleCookieJar()
    jar.add(set_cookie)
    jar.set(set_cookie)
    assert jar.get("x") == ""


def test_there_is_one_jar_for_the_process() -> None:
    assert isinstance(reactor.classic.cookies.CookieJar, SimpleCookieJar)


def test_a_domain_of_one_label_is_nobodys_parent() -> None:
    jar = SimpleCookieJar()
    jar.add("a=b; Domain=com", "shop.evil.com")
    assert jar.get("bank.com") == jar.get("shop.evil.com") == ""


def test_the_end_of_an_address_is_not_its_domain() -> None:
    jar = SimpleCookieJar()
    jar.add("a=b; Domain=0.0.1", "127.0.0.1")
    assert jar.get("10.0.0.1") == jar.get("127.0.0.1") == ""


def test_a_parent_domain_of_two_labels_holds_for_all_below() -> None:
    jar = SimpleCookieJar()
    jar.add("a=b; Domain=abc.com", "www.abc.com")
    assert jar.get("shop.abc.com") == "a=b"


def test_a_line_end_in_a_quoted_value_does_not_get_into_later_requests(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reactor.classic.cookies.CookieJar, "jar", {})
    peer = serve(Says(lines=(r'Set-Cookie: a="1\015\012Evil: 2"; b=3; Domain=127.0.0.1',)))
    for _ in range(2):
        reactor.create_connection(peer.url, timeout=10).shutdown()
    assert reactor.classic.cookies.CookieJar.get("127.0.0.1") == "b=3"
    assert peer.requests[1].headers["cookie"] == "b=3"
    assert "evil" not in peer.requests[1].headers


# --- where a cookie goes, and for how long --------------------------------------------------------


@pytest.mark.parametrize("attribute", ["Secure", "secure", "SECURE=", "Secure=no"])
def test_a_secure_cookie_goes_over_tls_only(attribute: str) -> None:
    jar = SimpleCookieJar()
    jar.add(f"a=b; Domain=abc.com; {attribute}")
    jar.add("c=d; Domain=abc.com")
    assert jar.get("abc.com", "/", secure=True) == "a=b; c=d"
    assert jar.get("abc.com", "/", secure=False) == "c=d"


@pytest.mark.parametrize(
    ("path", "yes", "no"),
    [
        ("/", ["/", "/x", "/x/y"], []),
        ("", ["/", "/x"], []),
        ("x", ["/", "/x"], []),
        ("/x", ["/x", "/x/", "/x/y"], ["/", "/xy", "/X"]),
        ("/x/", ["/x/", "/x/y"], ["/", "/x"]),
        ("/x/y", ["/x/y", "/x/y/z"], ["/x", "/x/yz"]),
    ],
)
def test_a_cookie_goes_where_its_path_says(path: str, yes: list[str], no: list[str]) -> None:
    jar = SimpleCookieJar()
    jar.add(f"a=b; Domain=abc.com; Path={path}")
    assert [jar.get("abc.com", each) for each in yes] == ["a=b"] * len(yes)
    assert [jar.get("abc.com", each) for each in no] == [""] * len(no)
    assert jar.get("abc.com") == "a=b"


def test_cookies_of_one_name_and_several_paths_are_different_ones() -> None:
    jar = SimpleCookieJar()
    for value, path in (("root", "/"), ("deep", "/x/y"), ("x", "/x"), ("new", "/x")):
        jar.add(f"a={value}; Domain=abc.com; Path={path}")
    assert jar.get("abc.com", "/x/y") == "a=deep; a=new; a=root"
    jar.add("a=; Domain=abc.com; Path=/x; Max-Age=0")
    assert jar.get("abc.com", "/x/y") == "a=deep; a=root"


PAST = "Thu, 01-Jan-1970 00:00:00 GMT"
FUTURE = "Fri, 31 Dec 2100 23:59:59 GMT"


@pytest.mark.parametrize(
    ("attributes", "stays"),
    [
        ("Max-Age=0", False),
        ("max-age=0", False),
        ("Max-Age=-1", False),
        ("Max-Age=" + "9" * 3000, True),
        ("Max-Age=1", True),
        ("Max-Age=", True),
        ("Max-Age=+1", True),
        ("Max-Age=x0", True),
        (f"Expires={PAST}", False),
        ("Expires=Thursday, 01-Jan-70 00:00:00 GMT", False),
        ("Expires=Thu Jan  1 00:00:00 1970", False),
        (f"Expires={FUTURE}", True),
        (f"Expires={FUTURE}; Max-Age=0", False),
        (f"Max-Age=60; Expires={PAST}", True),
        ("Expires=soon", True),
        ("Expires=Thu, 01 Jan 99999999999999999999 00:00:00 GMT", True),
    ],
)
def test_a_cookie_that_has_expired_is_removed(attributes: str, stays: bool) -> None:
    jar = SimpleCookieJar()
    jar.add("a=old; Domain=abc.com")
    jar.add("keep=1; Domain=abc.com")
    jar.add(f"a=new; Domain=abc.com; {attributes}")
    assert jar.get("abc.com") == ("a=new; keep=1" if stays else "keep=1")


def test_a_domain_whose_last_cookie_has_gone_goes_too() -> None:
    jar = SimpleCookieJar()
    jar.add("a=b; Domain=abc.com")
    jar.add("a=; Domain=abc.com; Max-Age=0")
    assert jar.jar == {}


def test_a_cookie_lives_as_long_as_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(cookies.time, "time", lambda: now[0])
    jar = SimpleCookieJar()
    jar.add("a=b; Domain=abc.com; Max-Age=60")
    jar.add(f"c=d; Domain=abc.com; Max-Age={10**9}")
    now[0] += 59
    assert jar.get("abc.com") == "a=b; c=d"
    now[0] += 1
    assert jar.get("abc.com") == "c=d"
    now[0] += 400 * 86400
    assert jar.get("abc.com") == ""


def test_the_cookies_of_a_header_share_its_attributes() -> None:
    jar = SimpleCookieJar()
    jar.add("a=b; c=d; Domain=abc.com; Secure; Path=/x; SameSite=Lax; Partitioned; Priority=High")
    assert jar.get("abc.com", "/", True) == jar.get("abc.com", "/x", False) == ""
    assert jar.get("abc.com", "/x", True) == "a=b; c=d"


def test_cookies_that_a_program_has_put_into_the_jar_go_along() -> None:
    jar = SimpleCookieJar()
    jar.jar[".abc.com"] = SimpleCookie("a=b; Path=/x; Secure")
    jar.add("c=d; Domain=abc.com")
    assert jar.get("abc.com", "/x", True) == "a=b; c=d"
    assert jar.get("abc.com", "/", True) == jar.get("abc.com", "/x", False) == "c=d"


@pytest.mark.parametrize(
    ("coded", "value"),
    [
        ('"x y"', "x y"),
        (r'"a\"b\\c"', r"a\"b\c".replace(r"\"", '"')),
        (r'"\054"', ","),
        ('"', '"'),
        ('""', ""),
        ("a=b", "a=b"),
        ('x"y"', 'x"y"'),
    ],
)
def test_values_are_unquoted(coded: str, value: str) -> None:
    jar = SimpleCookieJar()
    jar.add(f"a={coded}; Domain=abc.com")
    assert jar.get("abc.com") == f"a={value}"


# --- limits ---------------------------------------------------------------------------------------


def test_a_cookie_of_more_than_4096_bytes_is_not_kept() -> None:
    jar = SimpleCookieJar()
    head, tail = "a=", "; Domain=abc.com"
    most = "x" * (4096 - len(head + tail))
    jar.add(head + most + "x" + tail)
    assert jar.jar == {}
    jar.add(head + most + tail)
    assert jar.get("abc.com") == f"a={most}"


def test_a_domain_has_at_most_50_cookies_the_newest() -> None:
    jar = SimpleCookieJar()
    for number in range(50):
        jar.add(f"a{number}=1; Domain=abc.com")
    jar.add("a0=again; Domain=abc.com")
    jar.add("b=1; Domain=abc.com")
    kept = jar.get("abc.com").split("; ")
    assert len(kept) == 50
    assert {"a0=again", "b=1"} < set(kept)
    assert "a1=1" not in kept
    jar.set("".join(f"c{number}=1; " for number in range(60)) + "Domain=abc.com")
    assert len(jar.get("abc.com").split("; ")) == 50
    assert "c59=1" in jar.get("abc.com")


def test_all_domains_together_have_a_limit() -> None:
    jar = SimpleCookieJar()
    for domain in range(100):
        pairs = "".join(f"c{number}=1; " for number in range(40))
        jar.add(f"{pairs}Domain=d{domain}.com")
    assert sum(map(len, jar.jar.values())) <= 3000
    assert jar.get("d0.com") == ""
    assert jar.get("d99.com") != ""


HEAVY: dict[str, Callable[[int], str]] = {
    "escapes": lambda size: 'a="' + r"\"" * (size // 2) + '"',
    "octal": lambda size: 'a="' + r"\012" * (size // 4) + '"',
    "an open quote": lambda size: 'a="' + r"\x" * (size // 2),
    "pairs": lambda size: "a=b;" * (size // 4),
    "empty pairs": lambda size: 'a="";' * (size // 5),
    "spaces": lambda size: "a= " * (size // 3),
    "semicolons": lambda size: ";" * size,
    "equals signs": lambda size: "=" * size,
    "attributes": lambda size: "domain=x.y;" * (size // 11),
    "a date": lambda size: "a=b; expires=" + "Thu, 01-" * (size // 8),
}


@pytest.mark.parametrize("heavy", HEAVY.values(), ids=HEAVY)
def test_no_value_reaches_the_parser_of_http_cookies(
    monkeypatch: pytest.MonkeyPatch, heavy: Callable[[int], str]
) -> None:
    """It is quadratic in the length of some; ours takes a header apart once."""

    def refuse(*_: Any) -> None:
        raise AssertionError("parsed by http.cookies")

    monkeypatch.setattr("http.cookies.BaseCookie._BaseCookie__parse_string", refuse)
    monkeypatch.setattr("http.cookies._unquote", refuse)
    jar = SimpleCookieJar()
    for size in (4000, 60_000):
        jar.add(f"{heavy(size)}; Domain=abc.com", "abc.com")
        jar.set(f"{heavy(size)}; Domain=abc.com")
        jar.get("abc.com")
    assert all(len(each) <= 50 for each in jar.jar.values())


@given(st.text(st.characters(max_codepoint=255), max_size=200), st.booleans())
def test_any_header_is_taken_or_ignored(text: str, known: bool) -> None:
    jar = SimpleCookieJar()
    jar.add(f"{text}; Domain=abc.com" if known else text, "abc.com")
    assert jar.get("abc.com", "/", False).isprintable()


@given(st.text(st.characters(max_codepoint=255), max_size=40))
def test_any_date_is_taken_or_ignored(text: str) -> None:
    jar = SimpleCookieJar()
    jar.add(f"a=b; Domain=abc.com; Expires={text.replace(';', '')}")
    assert jar.get("abc.com") in ("", "a=b")


# --- over the wire --------------------------------------------------------------------------------


def connect_twice(first: str, second: str, face: str, **options: Any) -> None:
    for url in (first, second):
        if face == "blocking":
            reactor.create_connection(url, timeout=10, **options).shutdown()
        else:
            app = reactor.WebSocketApp(url, on_open=lambda app: app.close())
            app.run_forever(**options)


@pytest.fixture
def empty_jar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactor.classic.cookies.CookieJar, "jar", {})


@pytest.mark.usefixtures("empty_jar")
@pytest.mark.parametrize("face", ["blocking", "app"])
@pytest.mark.parametrize(
    ("attributes", "path", "comes"),
    [
        ("Path=/chat", "/chat/room?path=/", True),
        ("Path=/chat", "/chatter", False),
        ("Path=/chat", "/?/chat", False),
        ("Secure", "/", False),
        ("Max-Age=0", "/", False),
        ("Max-Age=60", "/", True),
    ],
)
def test_the_cookies_of_the_next_request(
    serve: Serve, face: str, attributes: str, path: str, comes: bool
) -> None:
    peer = serve(Says(lines=(f"Set-Cookie: a=b; Domain=127.0.0.1; {attributes}",)))
    connect_twice(f"{peer.url}/chat", peer.url + path, face)
    assert peer.requests[1].headers.get("cookie") == ("a=b" if comes else None)


@pytest.mark.usefixtures("empty_jar")
@pytest.mark.parametrize("face", ["blocking", "app"])
def test_a_secure_cookie_goes_to_wss_and_not_to_ws(
    serve: Serve, authority: Authority, face: str
) -> None:
    script = Says(lines=("Set-Cookie: a=b; Domain=127.0.0.1; Secure",))
    tls: ScriptedPeer = serve(script, context=authority.server_context)
    plain: ScriptedPeer = serve(script)
    connect_twice(tls.url, tls.url, face, sslopt=authority.sslopt)
    connect_twice(plain.url, plain.url, face)
    assert [head.headers.get("cookie") for head in tls.requests] == [None, "a=b"]
    assert [head.headers.get("cookie") for head in plain.requests] == [None, None]
