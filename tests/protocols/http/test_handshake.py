"""The opening handshake: the client's side, and that both sides understand each other."""

from __future__ import annotations

import base64

import pytest

from reactor.exceptions import WebSocketBadStatusException, WebSocketHandshakeException
from reactor.protocols.http import handshake
from reactor.protocols.http.answers import UpgradeRequest, build_response, check_request
from reactor.protocols.http.handshake import (
    Accepted,
    accept_for,
    bad_status,
    build_request,
    check_response,
    make_key,
    normalize_headers,
)
from reactor.protocols.http.headers import Headers
from reactor.protocols.http.http11 import HeadParser, Request, Response

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 section 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def read_request(data: bytes) -> Request:
    parser = HeadParser("request")
    request = parser.feed(data)
    assert request is not None
    assert parser.leftover == b""
    return request


def read_response(data: bytes) -> tuple[Response, bytes]:
    parser = HeadParser("response")
    response = parser.feed(data)
    assert response is not None
    return response, parser.leftover


def changed(pairs: dict[str, str], changes: dict[str, str | None]) -> Headers:
    """Return headers: `pairs` with some values replaced, or left out where the value is None."""
    merged: dict[str, str | None] = {**pairs, **changes}
    return Headers([(name, value) for name, value in merged.items() if value is not None])


class TestKey:
    def test_a_key_is_16_bytes_in_base64(self):
        assert len(base64.b64decode(make_key(), validate=True)) == 16

    def test_keys_differ(self):
        assert make_key() != make_key()

    def test_accept_of_the_rfc(self):
        assert accept_for(KEY) == ACCEPT


class TestNormalizeHeaders:
    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            (None, []),
            ({}, []),
            ([], []),
            ({"A": "1", "B": None, "C": b"\xe9", "D": 7}, [("A", "1"), ("C", "\xe9"), ("D", "7")]),
            (
                ["A: 1", "B:2", "C:", b"D: \xe9: x"],
                [("A", "1"), ("B", "2"), ("C", ""), ("D", "\xe9: x")],
            ),
            (("A: 1", "A: 2"), [("A", "1"), ("A", "2")]),
            ([("A", "1"), ["B", 2], ("C", None)], [("A", "1"), ("B", "2")]),
            (Headers([("A", "1"), ("a", "2")]), [("A", "1"), ("a", "2")]),
            ((line for line in ["A: 1"]), [("A", "1")]),
        ],
    )
    def test_forms(self, header, expected):
        assert normalize_headers(header) == expected

    @pytest.mark.parametrize("header", ["A: 1", b"A: 1"])
    def test_one_line_is_no_list(self, header):
        with pytest.raises(
            TypeError, match=r"header must be a mapping or a list .* not (str|bytes)"
        ):
            normalize_headers(header)

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            (["A: 1", 7], "header 1 must be a .* not int"),
            (["A: 1", ("A", "1", "2")], "header 1 must be a .* not tuple"),
            ([(b"A", "1")], "header 0: the name must be str, not bytes"),
            ({"A": 1.5}, "header A: the value must be str, bytes or int, not float"),
            ({"A": True}, "header A: the value must be str, bytes or int, not bool"),
            ({"A": ["1"]}, "header A: .* not list"),
        ],
    )
    def test_wrong_types(self, header, message):
        with pytest.raises(TypeError, match=message):
            normalize_headers(header)

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            (["A: 1", "NoColon"], "header 1 has no colon: 'NoColon'"),
            (["Authorization Bearer sesame"], "header 0 has no colon: 'Authorization'$"),
            (["A: 1\r\nB: 2"], r"header A: the value holds '\\r'"),
            ({"A": "1\n"}, r"header A: the value holds '\\n'"),
            ({"A": b"\x00"}, r"header A: the value holds '\\x00'"),
            ({"A B": "1"}, "header name 'A B' is invalid"),
            ([": 1"], "header name '' is invalid"),
        ],
    )
    def test_wrong_values(self, header, message):
        with pytest.raises(ValueError, match=message):
            normalize_headers(header)


