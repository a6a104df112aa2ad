"""The way from a host to a connected socket: resolve, dial, and repeat if the answer was stale.

What it is: one coroutine, :func:`reach`.

What it must not know: proxies, TLS, HTTP, WebSocket, which driver runs it.

How it works. An answer of the resolver can be stale: a server that has died may have moved to
another address by now. So, if no address of an answer can be connected to, the answer is forgotten,
and the next attempt asks again. If the answer was a cached one, the system is asked at once, and
new addresses are dialled within the same attempt.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from ...base.addresses import written
from ...exceptions import (
    WebSocketConnectException,
    WebSocketException,
    WebSocketTimeoutException,
)
from ...loop.steps import note, now
from ...protocols.history import Step
from .race import NO_DESCRIPTORS, dial
from .resolver import Address, Answer, forget_answer, look_up

__all__ = ["peer_name", "reach"]


async def reach(
    host: str,
    port: int,
    *,
    until: float | None,
    sockopt: Iterable[tuple[Any, ...]] = (),
    source_address: tuple[Any, ...] | None = None,
) -> tuple[socket.socket, Answer]:
    """Connect to a host.

    Args:
        host, port: see :func:`~.resolver.look_up`.
        until: point in time (seconds of the driver's clock) at which to give up, or None.
        sockopt, source_address: see :func:`~.race.dial`.

    Returns:
        A connected, non-blocking socket, and the answer that led there. The caller forgets the
        answer if the peer does not speak the expected protocol.

    Raises:
        WebSocketException: as look_up() and dial() raise.
    """
    began = await now()
    failure: WebSocketConnectException | None = None
    tried: tuple[Address, ...] = ()
    while True:
        try:
            answer = await look_up(host, port, until)
        except WebSocketException:
            if failure is None:
                raise
            raise failure from None
        await note(Step.RESOLVED, f"{len(answer.addresses)} {_name(answer.addresses[0])}")
        addresses = [address for address in answer.addresses if address not in tried]
        if failure is not None and not addresses:
            raise failure
        try:
            sock = await dial(
                addresses,
                until=until,
                host_name_for_errors=host,
                sockopt=sockopt,
                source_address=source_address,
            )
            await note(Step.DIALLED, peer_name(sock))
            return sock, answer
        except WebSocketTimeoutException:
            forget_answer(answer)
            raise
        except WebSocketConnectException as exc:
            if exc.errno in NO_DESCRIPTORS:  # says nothing about the host
                raise
            forget_answer(answer)
            if answer.found >= began:
                raise
            failure, tried = exc, answer.addresses


def _name(address: Address) -> str:
    return str(address.sockaddr[0])


def peer_name(sock: socket.socket) -> str:
    """Return the address that a socket is connected to, as people write it; "" if it is not."""
    try:
        return written(sock.getpeername())
    except OSError:
        return ""
