"""Header lines: looking values up, and building lines to send.

What it is: :class:`Headers`, which the parser of http11.py fills, and :func:`build_head`, which
goes the other way, with the checks of what a header may hold.

What it must not know: which headers exist and what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import overload

__all__ = [
    "TEXT",
    "TOKEN",
    "Headers",
    "build_head",
    "build_headers",
    "check_header",
    "tokens",
]

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # what a field value must not hold: 5.5
TEXT = r"[^\x00-\x08\x0a-\x1f\x7f]*"  # what it may hold


class Headers:
    """Header lines in their original order; the look-up of names ignores case.

    The pairs are taken as they are: the parser checks received headers, and :func:`build_head`
    checks those to be sent.
    """

    __slots__ = ("_pairs", "_values")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs: list[tuple[str, str]] = []
        self._values: dict[str, list[str]] = {}  # lower-case name -> its values
        for name, value in pairs:
            self.add(name, value)

    def add(self, name: str, value: str) -> None:
        """Append one header line."""
        self._pairs.append((name, value))
        self._values.setdefault(name.lower(), []).append(value)

    def __getitem__(self, name: str) -> str:
        """Return the value; repeated lines are joined by ", " (RFC 9110 section 5.3)."""
        return ", ".join(self._values[name.lower()])

    @overload
    def get(self, name: str, default: None = None) -> str | None: ...

    @overload
    def get(self, name: str, default: str) -> str: ...

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return ``self[name]``, or `default` if there is no such header."""
        values = self._values.get(name.lower())
        return default if values is None else ", ".join(values)

    def get_all(self, name: str) -> list[str]:
        """Return one value for each line of this name, [] if there is none."""
        return list(self._values.get(name.lower(), ()))

    def tokens(self, name: str) -> list[str]:
        """Return the elements of a list header, from all its lines; [] if there is none."""
        value = self.get(name)
        return tokens(value) if value else []

    def items(self) -> list[tuple[str, str]]:
        """Return every line as (name, value), names as they were written."""
        return list(self._pairs)

    def to_dict(self) -> dict[str, str]:
        """Return values by lower-case name, as websocket-client shows headers to its users.

        The last of repeated lines counts, but lines of Set-Cookie are joined by "; ".
        """
        return {
            name: "; ".join(values) if name == "set-cookie" else values[-1]
            for name, values in self._values.items()
        }

    def __iter__(self) -> Iterator[str]:
        """Iterate over the distinct names, in lower case."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return the number of distinct names."""
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]  # it can change

    def __repr__(self) -> str:
        return f"Headers({self._pairs!r})"


def tokens(value: str) -> list[str]:
    """Split a comma-separated header value; empty elements are dropped (RFC 9110 section 5.6.1)."""
    return [element for part in value.split(",") if (element := part.strip(" \t"))]


def check_header(name: str, value: str) -> None:
    """Check a header that is about to be sent.

    Raises:
        ValueError: the name is not a token, or the value holds a control character, which could
            smuggle in a header (RFC 9110 sections 5.1 and 5.5). The message names the header,
            but does not show its value, which may be a secret.
    """
    if not TOKEN.fullmatch(name):
        raise ValueError(f"header name {name!r} is invalid: it is not a token (RFC 9110 5.6.2)")
    if bad := _CONTROL.search(value):
        raise ValueError(
            f"header {name}: the value holds {bad[0]!r} at position {bad.start()}, "
            "which is not allowed in a header"
        )


def build_head(start_line: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return a head in bytes, with the empty line that ends it.

    Text is sent as latin-1; a value that doesn't fit is sent as UTF-8.

    Raises:
        ValueError: a header, or the start line, cannot be sent (see :func:`check_header`).
    """
    if bad := _CONTROL.search(start_line):
        raise ValueError(f"{bad[0]!r} is not allowed in the line {start_line!r}")
    return _encode(start_line) + b"\r\n" + build_headers(headers) + b"\r\n"


def build_headers(headers: Iterable[tuple[str, str]]) -> bytes:
    """Return header lines in bytes, each with its line end. See :func:`build_head`."""
    lines = []
    for name, value in headers:
        check_header(name, value)
        lines.append(name.encode("ascii") + b": " + _encode(value.strip(" \t")) + b"\r\n")
    return b"".join(lines)


def _encode(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8")
