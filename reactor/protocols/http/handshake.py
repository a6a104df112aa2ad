"""The opening handshake: what both roles need, and the client's side (RFC 6455 section 4.1).

A client builds its request with :func:`build_request` and judges the answer with
:func:`check_response`; the server's side is answers.py. All of them are pure functions over the
heads of http11.py. The module must not know about sockets, time, URLs, or the meaning of an
extension: it only checks that none is used that was not offered.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from ...base.printable import printable, quoted
from ...exceptions import WebSocketBadStatusException, WebSocketHandshakeException
from .headers import Headers, build_head, build_headers, check_header, tokens
from .http11 import Response

__all__ = [
    "VERSION",
    "Accepted",
    "HeaderSource",
    "accept_for",
    "bad_status",
    "build_request",
    "check_response",
    "check_subprotocols",
    "lower_tokens",
    "make_key",
    "names_of",
    "normalize_headers",
    "refusal_text",
]

VERSION = "13"  # RFC 6455 section 4.1: the value of Sec-WebSocket-Version

_REFUSAL_SHOWN = 2000  # characters of headers, and of a body, that an error message shows
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_RESOURCE = re.compile(r"[\x21-\x7e]+")
# Characters that end, or split, an element of the list. RFC 6455 section 4.1 asks for a token, but
# some services expect credentials here as padded base64, which is not a token, so it is allowed.
_NOT_IN_SUBPROTOCOL = re.compile(r"[^\x21-\x7e]|,")

HeaderValue = str | bytes | int
HeaderLine = str | bytes | tuple[str, HeaderValue | None]  # "Name: value", or a pair
HeaderSource = Mapping[str, HeaderValue | None] | Iterable[HeaderLine] | Headers | None


# --- Headers as users write them


def normalize_headers(header: HeaderSource) -> list[tuple[str, str]]:
    """Return a user's custom headers as checked pairs.

    Args:
        header: None; a mapping of names to values; or an iterable of "Name: value" lines and of
            (name, value) pairs. A value is str, bytes or int; a header whose value is None is
            left out.

    Raises:
        TypeError: something has another type; the message names the entry.
        ValueError: a line has no colon, or a header must not be sent (``headers.check_header``);
            the message names the entry.
    """
    if header is None:
        return []
    if isinstance(header, (str, bytes)):
        raise TypeError(
            f"header must be a mapping or a list of lines or pairs, not {type(header).__name__}"
        )
    entries = header.items() if isinstance(header, (Mapping, Headers)) else header
    pairs = []
    for index, entry in enumerate(entries):
        name, value = _split_entry(index, entry)
        if value is not None:
            text = _value_text(name, value)
            check_header(name, text)
            pairs.append((name, text))
    return pairs


def _split_entry(index: int, entry: object) -> tuple[str, object]:
    if isinstance(entry, (str, bytes)):
        line = entry if isinstance(entry, str) else entry.decode("latin-1")
        name, colon, value = line.partition(":")
        if not colon:
            shown = line.split(maxsplit=1)[:1]  # the rest may be a secret
            raise ValueError(f"header {index} has no colon: {''.join(shown)[:40]!r}")
        return name.strip(), value.strip(" \t")
    if not isinstance(entry, (tuple, list)) or len(entry) != 2:
        raise TypeError(
            f'header {index} must be a "Name: value" line or a (name, value) pair, '
            f"not {type(entry).__name__}"
        )
    name, value = entry
    if not isinstance(name, str):
        raise TypeError(f"header {index}: the name must be str, not {type(name).__name__}")
    return name, value


def _value_text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("latin-1")  # is sent as the same bytes
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError(
        f"header {name}: the value must be str, bytes or int, not {type(value).__name__}"
    )


# --- Both roles


def make_key() -> str:
    """Return a new Sec-WebSocket-Key: 16 random bytes in base64 (RFC 6455 section 4.1)."""
    return base64.b64encode(os.urandom(16)).decode("ascii")


def accept_for(key: str) -> str:
    """Return the Sec-WebSocket-Accept that answers `key` (RFC 6455 section 4.2.2)."""
    digest = hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def lower_tokens(headers: Headers, name: str) -> list[str]:
    """Return the elements of a list header in lower case."""
    return tokens((headers.get(name) or "").lower())


def names_of(headers: Iterable[tuple[str, str]]) -> set[str]:
    """Return the names of headers in lower case."""
    return {name.lower() for name, _ in headers}


# --- The client


def build_request(
    host_header: str | None,
    resource: str,
    key: str,
    *,
    origin: str | None = None,
    subprotocols: Sequence[str] = (),
    extensions: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    cookie: str | None = None,
    connection: str | None = None,
) -> bytes:
    """Return the client's opening handshake (RFC 6455 section 4.1).

    The order of the lines is websocket-client's. A custom header replaces ours of the same name if
    there must be only one (Upgrade, Host, Origin, Sec-WebSocket-Key, Sec-WebSocket-Version,
    Connection).

    Args:
        host_header: the value of Host; None sends none.
        resource: path and query, in visible ASCII.
        key: from :func:`make_key`.
        origin: the value of Origin; None (default) sends none.
        subprotocols: names, in order of preference.
        extensions: the value of Sec-WebSocket-Extensions; None (default) sends none.
        headers: custom headers, from :func:`normalize_headers`.
        cookie: the value of Cookie; None (default) or "" sends none.
        connection: a whole line that is sent instead of ``Connection: Upgrade``.

    Raises:
        ValueError: something must not be sent, because it would break, or add, a line; the message
            names it.
        TypeError: `subprotocols` is a str.
    """
    check_subprotocols(subprotocols)
    headers = tuple(headers)
    # Nothing that may be secret is cached: subprotocols and queries may hold tokens, too.
    secret = headers or cookie or subprotocols or connection or "?" in resource
    around_key = _around_key.__wrapped__ if secret else _around_key
    before, after = around_key(
        host_header,
        resource,
        origin,
        tuple(subprotocols),
        extensions,
        headers,
        cookie,
        connection,
    )
    has_own = "sec-websocket-key" in names_of(headers)
    return before + (b"" if has_own else build_headers([("Sec-WebSocket-Key", key)])) + after


@lru_cache(maxsize=256)  # reconnects, and many connections to the same place
def _around_key(
    host_header: str | None,
    resource: str,
    origin: str | None,
    subprotocols: tuple[str, ...],
    extensions: str | None,
    headers: tuple[tuple[str, str], ...],
    cookie: str | None,
    connection: str | None,
) -> tuple[bytes, bytes]:
    """Return the lines of a request before and after the key's line, which is always unique."""
    if not _RESOURCE.fullmatch(resource):
        raise ValueError(f"the resource {resource!r} is not in visible ASCII")
    custom = names_of(headers)

    def ours(*lines: tuple[str, str | None]) -> list[tuple[str, str]]:
        return [
            (name, value)
            for name, value in lines
            if value is not None and name.lower() not in custom
        ]

    connection_line = ("Connection", "Upgrade")
    if connection:
        (connection_line,) = normalize_headers([connection])
    before = ours(("Upgrade", "websocket"), ("Host", host_header), ("Origin", origin))
    after = ours(("Sec-WebSocket-Version", VERSION), connection_line)
    if subprotocols:
        after.append(("Sec-WebSocket-Protocol", ",".join(subprotocols)))
    if extensions:
        after.append(("Sec-WebSocket-Extensions", extensions))
    after.extend(headers)
    if cookie:
        after.append(("Cookie", cookie))
    start_line = f"GET {resource} HTTP/1.1"
    return build_head(start_line, before).removesuffix(b"\r\n"), build_headers(after) + b"\r\n"


