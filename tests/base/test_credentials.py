"""Credentials in URLs are blacked out, in their length; and so they are in the log."""

from __future__ import annotations

import logging

import pytest

from reactor import HTTPResponse, Reactor, State, WebSocketProtocol
from reactor.base.credentials import redact_parameters, redact_url

from ..support.driving import run_until


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://host/path", "wss://host/path"),
        ("wss://host/?symbol=btc&token=abc", "wss://host/?symbol=btc&token=xxx"),
        ("/ws?API_KEY=k1&secret=s2&signature=0xff", "/ws?API_KEY=xx&secret=xx&signature=xxxx"),
        ("/ws?access%5Ftoken=abc", "/ws?access%5Ftoken=xxx"),
        ("/ws?listenKey=abc&x=1", "/ws?listenKey=xxx&x=1"),
        ("/ws?password=", "/ws?password="),
        ("/ws?a=1;pwd=b", "/ws?a=1;pwd=x"),
        ("wss://user:word@host/", "wss://xxxxxxxxx@host/"),
        ("/ws?token", "/ws?token"),
        ("/ws?depth=5&side=buy", "/ws?depth=5&side=buy"),
        ("/ws?ACCESS-SIGN=ab&api_sig=cd&otp=1", "/ws?ACCESS-SIGN=xx&api_sig=xx&otp=x"),
        ("/ws?design=5&spin=1&postcode=2", "/ws?design=5&spin=1&postcode=2"),
        ("wss://host/back#access_token=abc&x=1", "wss://host/back#access_token=xxx&x=1"),
        ("wss://host/back?x=1#token=abc", "wss://host/back?x=1#token=xxx"),
        (f"wss://host/ws/{'a1' * 16}", f"wss://host/ws/{'x' * 32}"),
        (f"/ws/{'a1' * 16}/live?x=1", f"/ws/{'x' * 32}/live?x=1"),
        ("/ws/eyJhbGci.eyJz.c2ln", "/ws/xxxxxxxxxxxxxxxxxx"),
        ("/stream/btcusdt@kline_1m@depth20@100ms", "/stream/btcusdt@kline_1m@depth20@100ms"),
    ],
)
def test_in_a_url(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_in_a_text() -> None:
    text = "not a request: 'GET /?a=1&token=abc HTTP/1.1'"
    assert redact_parameters(text) == "not a request: 'GET /?a=1&token=xxx HTTP/1.1'"


def test_the_log_of_both_sides_has_none(loop: Reactor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "reactor")

    def process(request: object, sock: object) -> HTTPResponse | None:
        return HTTPResponse(403) if "no" in request.target else None  # type: ignore[attr-defined]

    listener = loop.listen("127.0.0.1", 0, WebSocketProtocol, process_request=process)
    for path in ("yes", "no"):
        url = f"ws://127.0.0.1:{listener.port}/{path}?a=1&token=s3cr3t"
        client = loop.connect(url, WebSocketProtocol, proxy=None)
        run_until(loop, lambda client=client: client.state is State.OPEN or client.ending)
        client.close()
        run_until(loop, lambda: not loop.connections)
    lines = [record.getMessage() for record in caplog.records]
    assert any("/yes?a=1&token=xxxxxx is open" in line for line in lines)
    assert any("GET /no?a=1&token=xxxxxx: 403" in line for line in lines)
    assert not [line for line in lines if "s3cr3t" in line]
