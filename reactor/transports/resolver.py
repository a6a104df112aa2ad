"""Host names to addresses, off the loop.

What it is: one coroutine, :func:`resolve`, and the short memory of what it found.

What it must not know: sockets that are open, TLS, HTTP, WebSocket, which driver runs it.

How it works. A literal IP address is its own answer. For a name, ``getaddrinfo`` is the only
portable way to what the system knows (hosts file, DNS, mDNS, LDAP), and it can only block: it
runs on a helper thread (helpers.py tells what happens when the DNS does not answer), and callers
who ask for the same name at the same time share one call. A thousand connections to one host that
drop together would still ask a thousand times over the next seconds, so answers are kept for
:data:`CACHE_TTL`; failures never are. The answer alternates between the address families, as
RFC 8305 section 4 asks.
"""

from __future__ import annotations

import socket
import threading
from collections import OrderedDict
from collections.abc import Iterable
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from ..exceptions import WebSocketAddressException, WebSocketTimeoutException
from ..helpers import look_ups
from ..tasks import in_thread, now

__all__ = ["Address", "clear_cache", "resolve"]

#: How long an answer is used again, in seconds. getaddrinfo does not tell the TTL of the DNS.
CACHE_TTL = 30.0

#: How many answers are kept; the oldest goes first.
CACHE_SIZE = 1024


class Address(NamedTuple):
    """Where a TCP connection can go: an address family, and its ``sockaddr`` for connect()."""

    family: int
    sockaddr: tuple[Any, ...]


# (host, port, family) -> (when it was found, the answer), oldest first.
_cache: OrderedDict[tuple[str, int, int], tuple[float, list[Address]]] = OrderedDict()
_cache_lock = threading.Lock()


async def resolve(
    host: str, port: int, until: float | None, family: int = 0, *, ttl: float = CACHE_TTL
) -> list[Address]:
    """Return the addresses of a host, in the order in which to try them.

    Parameters:
        host: a name, or a literal address without brackets: ``192.0.2.1``, ``2001:db8::1``,
            ``fe80::1%eth0``.
        port: becomes part of each address.
        until: point in time (seconds of the driver's clock) at which to give up, or None.
        family: socket.AF_INET or AF_INET6 for addresses of this family only; 0 for both.
        ttl: the greatest age of a remembered answer, in seconds; 0 always asks again.

    Returns a new list with at least one address, IPv6 first, then alternating (RFC 8305
    section 4). Raises WebSocketAddressException when the name does not resolve, and
    WebSocketTimeoutException at *until*.
    """
    literal = _parse_literal(host, port)
    if literal is not None:
        if family not in (0, literal.family):
            wanted = socket.AddressFamily(family).name
            raise WebSocketAddressException(f"{host} is not an address of the family {wanted}")
        return [literal]

    key = (host, port, family)
    addresses = _recall(key, await now(), ttl)
    if addresses is None:
        addresses = await _ask_system(key, until)
        _remember(key, await now(), addresses)
    return list(addresses)


def clear_cache() -> None:
    """Forget all answers. May be called on any thread."""
    with _cache_lock:
        _cache.clear()


def _parse_literal(host: str, port: int) -> Address | None:
    """Return the address that *host* spells out, or None when it is a name."""
    try:
        socket.inet_pton(socket.AF_INET, host)
        return Address(socket.AF_INET, (host, port))
    except (OSError, ValueError):  # ValueError: not ASCII, or a NUL in it
        pass
    # RFC 4007 section 11: a zone tells which link an address of link-local scope is on.
    address, percent, zone = host.partition("%")
    try:
        socket.inet_pton(socket.AF_INET6, address)
    except (OSError, ValueError):
        return None
    return Address(socket.AF_INET6, (address, port, 0, _scope_id(host, zone) if percent else 0))


def _scope_id(host: str, zone: str) -> int:
    if zone.isascii() and zone.isdigit():
        return int(zone)
    try:
        return socket.if_nametoindex(zone)
    except (OSError, ValueError) as exc:
        raise WebSocketAddressException(
            f"the zone of {host} is no network interface here: {zone!r}"
        ) from exc


async def _ask_system(key: tuple[str, int, int], until: float | None) -> list[Address]:
    host, port, family = key
    try:
        found = await in_thread(
            socket.getaddrinfo,
            *(host, port, family, socket.SOCK_STREAM),
            until=until,
            key=key,
            threads=look_ups,
        )
    except WebSocketTimeoutException:
        raise WebSocketTimeoutException(f"timed out resolving {host}") from None
    # gaierror; UnicodeError: no valid name; RuntimeError: no thread is to be had
    except (OSError, ValueError, RuntimeError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise WebSocketAddressException(f"cannot resolve {host!r}: {reason}") from exc
    addresses = interleave(Address(entry[0], entry[4]) for entry in found)
    if not addresses:
        raise WebSocketAddressException(f"cannot resolve {host!r}: no addresses")
    return addresses


def interleave(addresses: Iterable[Address]) -> list[Address]:
    """Return the addresses without duplicates, IPv6 first, the families alternating.

    RFC 8305 section 4: so that a family that is broken costs one attempt, not all of its own.
    Within a family the order stays: the system has sorted it (RFC 6724).
    """
    unique = dict.fromkeys(addresses)
    first = [address for address in unique if address.family == socket.AF_INET6]
    second = [address for address in unique if address.family != socket.AF_INET6]
    pairs = chain.from_iterable(zip_longest(first, second))
    return [address for address in pairs if address is not None]


def _recall(key: tuple[str, int, int], moment: float, ttl: float) -> list[Address] | None:
    with _cache_lock:
        found, addresses = _cache.get(key, (0.0, None))
        # An answer from the future was found under another driver's clock.
        if addresses is None or not 0 <= moment - found < ttl:
            return None
        return addresses


def _remember(key: tuple[str, int, int], moment: float, addresses: list[Address]) -> None:
    with _cache_lock:
        _cache[key] = (moment, addresses)
        _cache.move_to_end(key)
        if len(_cache) > CACHE_SIZE:
            _cache.popitem(last=False)
