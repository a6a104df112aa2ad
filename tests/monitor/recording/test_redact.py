"""Credentials in heads are blacked out, in their length."""

from __future__ import annotations

import pytest

from reactor.monitor.recording.redact import redact_head


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


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    head = b"GET / HTTP/1.1\nX: \xff\x00\r\n\r\n"
    assert redact_head(head) == head
