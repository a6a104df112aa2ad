"""Redirects: what goes along to another origin, and what stays behind.

What it is: pure functions, from what was meant for one server to what another one may see.

What it must not know: who redirects where, and whether that is followed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ..protocols.http.headers import tokens
from ..transports.tls.contexts import for_another_host
from .options import ClientOptions

__all__ = ["headers_for_another_origin", "may_be_token", "options_for_another_origin"]

#: Meant for one origin: not carried to another one by a redirect (as curl does).
OF_THE_ORIGIN = frozenset({"authorization", "cookie", "host", "proxy-authorization"})

#: A name that somebody has thought up, "graphql-transport-ws", "v12.stomp" or "ocpp1.6": short
#: words in one case, and versions. What was drawn at random does not look like that for long.
_WORD = r"(?:[a-z]{1,12}|[A-Z]{1,12}|[A-Z][a-z]{1,11})(?:[0-9](?=\.[0-9]))?"
_NAME = re.compile(rf"(?:{_WORD}|v?[0-9]{{1,4}})(?:[._+/-](?:{_WORD}|v?[0-9]{{1,4}}))*")
_LONGEST_NAME = 40

#: Words around which tokens are found: "base64url.bearer.authorization.k8s.io.<token>".
_OF_TOKENS = re.compile(r"auth|bearer|credential|jwt|key|pass|secret|session|ticket|token", re.I)


def headers_for_another_origin(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the custom headers that go along."""
    return [(name, value) for name, value in headers if _goes_along(name.lower(), value)]


def options_for_another_origin(options: ClientOptions) -> ClientOptions:
    """Return the options that go along: without our certificate, and what may be a token."""
    return replace(
        options,
        host=None,
        sslopt=for_another_host(options.sslopt),
        subprotocols=[name for name in options.subprotocols if not may_be_token(name)],
    )


def _goes_along(name: str, value: str) -> bool:
    if name == "sec-websocket-protocol":
        return not any(map(may_be_token, tokens(value)))
    return name not in OF_THE_ORIGIN


def may_be_token(subprotocol: str) -> bool:
    """Whether a subprotocol may be what browsers put there in place of an Authorization header."""
    if len(subprotocol) > _LONGEST_NAME or _OF_TOKENS.search(subprotocol):
        return True
    return _NAME.fullmatch(subprotocol) is None
