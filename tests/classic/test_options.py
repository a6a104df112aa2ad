"""From websocket-client's parameters to our options."""

from __future__ import annotations

from typing import Any

import pytest

import reactor
from reactor.classic.options import (
    MAX_MESSAGE_SIZE,
    app_options,
    check_proxy,
    parse_url,
    proxy_options,
    proxy_variable,
    tls_options,
)
from reactor.classic.watch import ClassicWatch
from reactor.client.options import ClientOptions
from reactor.client.proxy_choice import parse_proxy
from reactor.transports.proxy import Proxy


def proxy_of(
    host: str | None = "p.example",
    port: Any = 8080,
    auth: Any = None,
    kind: str | None = None,
    no_proxy: Any = None,
    timeout: float | None = None,
) -> dict[str, Any]:
    """The options for a proxy; the URL as a Proxy."""
    options = proxy_options(host, port, auth, kind, no_proxy, timeout)
    ClientOptions(**options)
    if "proxy" in options:
        options["proxy"] = parse_proxy(options["proxy"])
    return options


# --- proxies --------------------------------------------------------------------------------------


def test_without_a_host_the_environment_decides() -> None:
    assert proxy_of(None, None, timeout=5) == {"no_proxy": None, "proxy_timeout": 5}
    assert proxy_of("", 0, no_proxy=["h"]) == {"no_proxy": ["h"], "proxy_timeout": None}
    assert ClientOptions(**proxy_options(None, None, None, None, None, None)).proxy is True


@pytest.mark.parametrize("port", [3128, "3128"])
def test_http_proxy_is_the_default(port: Any) -> None:
    proxy = proxy_of("p.example", port)["proxy"]
    assert (proxy.kind, proxy.host, proxy.port) == ("http", "p.example", 3128)
    assert (proxy.username, proxy.password) == (None, None)


@pytest.mark.parametrize("kind", ["http", "socks4", "socks4a", "socks5", "socks5h"])
def test_kinds_of_proxies(kind: str) -> None:
    assert proxy_of(kind=kind)["proxy"].kind == kind


@pytest.mark.parametrize(("kind", "port"), [("http", 80), ("socks5", 1080), ("socks4a", 1080)])
def test_default_ports(kind: str, port: int) -> None:
    assert proxy_of(port=None, kind=kind)["proxy"].port == port


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_proxy_with_an_ipv6_address(host: str) -> None:
    proxy = proxy_of(host, 1080, kind="socks5")["proxy"]
    assert (proxy.host, proxy.port) == ("::1", 1080)


@pytest.mark.parametrize(
    "auth", [("user", "password"), ("us/er@", "p/a?s#s%w ö"), ("user", ""), ("user", None)]
)
def test_user_and_password_of_a_proxy(auth: tuple[str, str | None]) -> None:
    proxy = proxy_of(auth=auth)["proxy"]
    assert (proxy.username, proxy.password or "") == (auth[0], auth[1] or "")


def test_hosts_that_need_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_of(no_proxy=["a.example"])["no_proxy"] == ["a.example"]
    monkeypatch.setenv("no_proxy", "b.example")
    assert proxy_of(no_proxy=["a.example"])["no_proxy"] == ["a.example"]
    assert list(proxy_of()["no_proxy"]) == ["b.example"]
    # A proxy of the environment is met with the environment's no_proxy anyway.
    assert proxy_of(None)["no_proxy"] is None


def test_kind_that_does_not_exist() -> None:
    with pytest.raises(reactor.WebSocketProxyException, match=r"Only http.*'gopher'"):
        proxy_of(kind="gopher")


def test_ports_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="http_proxy_port must be a number, not 'x'"):
        proxy_of(port="x")
    with pytest.raises(reactor.WebSocketProxyException, match="Cannot use port 0"):
        proxy_of(port="0")


def test_a_proxy_that_is_to_be_used_needs_a_port() -> None:
    with pytest.raises(reactor.WebSocketProxyException, match="Cannot use port 0"):
        check_proxy("ws://h.example", "p.example", 0)
    check_proxy("ws://h.example", "p.example", "8080")


def test_the_port_of_a_proxy_of_the_environment_is_checked_if_the_url_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://p.example:none")
    with pytest.raises(ValueError, match="none"):
        check_proxy("ws://h.example", None, None)
    check_proxy("wss://h.example", None, None)
    check_proxy(lambda: "ws://h.example", None, None)
    check_proxy("ws://h.example", "other.example", 8080)


