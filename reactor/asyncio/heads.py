"""The heads of the opening handshake, under the names that users of websockets know.

What it is: :class:`Request` and :class:`Response`, and :class:`Headers`, which can be changed.

What it must not know: connections.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..protocols.http import headers as http_headers
from ..protocols.http import http11

__all__ = ["Headers", "Request", "Response"]


class Headers(http_headers.Headers):
    """Header lines, which a server may change before they are sent."""

    __slots__ = ()

    def __setitem__(self, name: str, value: str) -> None:
        """Append a line; one of the same name stays: delete it first."""
        self.add(name, value)

    def __delitem__(self, name: str) -> None:
        """Remove all lines of this name, if there are any."""
        rest = [pair for pair in self.items() if pair[0].lower() != name.lower()]
        Headers.__init__(self, rest)

    def copy(self) -> Headers:
        """Return another object with the same lines."""
        return Headers(self.items())

    def raw_items(self) -> Iterator[tuple[str, str]]:
        """Yield every line as (name, value), as ``items`` returns them."""
        return iter(self.items())


@dataclass
class Request:
    """The head of a request.

    Attributes:
        path: path and query, as they were sent (str).
        headers: the headers, as they were sent (Headers).
    """

    path: str
    headers: Headers

    @classmethod
    def of(cls, head: http11.Request) -> Request:
        """Return what a parsed head says."""
        return cls(head.target, Headers(head.headers.items()))


@dataclass
class Response:
    """The head of a response; or a whole one, which the hooks of ``serve`` may return.

    Attributes:
        status_code: the status (int).
        reason_phrase: what stands behind it (str).
        headers: the headers (Headers).
        body: the body (bytes or str).
    """

    status_code: int
    reason_phrase: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes | str = b""

    @classmethod
    def of(cls, head: http11.Response) -> Response:
        """Return what a parsed head says."""
        return cls(head.status, head.reason, Headers(head.headers.items()))

    def head(self) -> bytes:
        """Return the head as it is sent."""
        return http_headers.build_head(
            f"HTTP/1.1 {self.status_code} {self.reason_phrase}", self.headers.items()
        )
