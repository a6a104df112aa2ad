"""Redirects: which headers and options are kept on the way to another origin.

What it is: pure functions. They take what was meant for one server and return what another server
may see.

What it must not know: who redirects where, and whether the redirect is followed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ..protocols.http.headers import tokens
from ..transports.tls.contexts import for_another_host
from .options import ClientOptions

__all__ = ["headers_for_another_origin", "may_be_token", "options_for_another_origin"]

#: These headers are meant for one origin: a redirect does not carry them to another (as in curl).
OF_THE_ORIGIN = frozenset({"authorization", "cookie", "host", "proxy-authorization"})

#: A name made of short words in one case and of versions, as "graphql-transport-ws", "v12.stomp" or
#: "ocpp1.6". A random text of some length does not match.
_WORD = r"(?:[a-z]{1,12}|[A-Z]{1,12}|[A-Z][a-z]{1,11})(?:[0-9](?=\.[0-9]))?"
_NAME = re.compile(rf"(?:{_WORD}|v?[0-9]{{1,4}})(?:[._+/-](?:{_WORD}|v?[0-9]{{1,4}}))*")
_LONGEST_NAME = 40

#: Words that stand beside tokens: "base64url.bearer.authorization.k8s.io.<token>".
_OF_TOKENS = re.compile(r"auth|bearer|credential|jwt|key|pass|secret|session|ticket|token", re.I)


def headers_for_another_origin(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the custom headers that another origin may see."""
    return [(name, value) for name, value in headers if _goes_along(name.lower(), value)]


def options_for_another_origin(options: ClientOptions) -> ClientOptions:
    """Return the options for another origin: without our certificate, and without tokens."""
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
    """Return whether a subprotocol may be a token.

    Programs in browsers cannot send an Authorization header, so some put their token there.
    """
    if len(subprotocol) > _LONGEST_NAME or _OF_TOKENS.search(subprotocol):
        return True
    return _NAME.fullmatch(subprotocol) is None
