"""The server's side of the opening handshake (RFC 6455 section 4.2)."""

from __future__ import annotations

import pytest

from reactor.protocols.http.answers import (
    RejectedUpgrade,
    UpgradeRequest,
    build_rejection,
    build_response,
    check_request,
)
from reactor.protocols.http.http11 import Request

from .test_handshake import KEY, changed, read_response


class TestCheckRequest:
    GOOD = {  # noqa: RUF012 - never changed
        "Host": "example.com",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
    }

    def check(self, changes=None, method="GET", version="HTTP/1.1"):
        return check_request(Request(method, "/", changed(self.GOOD, changes or {}), version))

    def rejection(self, changes=None, **request):
        with pytest.raises(RejectedUpgrade) as caught:
            self.check(changes, **request)
        return caught.value

    def test_good(self):
        assert self.check() == UpgradeRequest(KEY, (), ())

    def test_offers(self):
        request = self.check(
            {
                "Sec-WebSocket-Protocol": "a, b",
                "sec-websocket-protocol": "c",
                "Sec-WebSocket-Extensions": "x; y=1, z",
            }
        )
        assert request == UpgradeRequest(KEY, ("a", "b", "c"), ("x; y=1", "z"))

    def test_no_body_by_length(self):
        assert self.check({"Content-Length": "0"}).key == KEY

    def test_method(self):
        error = self.rejection(method="POST")
        assert (error.status, error.headers) == (405, [("Allow", "GET")])
        assert "POST" in str(error)

    def test_version_of_http(self):
        assert self.rejection(version="HTTP/1.0").status == 400

    @pytest.mark.parametrize("changes", [{"Host": None}, {"host": "other"}])
    def test_host(self, changes):
        error = self.rejection(changes)
        assert error.status == 400
        assert str(error).startswith("Host must be sent once")

    @pytest.mark.parametrize("changes", [{"Content-Length": "5"}, {"Transfer-Encoding": "chunked"}])
    def test_body(self, changes):
        error = self.rejection(changes)
        assert error.status == 400
        assert "body" in str(error)

    @pytest.mark.parametrize("value", [None, "", "close", "websockets", "upgrades"])
    @pytest.mark.parametrize("name", ["Upgrade", "Connection"])
    def test_no_upgrade(self, name, value):
        error = self.rejection({name: value})
        assert error.status == 426
        assert name in str(error)
        assert error.headers == [("Upgrade", "websocket"), ("Connection", "Upgrade, close")]

    @pytest.mark.parametrize("value", [None, "8", "13, 8", ""])
    def test_version(self, value):
        error = self.rejection({"Sec-WebSocket-Version": value})
        assert error.status == 426
        assert ("Sec-WebSocket-Version", "13") in error.headers

    @pytest.mark.parametrize(
        "key", [None, "", "abc", KEY[:-1], f"{KEY}=", "dGhlIHNhbXBsZSBub25jZQ_=", f"{KEY}, {KEY}"]
    )
    def test_key(self, key):
        error = self.rejection({"Sec-WebSocket-Key": key})
        assert error.status == 400
        assert "Sec-WebSocket-Key" in str(error)

    def test_a_rejection_can_be_sent(self):
        error = self.rejection({"Sec-WebSocket-Version": "8"})
        response, body = read_response(
            build_rejection(error.status, headers=error.headers, body=str(error))
        )
        assert (response.status, response.reason) == (426, "Upgrade Required")
        assert response.headers["Sec-WebSocket-Version"] == "13"
        assert response.headers.get_all("Connection") == ["Upgrade, close"]
        assert body == str(error).encode()


class TestBuildResponse:
    def test_bytes(self):
        assert build_response(KEY) == (
            b"HTTP/1.1 101 Switching Protocols\r\n"
            b"Upgrade: websocket\r\n"
            b"Connection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            b"\r\n"
        )

    def test_all_parts(self):
        data = build_response(KEY, "chat", "x; y=1", [("Server", "s"), ("Set-Cookie", "a=b")])
        response, _ = read_response(data)
        assert response.headers.items()[3:] == [
            ("Sec-WebSocket-Protocol", "chat"),
            ("Sec-WebSocket-Extensions", "x; y=1"),
            ("Server", "s"),
            ("Set-Cookie", "a=b"),
        ]

    @pytest.mark.parametrize(
        "name",
        [
            "upgrade",
            "Connection",
            "Sec-Websocket-Accept",
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Extensions",
        ],
    )
    def test_headers_that_the_handshake_sets(self, name):
        with pytest.raises(ValueError, match=f"header {name} is set by the handshake"):
            build_response(KEY, headers=[("Server", "s"), (name, "x")])

    @pytest.mark.parametrize("subprotocol", ["", "a\r\nb", "a b"])
    def test_bad_subprotocol(self, subprotocol):
        with pytest.raises(ValueError, match="Sec-WebSocket-Protocol"):
            build_response(KEY, subprotocol)

    def test_no_header_injection(self):
        with pytest.raises(ValueError, match="header A"):
            build_response(KEY, headers=[("A", "b\r\nC: d")])


class TestBuildRejection:
    def test_bytes(self):
        assert build_rejection(403, body="n\xf6") == (
            b"HTTP/1.1 403 Forbidden\r\n"
            b"Connection: close\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: 3\r\n"
            b"\r\n"
            b"n\xc3\xb6"
        )

    def test_without_body(self):
        assert build_rejection(503, "Full", [("Retry-After", "5")]) == (
            b"HTTP/1.1 503 Full\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 5\r\n\r\n"
        )

    def test_a_status_without_body(self):
        assert build_rejection(204, body=b"x") == (
            b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
        )

    def test_headers_take_the_place_of_ours(self):
        headers = [("content-type", "application/json"), ("connection", "Upgrade, close")]
        response, body = read_response(build_rejection(400, None, headers, b"{}"))
        assert response.headers.get_all("Content-Type") == ["application/json"]
        assert response.headers.get_all("Connection") == ["Upgrade, close"]
        assert body == b"{}"

    def test_unknown_status(self):
        response, _ = read_response(build_rejection(599))
        assert (response.status, response.reason) == (599, "")

    @pytest.mark.parametrize("status", [101, 199, 600, 0])
    def test_status_out_of_range(self, status):
        with pytest.raises(ValueError, match=f"must be 200 to 599, not {status}"):
            build_rejection(status)

    def test_length_is_ours(self):
        with pytest.raises(ValueError, match="Content-Length is set"):
            build_rejection(400, headers=[("content-length", "5")])

    def test_no_injection_by_the_reason(self):
        with pytest.raises(ValueError, match="not allowed in the line"):
            build_rejection(400, "Bad\r\nA: b")


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
def test_how_long_a_rejection_is_cannot_be_said_twice(name: str) -> None:
    with pytest.raises(ValueError, match="is set from the body"):
        build_rejection(403, headers=[(name, "chunked")], body="no")
