"""Host names and addresses: the forms that people write, and the forms of DNS and TLS.

What it is: pure functions. What it must not know: what names resolve to.

Names that are not ASCII are encoded as in browsers: mapped by UTS 46 (without its transitional
processing), then encoded by IDNA 2008, with the idna package. It is imported only when it is
needed. ASCII names, including those with ``xn--``, are left to the DNS to judge: names such as
``under_score`` and ``r3---sn-x`` are not valid in IDNA, and are in use.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from typing import Any

__all__ = ["canonical_host", "server_hostname", "to_ascii", "without_final_dot"]

#: RFC 1035 section 2.3.4: characters of a name, without the final dot, and of each of its labels.
MAX_NAME = 253
MAX_LABEL = 63

# What inet_aton() accepts as numbers; "1.2.3.4." is an address, too (WHATWG URL, section 3.5).
_NUMBERS = re.compile(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}\.?")


def to_ascii(name: str) -> str:
    """Return a host name in ASCII, in lower case; a final dot is kept.

    Raises:
        ValueError: the name is invalid; the message has the reason, but not the name.
    """
    name = name.lower() if name.isascii() else _encode(name)
    bare = without_final_dot(name)
    if len(bare) > MAX_NAME:
        raise ValueError(f"it is longer than {MAX_NAME} characters")
    for label in bare.split("."):
        if not label:
            raise ValueError("a part of it is empty")
        if len(label) > MAX_LABEL:
            raise ValueError(f"a part of it is longer than {MAX_LABEL} characters")
    return name


def _encode(name: str) -> str:
    import idna

    try:
        labels = idna.uts46_remap(name, std3_rules=False, transitional=False).split(".")
        return ".".join(
            label if label.isascii() else idna.alabel(label).decode() for label in labels
        )
    except idna.IDNAError as exc:
        raise ValueError(str(exc)) from None


def canonical_host(name: str) -> str:
    """Return :func:`to_ascii` of a name; an IPv4 address in any of its notations as ``1.2.3.4``."""
    name = to_ascii(name)
    if _NUMBERS.fullmatch(name):
        try:
            return socket.inet_ntoa(socket.inet_aton(without_final_dot(name)))
        except OSError:
            pass  # not an address: the DNS judges it
    return name


def without_final_dot(name: str) -> str:
    """Return a name without the dot that makes it absolute, which DNS allows and TLS does not.

    RFC 6066 section 3: the name is sent "without a trailing dot".
    """
    return name.removesuffix(".")


def server_hostname(sslopt: Mapping[str, Any] | None, host: str) -> str:
    """Return the name to send in SNI and to verify: *sslopt*'s if it has one, else *host*.

    It is in ASCII, and without a final dot (RFC 6066 section 3).

    Raises:
        ValueError: the name in *sslopt* is invalid.
        TypeError: the name in *sslopt* is not a str.
    """
    name: Any = (sslopt or {}).get("server_hostname")
    if not name:
        # RFC 6874 section 4: the zone of a link-local address means nothing outside this machine.
        return without_final_dot(host.partition("%")[0])
    if not isinstance(name, str):
        raise TypeError(f"sslopt['server_hostname'] must be a str, not {type(name).__name__}")
    if name.isascii():
        return without_final_dot(name)
    try:
        return without_final_dot(to_ascii(name))
    except ValueError as exc:
        raise ValueError(f"sslopt['server_hostname'] is invalid: {name!r}: {exc}") from None
