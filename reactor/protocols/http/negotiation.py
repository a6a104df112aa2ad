"""What both sides agree on for permessage-deflate (RFC 7692 sections 5 and 7.1).

What it is: pure functions from what one side wants (:class:`Deflate`) and what the other side's
Sec-WebSocket-Extensions says, to the :class:`Agreement` of both. A client makes an offer and checks
the answer; a server accepts one of the offers.

What it must not know: the grammar of the header (``extensions.py``); how messages are compressed.

Window bits: a sender may always use less than was agreed, so our compressor uses 12 unless told
otherwise: that takes 32 KiB for each connection that sends, where 15 bits would take 256 KiB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...base.printable import quoted
from ...exceptions import WebSocketHandshakeException
from ..deflate import MAX_WINDOW_BITS, Agreement, Deflate
from .extensions import build_element, parse_element

__all__ = ["accept_offers", "check_answer", "make_offer"]

#: Bits of our own compressor's window, unless told otherwise.
OWN_WINDOW_BITS: Final = 12


def make_offer(config: Deflate) -> str:
    """Return a client's offer, a value for Sec-WebSocket-Extensions (section 5)."""
    bits = config.client_max_window_bits
    return build_element(
        config.server_no_context_takeover,
        config.client_no_context_takeover,
        config.server_max_window_bits,
        True if bits == MAX_WINDOW_BITS else bits,
    )


def _smaller(*bits: int | bool | None) -> int:
    """Return the smallest of the numbers, at most 15."""
    return min([MAX_WINDOW_BITS, *(n for n in bits if n is not None and n is not True)])


def _own_bits(wanted: int | bool | None) -> int:
    return OWN_WINDOW_BITS if wanted is None or wanted is True else wanted


def accept_offers(
    config: Deflate, offers: Sequence[str]
) -> tuple[str, Agreement] | tuple[None, None]:
    """Choose the first of a client's offers that can be accepted (RFC 7692 section 5).

    Args:
        config: what the server wants.
        offers: elements of Sec-WebSocket-Extensions.

    Returns:
        The value of the answer's Sec-WebSocket-Extensions, and the agreement; None for both if the
        connection is not compressed.
    """
    for offer in offers:
        try:
            asked = parse_element(offer)
        except ValueError:
            continue  # 7.1: "MUST decline"
        if asked is None or asked.get("server_max_window_bits") is True:
            continue
        server_forgets = config.server_no_context_takeover or bool(
            asked.get("server_no_context_takeover")
        )
        client_forgets = config.client_no_context_takeover or bool(
            asked.get("client_no_context_takeover")
        )
        server_bits = _smaller(config.server_max_window_bits, asked.get("server_max_window_bits"))
        client_bits = MAX_WINDOW_BITS
        if "client_max_window_bits" in asked:  # 7.1.2.2: only then may there be a limit
            client_bits = _smaller(config.client_max_window_bits, asked["client_max_window_bits"])
        answer = build_element(
            server_forgets,
            client_forgets,
            # 7.1.2.1: the answer accepts a demand by repeating it, even for 15 bits
            server_bits
            if server_bits < MAX_WINDOW_BITS or "server_max_window_bits" in asked
            else None,
            client_bits if client_bits < MAX_WINDOW_BITS else None,
        )
        own = min(server_bits, _own_bits(config.server_max_window_bits))
        return answer, Agreement(config, own, client_bits, not server_forgets, not client_forgets)
    return None, None


def check_answer(config: Deflate, extensions: Sequence[str]) -> Agreement | None:
    """Check a server's answer to :func:`make_offer` (RFC 7692 section 7.1).

    A demand that the answer does not mention is no error: it is as if nothing had been demanded.

    Args:
        config: what was offered.
        extensions: elements of the answer's Sec-WebSocket-Extensions.

    Returns:
        The agreement, or None if the server has declined.

    Raises:
        WebSocketHandshakeException: the answer does not correspond to the offer.
    """
    agreement = None
    for element in extensions:
        try:
            answer = parse_element(element)
            if answer is None:
                continue
            if agreement is not None:
                raise ValueError("comes twice")
            server_bits = answer.get("server_max_window_bits", MAX_WINDOW_BITS)
            client_bits = answer.get("client_max_window_bits", MAX_WINDOW_BITS)
            if server_bits is True or client_bits is True:
                raise ValueError("window bits without a value")
            if "client_max_window_bits" in answer and config.client_max_window_bits is None:
                raise ValueError("client_max_window_bits was not offered")
            limit = config.server_max_window_bits
            if "server_max_window_bits" in answer and limit is not None and server_bits > limit:
                raise ValueError(f"server_max_window_bits={server_bits} exceeds {limit}")
        except ValueError as exc:
            raise WebSocketHandshakeException(
                f"Invalid WebSocket Header: Sec-WebSocket-Extensions has {quoted(element)}: {exc}"
            ) from None
        forgets = config.client_no_context_takeover or "client_no_context_takeover" in answer
        agreement = Agreement(
            config,
            min(client_bits, _own_bits(config.client_max_window_bits)),
            server_bits,
            not forgets,
            "server_no_context_takeover" not in answer,
        )
    return agreement