def test_a_proxy_of_the_environment_without_a_scheme_is_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "p.example:8080")
    nothing = (None, None, None, None, None, None)
    assert proxy_options(*nothing, url="ws://h.example")["proxy"] is None
    assert "proxy" not in proxy_options(*nothing, url="wss://h.example")
    assert "proxy" not in proxy_options(*nothing, url=lambda: "ws://h.example")


@pytest.mark.parametrize("secure", [False, True])
def test_variables_in_lower_case_come_before_those_in_upper_case(
    secure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "https_proxy" if secure else "http_proxy"
    assert proxy_variable(secure) == ""
    monkeypatch.setenv(name.upper(), "http://upper.example: 80")
    assert proxy_variable(secure) == "http://upper.example:80"
    monkeypatch.setenv(name, "http://lower.example:80")
    assert proxy_variable(secure) == "http://lower.example:80"


def test_in_a_cgi_program_a_client_may_have_set_http_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://p.example:80")
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    assert (proxy_variable(False), proxy_variable(True)) == ("", "http://p.example:80")


def test_password_does_not_show() -> None:
    options = ClientOptions(**proxy_options("p", 1, ("user", "secret"), None, None, None))
    assert "secret" not in repr(options)


# --- URLs and TLS ---------------------------------------------------------------------------------


def test_a_url_that_urllib_refuses_is_refused_in_its_words() -> None:
    with pytest.raises(ValueError, match="could not be cast to integer value as 'x'") as caught:
        parse_url("ws://h.example:x/")
    ours = str(caught.value.__cause__)
    if hasattr(caught.value, "__notes__"):  # since Python 3.11
        assert caught.value.__notes__ == [ours]
    assert ours.startswith("port x is invalid")


def test_a_url_that_only_we_refuse_is_refused_in_our_words() -> None:
    with pytest.raises(ValueError, match="http") as caught:
        parse_url("http://h.example/")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("sslopt", [None, {}, ()])
def test_no_tls_options(sslopt: Any) -> None:
    assert tls_options(sslopt) is None


def test_tls_options_that_websocket_client_ignores_are_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("DEBUG", "websocket"):
        assert tls_options({"ca_certs": "c", "keyfile": "k", "colour": 1}) == {"ca_certs": "c"}
        both = {"certfile": "c", "keyfile": "k"}
        assert tls_options(both) == both
    assert caplog.messages == ["sslopt: these keys are not used: 'colour', 'keyfile'"]


# --- WebSocketApp ---------------------------------------------------------------------------------

#: The defaults of run_forever().
GIVEN: dict[str, Any] = {
    "sockopt": None,
    "sslopt": None,
    "ping_interval": 0,
    "ping_timeout": None,
    "ping_payload": "",
    "http_proxy_host": None,
    "http_proxy_port": None,
    "http_no_proxy": None,
    "http_proxy_auth": None,
    "http_proxy_timeout": None,
    "skip_utf8_validation": False,
    "host": None,
    "origin": None,
    "suppress_origin": False,
    "suppress_host": False,
    "proxy_type": None,
    "reconnect": 0,
}


def options_of(app: Any = None, **given: Any) -> ClientOptions:
    return app_options(app or reactor.WebSocketApp("ws://h.example"), **{**GIVEN, **given})


def test_defaults_of_an_app() -> None:
    options = options_of()
    assert options.keep_alive is None
    assert options.backoff is None
    assert options.connect_timeout is None
    assert options.close_timeout == 3.0
    assert options.max_message_size == options.write_limit == MAX_MESSAGE_SIZE == 256 << 20
    assert (options.decode_text, options.fragments) == (True, False)
    assert (options.proxy, options.no_proxy, options.proxy_timeout) == (True, None, None)
    assert (options.sslopt, list(options.sockopt), options.sock) == (None, [], None)
    assert (options.host, options.origin, options.connection) == (None, None, None)
    assert (options.suppress_host, options.suppress_origin) == (False, False)
    assert (options.mask_key, list(options.subprotocols)) == (None, [])
    assert isinstance(options.watch, ClassicWatch)


def test_parameters_of_run_forever() -> None:
    options = options_of(
        sockopt=((1, 2, 3),),
        sslopt=[("cert_reqs", 0)],
        ping_interval=30,
        ping_timeout=10,
        ping_payload="p",
        http_proxy_host="p.example",
        http_proxy_port="3128",
        http_no_proxy=["a.example"],
        http_proxy_auth=("user", "password"),
        http_proxy_timeout=7,
        skip_utf8_validation=True,
        host="h",
        origin="o",
        suppress_origin=True,
        suppress_host=True,
        proxy_type="socks5",
        reconnect=5,
    )
    assert options.sockopt == ((1, 2, 3),)
    assert options.sslopt == {"cert_reqs": 0}
    policy = options.keep_alive
    assert policy is not None
    assert (policy.interval, policy.timeout, policy.payload, policy.when_idle) == (
        *(30, 10, b"p", False),
    )
    assert parse_proxy(str(options.proxy)) == Proxy("socks5", "p.example", 3128, "user", "password")
    assert (options.no_proxy, options.proxy_timeout) == (["a.example"], 7)
    assert options.decode_text is False
    assert (options.host, options.origin) == ("h", "o")
    assert (options.suppress_origin, options.suppress_host) == (True, True)
    assert options.backoff == reactor.Backoff.fixed(
        5, retry_after_cap=0
    )  # as with websocket-client


def test_attributes_of_the_app() -> None:
    def mask_key(count: int) -> bytes:
        return bytes(count)

    sock = object()
    app = reactor.WebSocketApp(
        "ws://h.example",
        subprotocols=["chat"],
        get_mask_key=mask_key,
        socket=sock,
        on_cont_message=print,
    )
    options = options_of(app)
    assert options.subprotocols == ["chat"]
    assert options.mask_key is mask_key
    assert options.sock is sock
    assert options.fragments is True


def test_header_and_cookie_are_asked_for_when_they_are_needed() -> None:
    app = reactor.WebSocketApp("ws://h.example", header=["A: 1"], cookie="c=1")
    options = options_of(app)
    assert callable(options.header)
    assert callable(options.cookie)
    assert (options.header(), options.cookie()) == (["A: 1"], "c=1")
    app.header, app.cookie = {"B": "2"}, lambda: "c=2"
    assert (options.header(), options.cookie()) == ({"B": "2"}, "c=2")
    app.header, app.cookie = None, None
    assert options.header() is None
    assert [options.cookie()] == [None]


@pytest.mark.parametrize(("timeout", "expected"), [(None, None), (5, 5), (0, None)])
def test_default_timeout_is_the_time_to_connect(timeout: Any, expected: Any) -> None:
    reactor.setdefaulttimeout(timeout)
    try:
        assert options_of().connect_timeout == expected
    finally:
        reactor.setdefaulttimeout(None)


def test_backoff_is_taken_as_it_is() -> None:
    backoff = reactor.Backoff(first=2)
    assert options_of(reconnect=backoff).backoff is backoff


@pytest.mark.parametrize("interval", [0, None])
def test_no_pings(interval: Any) -> None:
    assert options_of(ping_interval=interval, ping_timeout=5).keep_alive is None


@pytest.mark.parametrize(("reconnect", "seconds"), [(True, 1), (False, None), (0, None)])
def test_reconnect_may_be_a_bool(reconnect: Any, seconds: int | None) -> None:
    backoff = options_of(reconnect=reconnect).backoff
    fixed = None if seconds is None else reactor.Backoff.fixed(seconds, retry_after_cap=0.0)
    assert backoff == fixed


def test_a_proxy_without_a_port_is_an_error_of_the_attempt() -> None:
    options = options_of(http_proxy_host="p.example", proxy_type="http")
    assert callable(options.header)
    with pytest.raises(reactor.WebSocketProxyException, match="Cannot use port 0"):
        options.header()


def test_headers_and_cookies_go_out_as_utf_8() -> None:
    headers = (["A: é", ("B", "é")], {"C": "é"})
    app = reactor.WebSocketApp("ws://h.example", header=headers[0], cookie="c=é")
    options = options_of(app)
    assert callable(options.header)
    assert callable(options.cookie)
    assert [line.encode("latin-1") for line in options.cookie().split()] == ["c=é".encode()]
    assert options.header() == ["A: Ã©", ("B", "Ã©")]
    app.header = headers[1]
    assert options.header() == {"C": "Ã©"}
