from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.protocols.http.retry_after import retry_after

#: Sun, 06 Nov 1994 08:49:37 GMT
MOMENT = 784111777.0


@pytest.mark.parametrize("value", ["0", "5", "120", "0010"])
def test_seconds(value: str) -> None:
    assert retry_after({"retry-after": value}, MOMENT) == int(value)


@pytest.mark.parametrize(
    "date",
    [
        "Sun, 06 Nov 1994 08:50:07 GMT",
        "Sunday, 06-Nov-94 08:50:07 GMT",
        "Sun Nov  6 08:50:07 1994",
    ],
)
def test_a_date_in_any_of_the_forms_of_http(date: str) -> None:
    assert retry_after({"retry-after": date}, MOMENT) == 30.0
    assert retry_after({"retry-after": date}, MOMENT + 20) == 10.0
    assert retry_after({"retry-after": date}, MOMENT + 40) == -10.0


def test_a_date_counts_from_the_date_of_the_response() -> None:
    headers = {
        "retry-after": "Sun, 06 Nov 1994 08:50:07 GMT",
        "date": "Sun, 06 Nov 1994 08:49:57 GMT",
    }
    assert retry_after(headers, MOMENT + 3600) == 10.0


@pytest.mark.parametrize("date", ["", "yesterday", "Sun, 06 Nov 99999 08:49:57 GMT"])
def test_a_date_of_the_response_that_is_none_does_not_count(date: str) -> None:
    headers = {"retry-after": "Sun, 06 Nov 1994 08:50:07 GMT", "date": date}
    assert retry_after(headers, MOMENT) == 30.0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry-after": ""},
        {"retry-after": "-5"},
        {"retry-after": "1.5"},
        {"retry-after": "5, 10"},
        {"retry-after": "\u0663"},
        {"retry-after": "soon"},
        {"retry-after": "Sun, 06 Nov 9999999999 08:50:07 GMT"},
    ],
)
def test_what_asks_for_nothing(headers: dict[str, str]) -> None:
    assert retry_after(headers, MOMENT) == 0.0


@given(
    st.text() | st.from_regex(r"[A-Z][a-z]{2},? [0-9]{1,2}[ -][A-Z][a-z]{2}.*GMT", fullmatch=True)
)
def test_any_value_gives_a_number(value: str) -> None:
    assert isinstance(retry_after({"retry-after": value, "date": value}, MOMENT), float)
