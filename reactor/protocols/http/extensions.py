"""The header of permessage-deflate: elements of Sec-WebSocket-Extensions (RFC 7692 section 7.1).

What it is: pure functions between the text of an element and its parameters.

What it must not know: what the parameters mean for an offer or an answer; see negotiation.py.
"""

from __future__ import annotations

import re
from typing import Final

from ...base.printable import printable, quoted

__all__ = ["NAME", "build_element", "parse_element"]

NAME: Final = "permessage-deflate"

#: A backslash in a quoted value, and the character that it escapes (RFC 9110 section 5.6.4).
_ESCAPE: Final = re.compile(r"\\(.)")


def build_element(
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: int | None,
    client_max_window_bits: int | bool | None,
) -> str:
    """Return an element of Sec-WebSocket-Extensions, for an offer or an answer (section 7.1).

    Args:
        server_no_context_takeover, client_no_context_takeover: whether it is demanded.
        server_max_window_bits: 8 to 15; None: the element does not mention it.
        client_max_window_bits: likewise; True: without a value.
    """
    parts = [NAME]
    if server_no_context_takeover:
        parts.append("server_no_context_takeover")
    if client_no_context_takeover:
        parts.append("client_no_context_takeover")
    if server_max_window_bits is not None:
        parts.append(f"server_max_window_bits={server_max_window_bits}")
    if client_max_window_bits is True:
        parts.append("client_max_window_bits")
    elif client_max_window_bits:
        parts.append(f"client_max_window_bits={client_max_window_bits}")
    return "; ".join(parts)


def parse_element(element: str) -> dict[str, int | bool] | None:
    """Return the parameters in an element of Sec-WebSocket-Extensions; None: another extension.

    Raises:
        ValueError: section 7.1 says that such an element "MUST" be declined.
    """
    name, *parts = (part.strip() for part in element.split(";"))
    if name.lower() != NAME:
        return None
    parameters: dict[str, int | bool] = {}
    for part in parts:
        parameter, equals, text = (piece.strip() for piece in part.partition("="))
        if parameter in parameters:
            raise ValueError(f"{printable(parameter)} comes twice")
        if len(text) >= 2 and text[0] == text[-1] == '"':
            text = _ESCAPE.sub(r"\1", text[1:-1])
        if parameter in ("server_no_context_takeover", "client_no_context_takeover"):
            if equals:
                raise ValueError(f"{parameter} has the value {quoted(text)}")
            parameters[parameter] = True
        elif parameter in ("server_max_window_bits", "client_max_window_bits"):
            if not equals:
                parameters[parameter] = True
            elif text in ("8", "9", "10", "11", "12", "13", "14", "15"):
                parameters[parameter] = int(text)
            else:
                raise ValueError(f"{parameter} is {quoted(text)}, not 8 to 15")
        else:
            raise ValueError(f"unknown parameter {quoted(parameter)}")
    return parameters