class TestBuildRequest:
    def test_order_of_the_lines(self):
        assert build_request(
            "example.com:8080",
            "/chat?x=1",
            KEY,
            origin="http://example.com",
            subprotocols=["a", "b"],
            extensions="permessage-deflate",
            headers=[("X-Custom", "1")],
            cookie="k=v",
        ) == (
            b"GET /chat?x=1 HTTP/1.1\r\n"
            b"Upgrade: websocket\r\n"
            b"Host: example.com:8080\r\n"
            b"Origin: http://example.com\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n"
            b"Connection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: a,b\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
            b"X-Custom: 1\r\n"
            b"Cookie: k=v\r\n"
            b"\r\n"
        )

    def test_what_is_not_given_is_not_sent(self):
        assert build_request(None, "/", KEY, cookie="") == (
            b"GET / HTTP/1.1\r\n"
            b"Upgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n"
            b"Connection: Upgrade\r\n"
            b"\r\n"
        )

    @pytest.mark.parametrize(
        "name",
        [
            "upgrade",
            "Host",
            "ORIGIN",
            "Sec-WebSocket-Key",
            "Sec-Websocket-Version",
            "Connection",
        ],
    )
    def test_a_custom_header_takes_the_place_of_ours(self, name):
        data = build_request("h", "/", KEY, origin="http://h", headers=[(name, "custom")])
        assert read_request(data).headers.get_all(name) == ["custom"]

    def test_requests_to_the_same_place_differ_in_their_keys_only(self):
        other = make_key()
        first, second = (
            build_request("h", "/", key, headers=[("A", "1")], cookie="c=1") for key in (KEY, other)
        )
        assert first != second
        assert first.replace(KEY.encode(), other.encode()) == second

    def test_a_list_of_headers_may_change_between_two_requests(self):
        headers = [("A", "1")]
        build_request("h", "/", KEY, headers=headers)
        headers[0] = ("A", "2")
        assert b"\r\nA: 2\r\n" in build_request("h", "/", KEY, headers=headers)

    def test_the_key_of_a_custom_header_is_the_only_one_every_time(self):
        own = [("sec-websocket-key", "own")]
        for key in (KEY, make_key()):
            data = build_request("h", "/", key, headers=own)
            assert read_request(data).headers.get_all("Sec-WebSocket-Key") == ["own"]

    def test_connection_line(self):
        data = build_request("h", "/", KEY, connection="Connection: keep-alive, Upgrade")
        assert read_request(data).headers.get_all("Connection") == ["keep-alive, Upgrade"]

    def test_connection_line_without_a_name(self):
        with pytest.raises(ValueError, match="no colon: 'keep-alive'"):
            build_request("h", "/", KEY, connection="keep-alive")

    def test_values_beyond_latin_1_are_sent_as_utf_8(self):
        data = build_request("h", "/", KEY, headers=[("A", "\xe9"), ("B", "\u20ac")])
        assert b"\r\nA: \xe9\r\nB: \xe2\x82\xac\r\n" in data

    @pytest.mark.parametrize("bad", ["a\r\nB: c", "a\nb", "a\x00"])
    @pytest.mark.parametrize(
        ("named", "arguments"),
        [
            ("header Host", {"host_header": "{}"}),
            ("header Origin", {"origin": "{}"}),
            ("header Sec-WebSocket-Key", {"key": "{}"}),
            ("header Sec-WebSocket-Extensions", {"extensions": "{}"}),
            ("Sec-WebSocket-Protocol", {"subprotocols": ["{}"]}),
            ("header X", {"headers": [("X", "{}")]}),
            ("header name", {"headers": [("{}", "x")]}),
            ("header Cookie", {"cookie": "{}"}),
            ("header Connection", {"connection": "Connection: {}"}),
            ("the resource", {"resource": "/{}"}),
        ],
    )
    def test_no_header_injection(self, named, arguments, bad):
        def filled(value):
            if isinstance(value, str):
                return value.format(bad)
            return type(value)(filled(part) for part in value)

        merged = {"host_header": "h", "resource": "/", "key": KEY}
        merged |= {name: filled(value) for name, value in arguments.items()}
        with pytest.raises(ValueError) as caught:
            build_request(**merged)
        assert str(caught.value).startswith(named)

    @pytest.mark.parametrize("resource", ["", "/a b", "/\xe9"])
    def test_bad_resource(self, resource):
        with pytest.raises(ValueError, match=r"the resource .* is not in visible ASCII"):
            build_request("h", resource, KEY)

    @pytest.mark.parametrize("name", ["", "a b", "a,b", "\xe9"])
    def test_bad_subprotocol(self, name):
        with pytest.raises(ValueError, match=r"Sec-WebSocket-Protocol: .* is not a valid name"):
            build_request("h", "/", KEY, subprotocols=["good", name])

    def test_base64_as_subprotocol(self):
        data = build_request("h", "/", KEY, subprotocols=["header-eyJob3N0IjoiIn0=", "x/y"])
        assert b"\r\nSec-WebSocket-Protocol: header-eyJob3N0IjoiIn0=,x/y\r\n" in data

    def test_the_same_subprotocol_twice(self):
        with pytest.raises(ValueError, match="'a' is offered twice"):
            build_request("h", "/", KEY, subprotocols=["a", "b", "a"])

    def test_a_str_is_no_list_of_subprotocols(self):
        with pytest.raises(TypeError, match="must be a list of str, not str"):
            build_request("h", "/", KEY, subprotocols="chat")


