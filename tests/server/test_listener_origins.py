"""Who may connect, what is spoken, what the answer says: origins, subprotocols, headers."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

from reactor import Accept, HTTPResponse, Reactor
from reactor.protocols.http.http11 import Request
from reactor.server.options import ServerOptions

from ..support.clients import REQUEST, RawClient, head
from ..support.driving import run_until
from ..support.serving import Echo, Served, echoes

pytestmark = pytest.mark.usefixtures("no_leaks")

Client = Callable[..., RawClient]

APP = "https://app.example"


def answer(loop: Reactor, raw_client: Client, *lines: str, **options: Any) -> list[str]:
    """Return the head of the answer to a request with further *lines*."""
    listener = loop.listen("127.0.0.1", 0, Echo, **options)
    client = raw_client(listener)
    client.send(head(*REQUEST, *lines))
    lines_of_answer = client.head()
    if lines_of_answer[0].startswith("HTTP/1.1 101"):
        assert echoes(client)
    else:
        lines_of_answer.append(client.until_closed().decode())
    listener.close()
    return lines_of_answer


# --- origins --------------------------------------------------------------------------------------

SUBDOMAINS = re.compile(r"https://([a-z0-9-]+\.)?app\.example")


@pytest.mark.parametrize(
    ("origins", "origin"),
    [
        (None, None),
        (None, "https://evil.example"),
        ([APP], APP),
        ([APP], "HTTPS://App.Example"),  # RFC 6454 section 4: scheme and host in lower case
        (["https://App.example"], APP),
        ([APP], "https://app.example:443"),  # section 5: the default port is the same origin
        (["https://app.example:443"], APP),
        (["http://localhost:80"], "http://localhost"),
        (["http://localhost:8080"], "http://localhost:8080"),
        (["http://[::1]:80"], "http://[::1]"),
        ([APP, None], None),
        ([APP, None], APP),
        ((None,), None),
        ({APP, "https://other.example"}, "https://other.example"),
        (["null"], "null"),
        (["chrome-extension://abc"], "chrome-extension://abc"),
        (["file://"], "file://"),
        ([SUBDOMAINS], APP),
        ([SUBDOMAINS], "https://a-1.app.example"),
        ([SUBDOMAINS], "https://A-1.APP.example:443"),
        ([SUBDOMAINS, "https://other.example"], "https://other.example"),
        ([re.compile("https://.*"), re.compile("http://.*")], "http://a"),
    ],
)
def test_an_origin_that_is_allowed(
    loop: Reactor, raw_client: Client, origins: Any, origin: str | None
) -> None:
    lines = [] if origin is None else [f"Origin: {origin}"]
    assert answer(loop, raw_client, *lines, origins=origins)[0].startswith("HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("origins", "origin"),
    [
        ([APP], "http://app.example"),
        ([APP], "https://app.example:8443"),
        ([APP], "https://app.example:80"),
        ([APP], "https://app.example.evil.example"),
        ([APP], "https://evil.example/https://app.example"),
        ([APP], "https://www.app.example"),
        ([APP], "https://app.example https://evil.example"),
        ([APP], ""),
        ([APP], "null"),
        ([APP], None),
        ([], APP),
        ([], None),
        ([None], APP),
        ([SUBDOMAINS], "https://app.example.evil.example"),
        ([SUBDOMAINS], "https://evilapp.example"),
        ([SUBDOMAINS], "https://evil.example#https://app.example"),
        ([SUBDOMAINS], None),
        ([re.compile(".*")], None),
    ],
)
def test_an_origin_that_is_not_allowed(
    loop: Reactor, raw_client: Client, origins: Any, origin: str | None
) -> None:
    lines = [] if origin is None else [f"Origin: {origin}"]
    first, *_, body = answer(loop, raw_client, *lines, origins=origins)
    assert first == "HTTP/1.1 403 Forbidden"
    shown = "without an Origin" if origin is None else f"from the Origin '{origin}'"
    assert body == f"connections {shown} are not allowed here\n"


def test_one_origin_cannot_hide_behind_another(loop: Reactor, raw_client: Client) -> None:
    lines = [f"Origin: {APP}", "Origin: https://evil.example"]
    for origins in ([APP], [re.compile(".*")], ["https://evil.example"]):
        assert answer(loop, raw_client, *lines, origins=origins)[0] == "HTTP/1.1 403 Forbidden"


def test_a_refused_origin_is_in_the_log_and_nobody_is_served(
    loop: Reactor, raw_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "reactor")
    served = Served()
    listener = loop.listen("127.0.0.1", 0, served, origins=[APP])
    client = raw_client(listener)
    client.send(head(*REQUEST, "Origin: https://evil.example"))
    client.until_closed()
    client.close()
    run_until(loop, lambda: caplog.text)
    assert served == []
    assert "'https://evil.example' are not allowed here" in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.INFO}


def test_an_origin_is_checked_whatever_process_request_says(
    loop: Reactor, raw_client: Client
) -> None:
    first, *_ = answer(
        loop,
        raw_client,
        "Origin: https://evil.example",
        origins=[APP],
        process_request=lambda request, sock: Accept(Echo),
    )
    assert first == "HTTP/1.1 403 Forbidden"


def test_a_health_check_has_no_origin(loop: Reactor, raw_client: Client) -> None:
    first, *_ = answer(
        loop, raw_client, origins=[APP], process_request=lambda request, sock: HTTPResponse(200)
    )
    assert first == "HTTP/1.1 200 OK"


# --- subprotocols ---------------------------------------------------------------------------------


def chosen_of(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("Sec-WebSocket-Protocol:")]


def test_a_function_can_choose_the_subprotocol(loop: Reactor, raw_client: Client) -> None:
    seen: list[Any] = []

    def choose(request: Request, offered: tuple[str, ...]) -> str | None:
        seen.append((request.target, offered))
        return offered[-1] if offered else None

    offer = "Sec-WebSocket-Protocol: v1, v2,v3"
    lines = answer(loop, raw_client, offer, "Sec-WebSocket-Protocol: v4", subprotocols=choose)
    assert chosen_of(lines) == ["Sec-WebSocket-Protocol: v4"]
    assert chosen_of(answer(loop, raw_client, subprotocols=choose)) == []
    assert seen == [("/chat?x=1", ("v1", "v2", "v3", "v4")), ("/chat?x=1", ())]


@pytest.mark.parametrize("choice", [["v9"], [], lambda request, offered: None])
def test_without_a_match_the_connection_opens_without_a_subprotocol(
    loop: Reactor, raw_client: Client, choice: Any
) -> None:
    lines = answer(loop, raw_client, "Sec-WebSocket-Protocol: v1", subprotocols=choice)
    assert lines[0].startswith("HTTP/1.1 101 ")
    assert chosen_of(lines) == []


def fails(request: Request, offered: tuple[str, ...]) -> str:
    raise LookupError("no such thing")


@pytest.mark.parametrize(
    ("choose", "words"),
    [
        (lambda request, offered: "v3", "subprotocol 'v3' was not offered, only ['v1', 'v2']"),
        (lambda request, offered: "", "subprotocol '' was not offered"),
        (lambda request, offered: 5, "subprotocol 5 was not offered"),
        (fails, "no such thing"),
    ],
)
def test_a_function_that_chooses_wrongly_is_an_error_of_the_server(
    loop: Reactor,
    raw_client: Client,
    caplog: pytest.LogCaptureFixture,
    choose: Any,
    words: str,
) -> None:
    offer = "Sec-WebSocket-Protocol: v1, v2"
    first, *_ = answer(loop, raw_client, offer, subprotocols=choose)
    assert first == "HTTP/1.1 500 Internal Server Error"
    assert words in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


# --- further headers ------------------------------------------------------------------------------


def test_further_headers_of_the_answer(loop: Reactor, raw_client: Client) -> None:
    for headers in ({"Server": "ours", "X": 5}, ["Server: ours", ("X", "5")]):
        lines = answer(loop, raw_client, response_headers=headers)
        assert lines[-2:] == ["Server: ours", "X: 5"]
    once = iter([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    listener = loop.listen("127.0.0.1", 0, Echo, response_headers=once)
    for _ in range(2):
        client = raw_client(listener)
        assert client.upgrade()[-2:] == ["Set-Cookie: a=1", "Set-Cookie: b=2"]


def test_a_function_can_give_headers(loop: Reactor, raw_client: Client) -> None:
    def headers(request: Request) -> dict[str, str] | None:
        return {"Set-Cookie": "seen=1"} if "Cookie" not in request.headers else None

    first = answer(loop, raw_client, response_headers=headers)
    assert first[-1] == "Set-Cookie: seen=1"
    second = answer(loop, raw_client, "Cookie: seen=1", response_headers=headers)
    assert not [line for line in second if line.startswith("Set-Cookie")]


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Connection": "close"}, "header Connection is set by the handshake itself"),
        ({"X": "a\r\nEvil: 1"}, "header X: the value holds"),
        ("X: a", "header must be a mapping"),
        ([5], "header 0 must be"),
    ],
)
def test_headers_that_cannot_be_sent(
    loop: Reactor,
    raw_client: Client,
    caplog: pytest.LogCaptureFixture,
    headers: Any,
    words: str,
) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        ServerOptions(response_headers=headers)
    first, *_ = answer(loop, raw_client, response_headers=lambda request: headers)
    assert first == "HTTP/1.1 500 Internal Server Error"
    assert words in caplog.text


# --- wrong options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"origins": APP}, "origins is a list of origins, not a str"),
        ({"origins": SUBDOMAINS}, "origins is a list of origins, not a Pattern"),
        ({"origins": 5}, "origins is a list of origins, not a int"),
        ({"origins": [5]}, "origins has 5"),
        ({"origins": [re.compile(b"x")]}, "origins has re.compile"),
        ({"origins": ["app.example"]}, "origins has 'app.example', which is not scheme://host"),
        ({"origins": ["https://app.example/"]}, "origins has 'https://app.example/'"),
        ({"origins": ["https://*.app.example/chat"]}, "which is not scheme://host"),
        ({"subprotocols": "v1"}, "subprotocols must be a list of str"),
        ({"subprotocols": ["v 1"]}, "'v 1' is not a valid name"),
        ({"subprotocols": [5]}, "subprotocols must be a list of str, not of 5"),
        ({"process_request": HTTPResponse(200)}, "process_request must be a function"),
        ({"ssl": True}, "ssl must be an ssl.SSLContext, not bool"),
        ({"ssl": {"certfile": "x"}}, "ssl must be an ssl.SSLContext, not dict"),
        ({"max_handshakes": 0}, "max_handshakes must be None, or greater than 0, not 0"),
        ({"max_handshakes": "5"}, "max_handshakes must be"),
        ({"max_connections_per_address": 0}, "max_connections_per_address must be None, or"),
        ({"unix_mode": -1}, "unix_mode must be None, or 0 to 0o777"),
        ({"unix_mode": 0o1777}, "unix_mode must be"),
        ({"unix_mode": "660"}, "unix_mode must be"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_option_is_an_error_of_the_call(
    loop: Reactor, options: dict[str, Any], words: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=re.escape(words)):
        loop.listen("127.0.0.1", 0, Echo, **options)
    assert loop.listeners == set()


def test_cookies_of_the_answer_stay_out_of_the_log() -> None:
    assert "sesame" not in repr(ServerOptions(response_headers={"Set-Cookie": "sesame"}))