def check_subprotocols(subprotocols: Sequence[str]) -> None:
    """Check the names of subprotocols.

    Raises:
        TypeError: they are not a list of str.
        ValueError: a name cannot be offered, or is offered twice; the message names it.
    """
    if isinstance(subprotocols, str):
        raise TypeError("subprotocols must be a list of str, not str")
    for index, subprotocol in enumerate(subprotocols):
        if not isinstance(subprotocol, str):
            raise TypeError(f"subprotocols must be a list of str, not of {subprotocol!r}")
        if not subprotocol or _NOT_IN_SUBPROTOCOL.search(subprotocol):
            raise ValueError(f"Sec-WebSocket-Protocol: {_shown(subprotocol)} is not a valid name")
        if subprotocol in subprotocols[:index]:
            raise ValueError(f"Sec-WebSocket-Protocol: {_shown(subprotocol)} is offered twice")


def _shown(subprotocol: str) -> str:
    """Return a name in the form for messages: a long one may be a secret token."""
    return repr(subprotocol) if len(subprotocol) <= 20 else f"one of {len(subprotocol)} characters"


class Accepted(NamedTuple):
    """What the server has chosen.

    Attributes:
        subprotocol: one of those that were offered, or None.
        extensions: elements of Sec-WebSocket-Extensions, each with its parameters.
    """

    subprotocol: str | None
    extensions: tuple[str, ...]


