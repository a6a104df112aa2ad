"""Header lines: looking values up, and building heads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.protocols.http.headers import Headers, build_head, check_header, tokens

from .test_http11 import read_response


class TestHeaders:
    def test_names_are_looked_up_in_any_case(self):
        headers = Headers([("Upgrade", "websocket")])
        assert headers["upgrade"] == headers["UPGRADE"] == "websocket"
        assert "uPGRADE" in headers
        assert "Connection" not in headers
        assert 7 not in headers

    def test_repeated_lines_are_joined(self):
        headers = Headers([("A", "1"), ("B", "x"), ("a", "2")])
        assert headers["a"] == headers.get("A") == "1, 2"
        assert headers.get_all("A") == ["1", "2"]

    def test_absent_header(self):
        headers = Headers()
        with pytest.raises(KeyError):
            headers["a"]
        assert headers.get("a") is None
        assert headers.get("a", "b") == "b"
        assert headers.get_all("a") == []
        assert headers.tokens("a") == []

    def test_order_and_case_are_kept(self):
        pairs = [("B", "1"), ("a", "2"), ("b", "3")]
        headers = Headers(pairs)
        assert headers.items() == pairs
        assert list(headers) == ["b", "a"]
        assert len(headers) == 2
        assert repr(headers) == f"Headers({pairs!r})"

    def test_get_all_and_items_are_copies(self):
        headers = Headers([("a", "1")])
        headers.get_all("a").clear()
        headers.items().clear()
        assert headers["a"] == "1"
        assert headers.items() == [("a", "1")]

    def test_equality_ignores_the_case_of_names(self):
        assert Headers([("A", "1")]) == Headers([("a", "1")])
        assert Headers([("A", "1")]) != Headers([("A", "2")])
        assert Headers() != {}

    def test_is_not_hashable(self):
        with pytest.raises(TypeError):
            hash(Headers())

    def test_to_dict(self):
        headers = Headers([("A", "1"), ("a", "2"), ("Set-Cookie", "x=1"), ("set-cookie", "y=2")])
        assert headers.to_dict() == {"a": "2", "set-cookie": "x=1; y=2"}

    def test_tokens_over_several_lines(self):
        headers = Headers([("Connection", "keep-alive , Upgrade"), ("connection", ",\tclose,")])
        assert headers.tokens("Connection") == ["keep-alive", "Upgrade", "close"]

    def test_tokens_of_nothing(self):
        assert tokens("") == tokens(" , ,\t") == []


class TestBuildHead:
    def test_bytes(self):
        assert build_head("GET / HTTP/1.1", [("A", "1"), ("b", " 2\t")]) == (
            b"GET / HTTP/1.1\r\nA: 1\r\nb: 2\r\n\r\n"
        )

    def test_latin_1_and_utf_8(self):
        head = build_head("HTTP/1.1 200 \xe9", [("A", "\xe9"), ("B", "\u20ac")])
        assert head == b"HTTP/1.1 200 \xe9\r\nA: \xe9\r\nB: \xe2\x82\xac\r\n\r\n"

    @pytest.mark.parametrize("bad", ["\r", "\n", "\x00", "\x7f"])
    def test_nothing_is_smuggled_into_a_value(self, bad):
        with pytest.raises(
            ValueError, match=r"header A: the value holds .* at position 6"
        ) as caught:
            build_head("GET / HTTP/1.1", [("A", f"secret{bad}B: c")])
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("name", ["", "A:", "A B", "A\r\nB", "\xe9", "A\x00"])
    def test_nothing_is_smuggled_into_a_name(self, name):
        with pytest.raises(ValueError) as caught:
            check_header(name, "x")
        assert str(caught.value).startswith(f"header name {name!r} is invalid")

    def test_nothing_is_smuggled_into_the_start_line(self):
        with pytest.raises(ValueError, match="is not allowed in the line 'GET / HTTP"):
            build_head("GET / HTTP/1.1\r\nA: b", [])

    @given(
        st.lists(
            st.tuples(
                st.from_regex(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,20}", fullmatch=True),
                st.text(
                    st.characters(
                        max_codepoint=255, exclude_categories=["Cc"], exclude_characters=" "
                    )
                ),
            ),
            max_size=20,
        )
    )
    def test_round_trip(self, pairs):
        response = read_response(build_head("HTTP/1.1 200 OK", pairs))
        assert response.headers.items() == pairs
