"""Scripts for ScriptedPeer: peers that behave, and peers that misbehave in many ways.

What it is: functions that return scripts. ``ScriptedPeer(faults.too_many_requests(30),
faults.echo())`` refuses the first connection and serves the second.

What it must not know: the package's own reading and writing.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from .frames import BINARY, CLOSE, PING, PONG, TEXT, build_frame, close_payload
from .peer import Script, Talk, http_response

__all__ = [
    "close_with",
    "echo",
    "garbage",
    "half_open",
    "mute",
    "refuse",
    "reset",
    "say",
    "slow",
    "too_many_requests",
    "torn_frame",
]

#: A text or a binary message.


def _frame_of(message: str | bytes) -> bytes:
    if isinstance(message, str):
        return build_frame(TEXT, message.encode())
    return build_frame(BINARY, message)


def _echo(talk: Talk) -> None:
    """Send messages back, answer pings and the close frame."""
    while True:
        frame = talk.frame()
        if frame.opcode == PING:
            talk.send(build_frame(PONG, frame.payload))
        elif frame.opcode == CLOSE:
            talk.send(build_frame(CLOSE, frame.payload))
            return talk.end()
        elif frame.opcode != PONG:
            talk.send(build_frame(frame.opcode, frame.payload, fin=frame.fin))


# --- peers that behave ----------------------------------------------------------------------------


def echo() -> Script:
    """Accept the upgrade, send every message back, answer pings and the close frame."""

    def script(talk: Talk) -> None:
        talk.upgrade()
        _echo(talk)

    return script


def say(*messages: str | bytes) -> Script:
    """Accept the upgrade, send these messages, and go on as :func:`echo` does.

    Args:
        messages: str or bytes. They come in the same segment as the answer to the upgrade.
    """

    def script(talk: Talk) -> None:
        talk.upgrade(then=b"".join(map(_frame_of, messages)))
        _echo(talk)

    return script


# --- the opening handshake ------------------------------------------------------------------------


def refuse(
    status: int = 503,
    reason: str | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Script:
    """Answer the request for the upgrade with a status. For a refusal of TCP: ``closed_port``.

    Args:
        status: of the answer (default 503).
        reason: the words behind it; None (default): the usual ones.
        headers: further headers.
        body: what follows the head.
    """
    if reason is None:
        reason = {int(known): known.phrase for known in HTTPStatus}.get(status, "")
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]

    def script(talk: Talk) -> None:
        talk.head()
        talk.send(http_response(*lines, body=body))
        talk.end()

    return script


def too_many_requests(retry_after: int | str = 30) -> Script:
    """Answer with status 429 and Retry-After (RFC 9110 section 10.2.3).

    Args:
        retry_after: seconds, or a date in HTTP's form.
    """
    return refuse(429, headers={"Retry-After": str(retry_after)})


# --- a connection that is not what it seems -------------------------------------------------------


def mute(*, upgrade: bool = True) -> Script:
    """Read everything, and say nothing: no message, no pong, no close frame.

    Args:
        upgrade: True (default): from the upgrade on; False: not even that is answered.
    """

    def script(talk: Talk) -> None:
        if upgrade:
            talk.upgrade()
        talk.until_closed()

    return script


def half_open(*messages: str | bytes) -> Script:
    """Accept the upgrade, then vanish: read nothing, send nothing, end nothing.

    Args:
        messages: what is sent before.
    """

    def script(talk: Talk) -> None:
        talk.upgrade(then=b"".join(map(_frame_of, messages)))
        talk.hold()

    return script


def slow(*messages: str | bytes, piece: int = 1, pause: float = 0.001) -> Script:
    """Send the answer to the upgrade and messages in small pieces, then go on as :func:`echo` does.

    Args:
        messages: str or bytes.
        piece: bytes in one segment (default 1).
        pause: real seconds between two of them (default 0.001).
    """

    def script(talk: Talk) -> None:
        data = talk.head().response() + b"".join(map(_frame_of, messages))
        for i in range(0, len(data), piece):
            talk.send(data[i : i + piece])
            if talk.pause(pause):
                return
        _echo(talk)

    return script


# --- ends -----------------------------------------------------------------------------------------


def torn_frame(message: str | bytes = "torn", keep: int = 3) -> Script:
    """Send the beginning of a frame, and end the connection in the middle of it.

    Args:
        message: what the frame carries.
        keep: how many bytes of it are sent (default 3).
    """

    def script(talk: Talk) -> None:
        talk.upgrade(then=_frame_of(message)[:keep])
        talk.end()

    return script


def reset(*messages: str | bytes) -> Script:
    """Accept the upgrade, read the client's first frame, and reset the connection (RST).

    An immediate reset could destroy the answer to the upgrade: the kernel drops what the program
    has not read yet.

    Args:
        messages: what is sent with the answer to the upgrade.
    """

    def script(talk: Talk) -> None:
        talk.upgrade(then=b"".join(map(_frame_of, messages)))
        talk.frame()
        talk.reset()

    return script


def close_with(code: int = 1001, reason: str = "", *messages: str | bytes) -> Script:
    """Accept the upgrade, and close with a code, also with one that may not be sent.

    Args:
        code: RFC 6455 section 7.4; 1005: a close frame without a code; 1006: none at all.
        reason: the reason.
        messages: what is sent before.
    """

    def script(talk: Talk) -> None:
        last = b"" if code == 1006 else build_frame(CLOSE, _close_payload(code, reason))
        talk.upgrade(then=b"".join(map(_frame_of, messages)) + last)
        talk.end()

    return script


def _close_payload(code: int, reason: str) -> bytes:
    return b"" if code == 1005 else close_payload(code, reason.encode())


def garbage(data: bytes = b"\xff" * 64, *, upgrade: bool = True) -> Script:
    """Send bytes that are neither a frame nor an HTTP response.

    Args:
        data: what is sent.
        upgrade: True (default): after the answer to the upgrade; False: in its place.
    """

    def script(talk: Talk) -> None:
        if upgrade:
            talk.upgrade(then=data)
        else:
            talk.head()
            talk.send(data)
        talk.end()

    return script
