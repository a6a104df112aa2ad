"""websocket-client's module names, and small functions behind them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib.metadata import version
from unittest import mock

import pytest

import reactor
from reactor.classic.names.compat import PRIVATE_MODULES, private_module

from ...support.installed import run_installed

websocket = pytest.importorskip("websocket", reason="websocket-client is not installed")


def test_the_reference_is_the_release_that_we_speak_of() -> None:
    assert version("websocket-client").startswith("1.9.")


def test_every_public_name_of_websocket_client_is_here() -> None:
    theirs: dict[str, object] = {}
    exec("from websocket import *", theirs)
    names = set(theirs) - {"__builtins__", "Any", "Optional"}  # two leaks
    assert {name for name in names if not hasattr(reactor, name)} == set()


def test_private_modules_are_attributes_as_there() -> None:
    assert reactor._exceptions.WebSocketException is reactor.WebSocketException
    assert reactor._abnf.ABNF is reactor.ABNF
    assert reactor._app.WebSocketApp is reactor.WebSocketApp
    assert reactor._core.create_connection is reactor.create_connection


def test_other_attributes_are_missing_as_always() -> None:
    with pytest.raises(AttributeError, match="_nothing"):
        reactor._nothing  # noqa: B018


def test_installed_it_is_what_import_websocket_gives() -> None:
    printed = run_installed(
        "import websocket\n"
        "from websocket import WebSocketApp, create_connection\n"
        "from websocket._exceptions import WebSocketTimeoutException\n"
        "import websocket._abnf, websocket._app, websocket._logging\n"
        "from websocket._ssl_compat import ssl\n"
        "from websocket._url import parse_url\n"
        "assert WebSocketApp is reactor.WebSocketApp\n"
        "assert WebSocketTimeoutException is reactor.WebSocketTimeoutException\n"
        "print(parse_url('ws://example.com:81/r?q'), websocket._app.WebSocketApp.__module__)\n"
    )
    assert printed == "('example.com', 81, '/r?q', False) reactor.classic.app.app\n"


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo, at the end, what an installation changes in this process."""
    kinds = [getattr(reactor, name) for name in dir(websocket) if name.startswith("WebSocket")]
    for kind in (*kinds, reactor.ABNF):
        monkeypatch.setattr(kind, "__module__", kind.__module__)
    monkeypatch.setattr(
        reactor.WebSocketException, "__reduce__", reactor.WebSocketException.__reduce__
    )
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    with mock.patch.dict(sys.modules):
        yield


@pytest.mark.usefixtures("untouched")
def test_what_is_imported_after_the_installation_is_ours_and_nothing_else_is() -> None:
    before = len(sys.meta_path)
    reactor.install_as_websocket()
    reactor.install_as_websocket()
    assert len(sys.meta_path) == before + 1
    installed = importlib.import_module("websocket")
    assert installed is not websocket
    assert installed.WebSocketApp is reactor.WebSocketApp
    assert importlib.import_module("websocket._core").WebSocket is reactor.WebSocket
    sys.modules.pop("colorsys", None)
    del sys.modules["websocket._url"]
    assert "reactor" not in str(importlib.import_module("colorsys").__file__)
    assert importlib.import_module("websocket._url") is not reactor._url


@pytest.mark.usefixtures("untouched")
def test_the_genuine_package_is_never_taken_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactor, "__path__", [])
    with pytest.raises(ModuleNotFoundError, match="take all modules of reactor along") as caught:
        reactor.install_as_websocket()
    assert caught.value.name == "websocket"


def test_a_private_module_has_one_of_fourteen_names() -> None:
    assert {private_module(name).__name__ for name in PRIVATE_MODULES} == {
        f"reactor.websocket.{name}" for name in PRIVATE_MODULES
    }
    with pytest.raises(AttributeError, match="module 'reactor' has no attribute '_other'"):
        private_module("_other")


def test_small_functions_of_the_private_modules_answer_as_theirs() -> None:
    ours, theirs = reactor._utils, importlib.import_module("websocket._utils")
    for value in (b"abc", "é".encode(), b"\xff", b"\xed\xa0\x80"):
        assert ours.validate_utf8(value) == theirs.validate_utf8(value)
    for error in (OSError(5, "x"), ValueError("only"), ValueError()):
        assert ours.extract_err_message(error) == theirs.extract_err_message(error)
        assert ours.extract_error_code(error) == theirs.extract_error_code(error)
    with ours.NoLock():
        pass


@pytest.mark.parametrize(
    "url",
    ["ws://a.example", "wss://a.example", "ws://a.example:81/x?y=1", "wss://[2a03::1]:99/r"],
)
def test_parse_url_answers_as_theirs(url: str) -> None:
    assert reactor._url.parse_url(url) == importlib.import_module("websocket._url").parse_url(url)


def test_get_proxy_info_answers_as_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = importlib.import_module("websocket._url").get_proxy_info
    ours = reactor._url.get_proxy_info
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert ours("a.example", False) == theirs("a.example", False) == (None, 0, None)
    explicit = {"proxy_host": "p.example", "proxy_port": 8080, "proxy_auth": ("u", "w")}
    assert ours("a.example", False, **explicit) == theirs("a.example", False, **explicit)
    monkeypatch.setenv("http_proxy", "http://q.example:3128/")
    assert ours("a.example", False) == theirs("a.example", False)
    assert ours("a.example", True) == theirs("a.example", True)
    assert ours("a.example", False, no_proxy=["a.example"])[0] is None
    monkeypatch.setenv("http_proxy", "http://q.example")
    assert ours("a.example", False) == theirs("a.example", False) == ("q.example", None, None)


def test_get_proxy_info_needs_a_port() -> None:
    for library in (reactor, websocket):
        with pytest.raises(library.WebSocketProxyException) as caught:
            library._url.get_proxy_info("a.example", False, proxy_host="p.example")
        assert str(caught.value) == "Cannot use port 0 when proxy_host specified"
        assert library._url.get_proxy_info(
            "a.example", False, proxy_host="p.example", no_proxy=["a.example"]
        ) == (None, 0, None)


@pytest.mark.parametrize("host", ["a.example", "b.a.example", "xa.example", "192.0.2.7", "::1"])
@pytest.mark.parametrize(
    "entries", [["*"], ["a.example"], [".a.example"], ["192.0.2.0/24", "::/64"], ["192.0.2.7"], []]
)
def test_who_needs_no_proxy_is_said_as_theirs(
    host: str, entries: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = reactor._url, importlib.import_module("websocket._url")
    # ".a.example" is the end of xa.example for theirs, and its parent domain for nobody.
    if (host, entries) != ("xa.example", [".a.example"]):
        expected = theirs._is_no_proxy_host(host, entries)
        assert ours._is_no_proxy_host(host, entries) is expected
        monkeypatch.setenv("no_proxy", ", ".join(entries))
        assert ours._is_no_proxy_host(host, None) is expected
    for entry in entries:
        assert ours._is_subnet_address(entry) is theirs._is_subnet_address(entry)
        expected = theirs._is_address_in_network(host, entry)
        assert ours._is_address_in_network(host, entry) is expected
    assert ours._is_ip_address(host) is theirs._is_ip_address(host)
    with pytest.raises(TypeError):
        ours._is_ip_address(7)
