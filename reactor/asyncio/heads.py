"""The heads of the opening handshake, under the names that users of websockets know.

What it is: :class:`Request` and :class:`Response`.

What it must not know: connections.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..protocols.http import http11
from ..protocols.http.headers import Headers

__all__ = ["Request", "Response"]


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
        return cls(head.target, head.headers)


@dataclass
class Response:
    """The head of a response, or a whole one that ``process_request`` returns.

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
        return cls(head.status, head.reason, head.headers)
