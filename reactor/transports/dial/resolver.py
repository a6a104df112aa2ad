"""Resolving host names to addresses, off the loop.

What it is: one coroutine, :func:`look_up` (:func:`resolve` returns only the addresses), and a
short-lived cache of its answers.

What it must not know: open sockets, TLS, HTTP, WebSocket, which driver runs it.

How it works. A literal IP address is its own answer, and names that this machine knows without the
DNS (hosts.py) are answered at once. For all other names, ``getaddrinfo`` is the only portable way
to ask the system (DNS, mDNS, LDAP), and it always blocks: it runs on a helper thread
(loop/helper_threads.py describes what happens when the DNS does not answer), and callers that ask
for the same name at the same time share one call. A thousand connections to one host that drop
together would still ask a thousand times over the next seconds, so answers are kept for
:data:`CACHE_TTL`, or until a caller finds that an answer leads nowhere (:func:`forget_answer`);
failures are never kept. The answer alternates between the address families, as RFC 8305 section 4
asks.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Iterable
from itertools import chain, zip_longest
from math import inf
from typing import Any, NamedTuple

from ...base.locks import ProcessLock
from ...exceptions import WebSocketAddressException, WebSocketTimeoutException
from ...loop.helper_threads import look_ups
from ...loop.steps import in_thread, now
from .hosts import known_addresses
from .names import canonical_host

__all__ = ["Address", "Answer", "clear_cache", "forget_answer", "look_up", "resolve"]

#: How long an answer is reused, in seconds. getaddrinfo does not return the TTL of the DNS.
CACHE_TTL = 30.0

#: How many answers are kept; the oldest is dropped first.
CACHE_SIZE = 1024


class Address(NamedTuple):
    """A target for a TCP connection: an address family, and its ``sockaddr`` for connect()."""

    family: int
    sockaddr: tuple[Any, ...]


class Answer(NamedTuple):
    """The addresses of a host.

    Attributes:
        key: the question: host, port, family.
        found: when the system gave the answer (seconds of the driver's clock); inf if it is
            certain.
        addresses: at least one, in the order in which to try them.
    """

    key: tuple[str, int, int]
    found: float
    addresses: tuple[Address, ...]


_cache: OrderedDict[tuple[str, int, int], Answer] = OrderedDict()  # the oldest first
_cache_lock = ProcessLock()


async def resolve(
    host: str, port: int, until: float | None, family: int = 0, *, ttl: float = CACHE_TTL
) -> list[Address]:
    """Return the addresses of a host, in the order in which to try them: see :func:`look_up`."""
    return list((await look_up(host, port, until, family, ttl=ttl)).addresses)


async def look_up(
    host: str, port: int, until: float | None, family: int = 0, *, ttl: float = CACHE_TTL
) -> Answer:
    """Find the addresses of a host.

    Args:
        host: a name, or a literal address without brackets: ``192.0.2.1``, ``2001:db8::1``,
            ``fe80::1%eth0``.
        port: becomes part of each address.
        until: point in time (seconds of the driver's clock) at which to give up, or None.
        family: socket.AF_INET or AF_INET6 for addresses of this family only; 0 (default): both.
        ttl: the greatest age of a cached answer, in seconds (default 30); 0 always asks again.

    Returns:
        The answer; its addresses begin with IPv6, then alternate (RFC 8305 section 4).

    Raises:
        WebSocketAddressException: the name cannot be resolved.
        WebSocketTimeoutException: *until* is reached.
    """
    try:
        name = canonical_host(host) if "%" not in host and ":" not in host else host
    except ValueError as exc:
        raise WebSocketAddressException(f"cannot resolve {host!r}: {exc}") from None
    key = (name, port, family)
    literal = _parse_literal(name, port)
    if literal is not None:
        if family not in (0, literal.family):
            wanted = socket.AddressFamily(family).name
            raise WebSocketAddressException(f"{host} is not an address of the family {wanted}")
        return Answer(key, inf, (literal,))
    known = _known_here(key)
    if known:
        return Answer(key, inf, known)

    asked = await now()
    answer = _recall(key, asked, ttl)
    if answer is None:
        addresses = await _ask_system(key, until)
        answer = _remember(Answer(key, await now(), addresses), asked)
    return answer


def forget_answer(answer: Answer) -> None:
    """Forget an answer that led nowhere, but not a newer one. May be called on any thread."""
    with _cache_lock:
        if _cache.get(answer.key) is answer:
            del _cache[answer.key]


def clear_cache() -> None:
    """Forget all answers. May be called on any thread."""
    with _cache_lock:
        _cache.clear()


def _parse_literal(host: str, port: int) -> Address | None:
    """Return the address that *host* spells out, or None if it is a name."""
    try:
        socket.inet_pton(socket.AF_INET, host)
        return Address(socket.AF_INET, (host, port))
    except (OSError, ValueError):  # ValueError: not ASCII, or a NUL in it
        pass
    # RFC 4007 section 11: a zone names the link that a link-local address is on.
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
            f"the zone of {host} is not a network interface here: {zone!r}"
        ) from exc


def _known_here(key: tuple[str, int, int]) -> tuple[Address, ...]:
    """Return the addresses that need no look-up; none if there are none of the family."""
    name, port, family = key
    found = []
    for text in known_addresses(name):
        try:
            address = _parse_literal(text, port)
        except WebSocketAddressException:
            continue  # an interface that does not exist now
        if address is not None and family in (0, address.family):
            found.append(address)
    return tuple(interleave(found))


async def _ask_system(key: tuple[str, int, int], until: float | None) -> tuple[Address, ...]:
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
        crowd = " (all threads wait for names without an answer)" if look_ups.full else ""
        raise WebSocketTimeoutException(f"timed out resolving {host}{crowd}") from None
    # gaierror; UnicodeError: not a valid name; RuntimeError: no thread can be started
    except (OSError, ValueError, RuntimeError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise WebSocketAddressException(f"cannot resolve {host!r}: {reason}") from exc
    addresses = interleave(Address(entry[0], entry[4]) for entry in found)
    if not addresses:
        raise WebSocketAddressException(f"cannot resolve {host!r}: no addresses")
    return tuple(addresses)


def interleave(addresses: Iterable[Address]) -> list[Address]:
    """Return the addresses without duplicates, IPv6 first, the families alternating.

    RFC 8305 section 4: a broken family then costs one attempt, not one for each of its addresses.
    The order within a family stays: the system has sorted it (RFC 6724).
    """
    unique = dict.fromkeys(addresses)
    first = [address for address in unique if address.family == socket.AF_INET6]
    second = [address for address in unique if address.family != socket.AF_INET6]
    pairs = chain.from_iterable(zip_longest(first, second))
    return [address for address in pairs if address is not None]


def _recall(key: tuple[str, int, int], moment: float, ttl: float) -> Answer | None:
    with _cache_lock:
        answer = _cache.get(key)
        # An answer from the future has the time of another driver's clock.
        if answer is None or not 0 <= moment - answer.found < ttl:
            return None
        return answer


def _remember(answer: Answer, asked: float) -> Answer:
    """Cache the answer to a question of the time *asked*; return the cached answer.

    It is the same object for all callers that waited for the same call, so that the first that
    finds that it leads nowhere forgets it for all.
    """
    with _cache_lock:
        there = _cache.get(answer.key)
        if there is not None and asked <= there.found <= answer.found:
            return there
        _cache[answer.key] = answer
        _cache.move_to_end(answer.key)
        if len(_cache) > CACHE_SIZE:
            _cache.popitem(last=False)
        return answer