def check_response(
    response: Response,
    key: str,
    subprotocols: Sequence[str] = (),
    extensions: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    lenient: bool = False,
) -> Accepted:
    """Check the answer to a request (RFC 6455 section 4.1, page 19).

    A server that chooses no subprotocol, though some were offered, is accepted.

    Args:
        response: the head that was received.
        key, subprotocols, extensions, headers: as given to :func:`build_request`. A key, or further
            subprotocols, may be among the custom headers. An extension there doesn't count as
            offered: no code here could speak it.
        lenient: True: extensions that were not offered are ignored, and so is a subprotocol if none
            was offered. Default: False.

    Returns:
        What the server has chosen.

    Raises:
        WebSocketBadStatusException: the status is not 101 (a caller that can read the body checks
            that first: :func:`bad_status`).
        WebSocketHandshakeException: a header is missing or wrong; the message names it.
    """
    if response.status != 101:
        raise bad_status(response, None)
    offered = list(subprotocols)
    if headers:
        custom = Headers(headers)
        key = custom.get("Sec-WebSocket-Key") or key
        offered += custom.tokens("Sec-WebSocket-Protocol")
    _check_upgraded(response.headers, key)
    return Accepted(
        None if lenient and not offered else _chosen_subprotocol(response.headers, offered),
        _chosen_extensions(response.headers, extensions or "", lenient),
    )


def _check_upgraded(headers: Headers, key: str) -> None:
    for name, token in (("Upgrade", "websocket"), ("Connection", "upgrade")):
        if token not in lower_tokens(headers, name):
            raise _invalid(f"{name} is {quoted(headers.get(name))}, without {token!r}")
    accept = headers.get("Sec-WebSocket-Accept")
    if accept != accept_for(key):  # exactly: base64 is case-sensitive
        raise _invalid(f"Sec-WebSocket-Accept is {quoted(accept)}, which does not answer the key")


def _chosen_subprotocol(headers: Headers, offered: Sequence[str]) -> str | None:
    values = headers.get_all("Sec-WebSocket-Protocol")
    if len(values) > 1:  # RFC 6455 section 11.3.4
        raise _invalid(f"Sec-WebSocket-Protocol was sent {len(values)} times: {quoted(values)}")
    chosen = values[0] if values else ""
    if chosen and chosen not in offered:
        raise _invalid(f"Sec-WebSocket-Protocol is {quoted(chosen)}, not one of {list(offered)!r}")
    return chosen or None


def _chosen_extensions(headers: Headers, offered: str, lenient: bool) -> tuple[str, ...]:
    chosen = tuple(headers.tokens("Sec-WebSocket-Extensions"))
    if not chosen:
        return ()
    names = {_extension_name(element) for element in tokens(offered)}
    if lenient:
        return tuple(element for element in chosen if _extension_name(element) in names)
    for element in chosen:
        if _extension_name(element) not in names:
            raise _invalid(f"Sec-WebSocket-Extensions has {quoted(element)}, which was not offered")
    return chosen


def _extension_name(element: str) -> str:
    return element.partition(";")[0].strip()


def _invalid(fault: str) -> WebSocketHandshakeException:
    return WebSocketHandshakeException(f"Invalid WebSocket Header: {fault}")


def bad_status(response: Response, body: bytes | None) -> WebSocketBadStatusException:
    """Return the exception for a status other than 101, with the text of :func:`refusal_text`.

    Args:
        response: the head that was received.
        body: the part of the body that was read; None: nothing was read.
    """
    reason = response.reason or None
    headers = response.headers.to_dict()
    return WebSocketBadStatusException(
        refusal_text(response.status, reason, headers, body),
        response.status,
        reason,
        headers,
        # An empty body counts as a body only if the server has announced it.
        body if body or "Content-Length" in response.headers else None,
    )


def refusal_text(
    status: int, reason: str | None, headers: Mapping[str, str], body: bytes | None
) -> str:
    """Return an exception's text about a status other than 101, in websocket-client's form.

    What the server has sent is escaped and cut; the attributes of the exception have all of it.
    """
    text = body.decode("utf-8", errors="replace") if body else None
    return " -+-+- ".join(
        [
            f"Handshake status {status} {printable(str(reason))}",
            printable(str(headers), _REFUSAL_SHOWN),
            printable(str(text), _REFUSAL_SHOWN),
        ]
    )