class TestCheckResponse:
    GOOD = {  # noqa: RUF012 - never changed
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": ACCEPT,
    }

    def check(self, changes=None, **offered):
        headers = changed(self.GOOD, changes or {})
        return check_response(Response(101, "Switching Protocols", headers), KEY, **offered)

    def test_good(self):
        assert self.check() == Accepted(None, ())

    @pytest.mark.parametrize(
        "changes",
        [
            {"Upgrade": "WebSocket"},
            {"Upgrade": "h2c, websocket"},
            {"Connection": "keep-alive, UPGRADE"},
        ],
    )
    def test_tokens_in_any_case(self, changes):
        assert self.check(changes) == Accepted(None, ())

    @pytest.mark.parametrize(
        "changes",
        [
            {"Upgrade": None},
            {"Upgrade": "websockets"},
            {"Connection": None},
            {"Connection": "close"},
            {"Sec-WebSocket-Accept": None},
            {"Sec-WebSocket-Accept": ""},
            {"Sec-WebSocket-Accept": ACCEPT.lower()},
            {"Sec-WebSocket-Accept": accept_for(make_key())},
            {"sec-websocket-accept": ACCEPT},  # came twice
        ],
    )
    def test_missing_or_wrong_header(self, changes):
        (name,) = changes
        with pytest.raises(WebSocketHandshakeException) as caught:
            self.check(changes)
        prefix = f"Invalid WebSocket Header: {name} is "
        assert str(caught.value).lower().startswith(prefix.lower())

    def test_other_status(self):
        with pytest.raises(WebSocketBadStatusException, match="Handshake status 200 OK") as caught:
            check_response(Response(200, "OK", changed(self.GOOD, {})), KEY)
        assert caught.value.status_code == 200

    def test_subprotocol(self):
        accepted = self.check({"Sec-WebSocket-Protocol": "b"}, subprotocols=["a", "b"])
        assert accepted.subprotocol == "b"

    @pytest.mark.parametrize("value", [None, ""])
    def test_no_subprotocol_chosen(self, value):
        accepted = self.check({"Sec-WebSocket-Protocol": value}, subprotocols=["a"])
        assert accepted.subprotocol is None

    @pytest.mark.parametrize("value", ["c", "A", "a, b"])
    def test_a_subprotocol_that_was_not_offered(self, value):
        with pytest.raises(WebSocketHandshakeException, match=r"not one of \['a', 'b'\]"):
            self.check({"Sec-WebSocket-Protocol": value}, subprotocols=["a", "b"])

    def test_two_subprotocol_headers(self):
        changes = {"Sec-WebSocket-Protocol": "a", "sec-websocket-protocol": "a"}
        with pytest.raises(WebSocketHandshakeException, match="Protocol was sent 2 times"):
            self.check(changes, subprotocols=["a"])

    @pytest.mark.parametrize("values", [["a"], ["a", "b"]])
    def test_where_none_was_offered_it_may_be_ignored(self, values):
        names = ["Sec-WebSocket-Protocol", "sec-websocket-protocol"]
        changes = dict(zip(names, values, strict=False))
        with pytest.raises(WebSocketHandshakeException):
            self.check(changes)
        assert self.check(changes, lenient=True).subprotocol is None

    def test_another_than_those_offered_is_never_ignored(self):
        with pytest.raises(WebSocketHandshakeException, match=r"not one of \['a'\]"):
            self.check({"Sec-WebSocket-Protocol": "b"}, subprotocols=["a"], lenient=True)

    def test_subprotocols_offered_in_a_custom_header(self):
        accepted = self.check(
            {"Sec-WebSocket-Protocol": "b"}, headers=[("sec-websocket-protocol", "a, b")]
        )
        assert accepted.subprotocol == "b"

    def test_key_sent_in_a_custom_header(self):
        key = make_key()
        accepted = self.check(
            {"Sec-WebSocket-Accept": accept_for(key)}, headers=[("Sec-Websocket-Key", key)]
        )
        assert accepted == Accepted(None, ())

    def test_extensions(self):
        accepted = self.check(
            {"Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover, x"},
            extensions="x, permessage-deflate; client_max_window_bits, permessage-deflate",
        )
        assert accepted.extensions == ("permessage-deflate; server_no_context_takeover", "x")

    @pytest.mark.parametrize("offered", [None, "", "x"])
    def test_an_extension_that_was_not_offered(self, offered):
        with pytest.raises(WebSocketHandshakeException, match="'y; a=1', which was not offered"):
            self.check({"Sec-WebSocket-Extensions": "y; a=1"}, extensions=offered)

    def test_what_was_not_offered_may_be_ignored(self):
        changes = {"Sec-WebSocket-Extensions": "y; a=1, x; b=2"}
        assert self.check(changes, lenient=True).extensions == ()
        assert self.check(changes, extensions="x", lenient=True).extensions == ("x; b=2",)

    def test_an_extension_in_a_custom_header_is_not_offered(self):
        with pytest.raises(WebSocketHandshakeException, match="'y', which was not offered"):
            self.check(
                {"Sec-WebSocket-Extensions": "y"}, headers=[("Sec-WebSocket-Extensions", "y")]
            )


