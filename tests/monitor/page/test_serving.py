"""The monitor's server: what it answers, whom, and how it ends."""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import replace

import pytest

from reactor import WebSocketProtocol
from reactor.monitor import Monitor, serve
from reactor.monitor.page.access import Access
from reactor.testing import ManualReactor

from .watched import Watched


def test_the_page_and_its_parts_come_from_here_alone(watched: Watched) -> None:
    head, body = watched.fetch("/")
    assert head.startswith("HTTP/1.1 200 ")
    assert "default-src 'none'" in head
    assert "<title>reactor</title>" in body
    assert "//" not in body.replace("<!doctype", "")  # no address of anything
    for path, kind in (("/monitor.js", "text/javascript"), ("/monitor.css", "text/css")):
        head, body = watched.fetch(path)
        assert f"Content-Type: {kind}" in head
        assert "http:" not in body
        assert "https:" not in body


def test_stats_as_json(watched: Watched) -> None:
    status, body = watched.get("/stats.json")
    figures = json.loads(body)
    assert status == 200
    assert figures["open"] == 0
    assert figures["listeners"] == 1
    assert figures["feeds"] == []
    assert "turns" in figures
    assert "python" in figures["process"].lower()


def test_figures_for_prometheus(watched: Watched) -> None:
    pytest.importorskip("prometheus_client")
    head, body = watched.fetch("/metrics")
    assert "Content-Type: text/plain" in head
    assert "reactor_loop_turns_total" in body
    head, body = watched.fetch("/metrics", Accept="application/openmetrics-text")
    assert "openmetrics" in head
    assert body.endswith("# EOF\n")


def test_without_prometheus_client(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reactor.monitor.prometheus", None)
    status, body = watched.get("/metrics")
    assert status == 501
    assert "prometheus_client" in body


def test_what_it_has_not(watched: Watched) -> None:
    assert watched.get("/nothing")[0] == 404
    assert watched.get("/../serving.py")[0] == 404
    assert watched.get("/", method="POST")[0] == 405
    assert watched.get("/", method="HEAD") == (200, "")


@pytest.mark.parametrize("path", ["/", "/stats.json", "/metrics", "/live"])
def test_other_names_of_this_machine_are_refused(watched: Watched, path: str) -> None:
    """A site may have its name point here: see DNS rebinding."""
    port = watched.monitor.port
    assert watched.get(path, Host=f"evil.example:{port}")[0] == 403
    assert watched.get(path, Host=f"127.0.0.1.evil.example:{port}")[0] == 403
    for name in ("localhost", "127.0.0.1", "LOCALHOST"):
        assert watched.get("/", Host=f"{name}:{port}")[0] == 200


def test_another_address_of_this_machine_is_this_machine(loop: ManualReactor) -> None:
    watched = Watched(loop, host="127.0.0.1")
    for host in ("127.0.0.2", "::1", "localhost"):
        assert Access(host, None)._local
    for host in ("0.0.0.0", "host.example"):
        assert not Access(host, None)._local
    assert watched.get("/", Host="127.0.0.2")[0] == 403


def test_a_page_for_everybody_without_a_token_is_warned_of(
    loop: ManualReactor, caplog: pytest.LogCaptureFixture
) -> None:
    Watched(loop, host="127.0.0.1")
    Watched(loop, host="0.0.0.0", token="T")
    assert not caplog.records
    open_to_all = Watched(loop, host="0.0.0.0")
    assert "give it a token" in caplog.text
    assert open_to_all.get("/", Host="any.example")[0] == 200


def test_pages_of_other_sites_are_refused(watched: Watched) -> None:
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for origin in ("https://evil.example", "null", "http://localhost:1"):
        assert watched.get("/live", Origin=origin, **upgrade)[0] == 403
    page = watched.open_page()
    assert page.of("hello")


def test_a_token_is_needed_where_one_is_set(loop: ManualReactor) -> None:
    watched = Watched(loop, token="open sesame")
    for path in ("/", "/stats.json", "/metrics"):
        assert watched.get(path)[0] == 401
        assert watched.get(path + "?token=wrong")[0] == 401
        assert watched.get(path, Authorization="Bearer wrong")[0] == 401
    assert watched.get("/", Authorization="Bearer open sesame")[0] == 200
    assert watched.get("/?token=open%20sesame", Host="any.example")[0] == 200
    assert watched.monitor.url == f"http://127.0.0.1:{watched.monitor.port}/?token=open%20sesame"
    refused = watched.open_page()
    assert refused.closed is not None
    assert watched.open_page("?token=open%20sesame").of("hello")


def test_style_and_script_need_no_token(loop: ManualReactor) -> None:
    """They hold no secret, and a browser asks for them without the page's query."""
    watched = Watched(loop, token="t")
    assert watched.get("/monitor.css")[0] == watched.get("/monitor.js")[0] == 200


@pytest.mark.parametrize("token", ["", 5, b"t"])
def test_a_token_that_cannot_be_one(loop: ManualReactor, token: object) -> None:
    with pytest.raises(ValueError, match="token"):
        serve(loop, port=0, token=token)  # type: ignore[arg-type]


def test_a_port_in_use_is_an_error_that_names_it(loop: ManualReactor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=str(port)):
            serve(loop, port=port)
    assert loop.stats().listeners == 0
    assert loop.stats().timers == 0


def test_it_ends(watched: Watched) -> None:
    page = watched.open_page()
    watched.monitor.close()
    watched.monitor.close()
    watched.loop.run_until(lambda: page.closed)
    watched.loop.advance(30)
    assert page.closed == (1001, "")
    assert watched.loop.stats().listeners == 0
    assert watched.loop.stats().timers == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", watched.monitor.port))


def test_two_monitors_of_one_loop(watched: Watched) -> None:
    other = Watched(watched.loop)
    assert watched.get("/")[0] == other.get("/")[0] == 200
    assert isinstance(other.monitor, Monitor)


def test_a_loop_that_is_closed_takes_it_along() -> None:
    with ManualReactor() as loop:
        page = Watched(loop).open_page()
    assert page.closed is not None


def test_names_cannot_become_html_or_headers(watched: Watched) -> None:
    protocol = WebSocketProtocol()
    watched.loop.connect("ws://127.0.0.1:1/<script>alert(1)</script>\u202e", protocol)
    status, body = watched.get("/stats.json")
    assert status == 200
    assert "\u202e" not in body
    head, _ = watched.fetch("/stats.json")
    assert "Content-Type: application/json" in head
    assert "nosniff" in head


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "localhost"), ("::1", "[::1]")]
)
def test_the_address_can_be_opened_in_a_browser(loop: ManualReactor, host: str, shown: str) -> None:
    with loop:
        monitor = serve(loop, host, port=0, token="a token")
        assert monitor.url == f"http://{shown}:{monitor.port}/?token=a%20token"


def test_a_callback_that_has_taken_long_is_a_fact(watched: Watched) -> None:
    series = watched.monitor.series
    assert "longest callback" not in dict(watched.monitor.facts())
    series.latest = replace(series.latest, longest_callback=0.25, longest_callback_of="Quotes")
    assert dict(watched.monitor.facts())["longest callback"] == "250.0 ms, Quotes"
