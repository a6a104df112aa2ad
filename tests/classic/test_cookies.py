"""The cookie jar, for both libraries."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

import reactor
import reactor.classic.cookies
from reactor.classic.cookies import SimpleCookieJar

from ..support.classic import Says
from ..support.peers import Serve


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