class TestBadStatus:
    def test_text_and_attributes(self):
        headers = Headers([("Content-Type", "text/plain"), ("X", "1"), ("x", "2")])
        error = bad_status(Response(403, "Forbidden", headers), b"go away \xff")
        assert str(error) == (
            "Handshake status 403 Forbidden -+-+- "
            "{'content-type': 'text/plain', 'x': '2'} -+-+- go away \ufffd"
        )
        assert error.status_code == 403
        assert error.status_message == "Forbidden"
        assert error.resp_headers == {"content-type": "text/plain", "x": "2"}
        assert error.resp_body == b"go away \xff"

    @pytest.mark.parametrize("body", [None, b""])
    def test_without_reason_and_body(self, body):
        error = bad_status(Response(502, ""), body)
        assert str(error) == "Handshake status 502 None -+-+- {} -+-+- None"
        assert error.status_message is None
        assert error.resp_body is None


class TestRoundTrip:
    def test_what_the_client_builds_the_server_accepts_and_back(self):
        key = make_key()
        sent = build_request(
            "[::1]:9001",
            "/a?b",
            key,
            origin="http://[::1]:9001",
            subprotocols=["chat", "superchat"],
            extensions="x; a, y",
            headers=normalize_headers({"Authorization": "Basic eA=="}),
            cookie="a=b; c=d",
        )
        request = read_request(sent)
        assert request.target == "/a?b"
        assert request.headers["Authorization"] == "Basic eA=="
        offer = check_request(request)
        assert offer == UpgradeRequest(key, ("chat", "superchat"), ("x; a", "y"))

        answer = build_response(offer.key, offer.subprotocols[1], "y; b=2", [("Server", "s")])
        parser = HeadParser()
        response = parser.feed(answer + b"\x81\x00")
        assert response is not None
        assert parser.leftover == b"\x81\x00"
        assert check_response(response, key, ["chat", "superchat"], "x; a, y") == Accepted(
            "superchat", ("y; b=2",)
        )

    def test_the_answer_to_another_key_is_refused(self):
        response, _ = read_response(build_response(make_key()))
        with pytest.raises(WebSocketHandshakeException, match="does not answer the key"):
            check_response(response, make_key())


def test_what_may_be_secret_is_not_kept() -> None:
    def kept() -> int:
        return handshake._around_key.cache_info().currsize

    before = kept()
    for given in (
        {"headers": [("Authorization", "Bearer secret")]},
        {"cookie": "session=secret"},
        {"subprotocols": ["bearer", "secret"]},
        {"connection": "Connection: secret"},
    ):
        request = build_request("secret.example", "/", "key", **given)
        assert b"secret\r\n" in request
        assert kept() == before
    assert b"token=secret" in build_request("secret.example", "/?token=secret", "key")
    assert kept() == before
    build_request("no.secret.example", "/", "key")
    assert kept() == min(before + 1, 256)
