"""Credentials in heads and URLs are blacked out, in their length."""

from __future__ import annotations

import pytest

from reactor.monitor.recording.redact import redact_head, redact_url


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


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer xxxxxxx"),
        ("authorization:Basic dXNlcg==", "authorization:Basic xxxxxxxx"),
        ("Authorization: abc", "Authorization: xxx"),
        ("Proxy-Authorization: Basic YQ==", "Proxy-Authorization: Basic xxxx"),
        ("Cookie: a=1; session=22", "Cookie: a=x; session=xx"),
        ("Cookie: abc", "Cookie: xxx"),
        ("Cookie: a=1;  bc ;; d", "Cookie: a=x;  xx ;; x"),
        ("Set-Cookie: abc; Path=/", "Set-Cookie: xxx; Path=/"),
        ("OK-ACCESS-SIGN: ab=", "OK-ACCESS-SIGN: xxx"),
        ("X-Original-URL: /a?token=abc", "X-Original-URL: /a?token=xxx"),
        ("Origin: https://user:word@host", "Origin: https://xxxxxxxxx@host"),
        ("Location: wss://host/#access_token=abc", "Location: wss://host/#access_token=xxx"),
        ("Set-Cookie: sid=abc; Path=/; HttpOnly", "Set-Cookie: sid=xxx; Path=/; HttpOnly"),
        ("X-API-Key: 42", "X-API-Key: xx"),
        ("X-Auth-Token: 42", "X-Auth-Token: xx"),
        ("Location: /other?token=1", "Location: /other?token=x"),
        ("Sec-WebSocket-Protocol: chat, v2", "Sec-WebSocket-Protocol: chat, v2"),
        ("Sec-WebSocket-Protocol: access_token, abc", "Sec-WebSocket-Protocol: access_token, xxx"),
        ("Sec-WebSocket-Protocol: eyJhbGci", "Sec-WebSocket-Protocol: xxxxxxxx"),
        ("Sec-WebSocket-Key: dGhlIHNh", "Sec-WebSocket-Key: dGhlIHNh"),
        ("Sec-WebSocket-Accept: s3pPLMBi", "Sec-WebSocket-Accept: s3pPLMBi"),
        ("Host: token.example", "Host: token.example"),
        ("User-Agent: x", "User-Agent: x"),
        ("no colon", "no colon"),
    ],
)
def test_in_a_line_of_a_head(line: str, shown: str) -> None:
    first = "HTTP/1.1 101 Switching Protocols"
    head = f"{first}\r\n{line}\r\n\r\n".encode()
    assert redact_head(head) == f"{first}\r\n{shown}\r\n\r\n".encode()


def test_in_the_first_line_of_a_request() -> None:
    head = b"GET /ws?token=abc HTTP/1.1\r\nHost: x\r\n\r\n"
    assert redact_head(head) == b"GET /ws?token=xxx HTTP/1.1\r\nHost: x\r\n\r\n"


def test_in_the_body_behind_a_head() -> None:
    head = b"HTTP/1.1 404 Not Found\r\n\r\nnot here: /?token=abc\nCookie: a=1"
    assert redact_head(head) == head.replace(b"abc", b"xxx")


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    head = b"GET / HTTP/1.1\nX: \xff\x00\r\n\r\n"
    assert redact_head(head) == head
