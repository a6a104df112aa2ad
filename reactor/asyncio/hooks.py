"""What the user's functions decide about a request, before there is a connection.

What it is: :class:`Hooks`, which has the user's functions, and asks them at the three places where
the reactor's server lets a client in: the request, the subprotocol, the response.

What it must not know: sockets, what a connection does once it is open.

How it works. The reactor's server calls these methods during the opening handshake
(server/pipeline.py), and awaits what they return: the host has asyncio run coroutines.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..protocols.http import http11
from ..protocols.http.answers import RejectedUpgrade
from ..server.decisions import Accept, HTTPResponse
from .exceptions import NegotiationError
from .heads import Request, Response

if TYPE_CHECKING:
    from .server import ServerConnection

__all__ = ["Handler", "Hooks", "ProcessRequest", "ProcessResponse", "SelectSubprotocol"]

#: Headers that are made anew.
SET_FROM_BODY = frozenset({"content-length", "transfer-encoding"})

Handler = Callable[["ServerConnection"], Awaitable[None]]
Answer = Response | Awaitable[Response | None] | None
ProcessRequest = Callable[["ServerConnection", Request], Answer]
ProcessResponse = Callable[["ServerConnection", Request, Response], Answer]
SelectSubprotocol = Callable[["ServerConnection", Sequence[str]], str | None]


class Hooks(NamedTuple):
    """What is the user's: see :class:`serve`, whose parameters have the same names."""

    handler: Handler
    process_request: ProcessRequest | None
    process_response: ProcessResponse | None
    select_subprotocol: SelectSubprotocol | None
    create_connection: Callable[..., ServerConnection]

    def decide(self, face: ServerConnection, request: Request) -> Any:
        """Return what the reactor's ``process_request`` has to: a decision, or an awaitable of one.

        Args:
            face: what becomes the connection if the client is accepted.
            request: the client's request.
        """
        accept = Accept(
            lambda: face._protocol,  # a function, which keeps the face until its connection is open
            subprotocols=self.select_subprotocol and partial(self._choose, face),
            process_response=partial(self._answering, face),
        )
        if self.process_request is None:
            return accept
        return _go_on(self.process_request(face, request), partial(_decision, accept))

    def _choose(
        self, face: ServerConnection, _: http11.Request, offered: tuple[str, ...]
    ) -> str | None:
        assert self.select_subprotocol is not None
        try:
            return self.select_subprotocol(face, list(offered))
        except NegotiationError as exc:
            raise RejectedUpgrade(str(exc) or "no subprotocol that both sides know") from exc

    def _answering(self, face: ServerConnection, head: bytes) -> Any:
        """A client is about to be accepted: see Accept, process_response."""
        face.response = Response.of(http11.parse_again("response", head))
        if self.process_response is None:
            return head
        assert face.request is not None
        answer = self.process_response(face, face.request, face.response)
        return _go_on(answer, partial(_answer, face))


def _go_on(answer: Answer, finish: Callable[[Response | None], Any]) -> Any:
    """Go on with what a function has returned, which may be for asyncio to run."""
    if isawaitable(answer):
        return _go_on_later(answer, finish)
    return finish(answer)


async def _go_on_later(
    answer: Awaitable[Response | None], finish: Callable[[Response | None], Any]
) -> Any:
    return finish(await answer)


def _decision(accept: Accept, answer: Response | None) -> Accept | HTTPResponse:
    if answer is None:
        return accept
    return _refusal("process_request", answer)


def _answer(face: ServerConnection, answer: Response | None) -> bytes | HTTPResponse:
    if answer is None:
        answer = face.response  # perhaps with other headers
    if not isinstance(answer, Response) or answer.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        return _refusal("process_response", answer)
    face.response = answer
    return answer.head()


def _refusal(hook: str, answer: Response | None) -> HTTPResponse:
    if not isinstance(answer, Response):
        raise TypeError(f"{hook} must return None or a Response, not {answer!r}")
    headers = [pair for pair in answer.headers.items() if pair[0].lower() not in SET_FROM_BODY]
    return HTTPResponse(answer.status_code, headers, answer.body)
