"""Admission: how the options of a server decide about a client's request.

What it is: the checks of an opening handshake that depend on the options: origin, subprotocol,
further headers.

What it must not know: sockets, time, how the answer gets to the client.
"""

from __future__ import annotations

from ..base.marks import calls_user_code
from ..base.printable import quoted
from ..protocols.http.answers import RejectedUpgrade
from ..protocols.http.handshake import normalize_headers
from ..protocols.http.http11 import Request
from .decisions import Subprotocols
from .options import ServerOptions, plain_origin

__all__ = ["check_origin", "choose_subprotocol", "further_headers"]


def check_origin(options: ServerOptions, request: Request) -> None:
    """Check that the client's origin is allowed.

    RFC 6455 sections 4.2.2 (item 4) and 10.2: this keeps the scripts of other sites from using
    the cookies of a browser's user.

    Raises:
        RejectedUpgrade: it is not allowed (status 403).
    """
    if options.allowed_origins is None:
        return
    exact, patterns = options.allowed_origins
    values = request.headers.get_all("Origin")
    origin = plain_origin(values[0]) if values else None
    if len(values) < 2:
        if origin in exact:
            return
        if origin is not None and any(pattern.fullmatch(origin) for pattern in patterns):
            return
    shown = (
        "without an Origin" if origin is None else f"from the Origin {quoted(', '.join(values))}"
    )
    raise RejectedUpgrade(f"connections {shown} are not allowed here", 403)


@calls_user_code
def choose_subprotocol(
    choice: Subprotocols, request: Request, offered: tuple[str, ...]
) -> str | None:
    """Return the subprotocol of the connection, or None (RFC 6455 section 4.2.2, item 5).

    Raises:
        ValueError: the user's function chose a name that was not offered; the client would have to
            refuse it.
        Exception: what the user's function raises.
    """
    if not callable(choice):
        return next((name for name in choice if name in offered), None)
    chosen = choice(request, offered)
    if chosen is not None and chosen not in offered:
        raise ValueError(
            f"the subprotocol {chosen!r} was not offered, only {quoted(list(offered))}"
        )
    return chosen


@calls_user_code
def further_headers(options: ServerOptions, request: Request) -> list[tuple[str, str]]:
    """Return the user's headers for the answer that accepts the client."""
    source = options.response_headers
    return normalize_headers(source(request) if callable(source) else source)
