"""Errors for what was given wrongly: they say what is expected, and what may have been meant.

What it is: functions that check an argument, or word the error about one.

What it must not know: who uses them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from inspect import isasyncgenfunction, iscoroutinefunction
from types import CodeType, NoneType
from typing import Any

__all__ = ["check_called", "check_names", "check_number", "did_you_mean"]

#: Names that other libraries have for options of ours; the first that is known is meant.
SYNONYMS = {
    "user_agent_header": ("header", "response_headers"),
    "headers": ("header", "response_headers"),
    "extra_headers": ("header", "response_headers"),
    "additional_headers": ("header", "response_headers"),
    "timeout": ("connect_timeout", "handshake_timeout"),
    "open_timeout": ("connect_timeout", "handshake_timeout"),
    "connection_timeout": ("connect_timeout", "handshake_timeout"),
    "receive_timeout": ("idle_timeout",),
    "read_timeout": ("idle_timeout",),
    "inactivity_timeout": ("idle_timeout",),
    "ping_period": ("ping_interval",),
    "keepalive": ("ping_interval",),
    "keep_alive": ("ping_interval",),
    "pong_timeout": ("ping_timeout",),
    "ping_wait": ("ping_timeout",),
    "autoping": ("ping_interval",),
    "max_payload_size": ("max_message_size",),
    "max_line_size": ("max_head_size",),
    "max_size": ("max_message_size",),
    "max_msg_size": ("max_message_size",),
    "protocols": ("subprotocols",),
    "ssl": ("sslopt",),
    "ssl_context": ("sslopt", "ssl"),
    "sslopt": ("ssl",),
    "reconnect_interval": ("reconnect",),
    "retry_interval": ("reconnect",),
    "max_retries": ("reconnect",),
    "cookies": ("cookie",),
    "user_agent": ("header", "response_headers"),
    "local_addr": ("source_address",),
    "sock_opt": ("sockopt",),
    "http_no_proxy": ("no_proxy",),
    "http_proxy_timeout": ("proxy_timeout",),
    "http_proxy_port": ("proxy",),
    "retry": ("reconnect",),
    "backoff": ("reconnect",),
    "heartbeat": ("ping_interval",),
    "compress": ("compression",),
    "http_proxy_host": ("proxy",),
    "socket": ("sock",),
}


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return how an error about an unknown name ends: " (did you mean ...?)", or "" for no idea."""
    meant = [synonym for synonym in SYNONYMS.get(name, ()) if synonym in known]
    meant += get_close_matches(name, known, 1)
    return f" (did you mean {meant[0]!r}?)" if meant else ""


def check_names(given: Iterable[str], known: Collection[str], where: str) -> None:
    """Raise TypeError for an option that is unknown to what *where* names."""
    for name in given:
        if name not in known:
            raise TypeError(f"{where} has no option {name!r}{did_you_mean(name, known)}")


def check_number(name: str, value: object, expected: str) -> None:
    """Raise TypeError for a str or a bool where a number is expected.

    Parameters:
        name: of the argument.
        expected: which numbers: "0 or greater".
    """
    if isinstance(value, bool):
        raise TypeError(f"{name} must be {expected}, not {value!r}")
    if isinstance(value, str):
        hint = f" (did you mean {value}?)" if _is_number(value) else ""
        raise TypeError(f"{name} must be {expected}, not the str {value!r}{hint}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_called(name: str, function: Any) -> None:
    """Raise TypeError for an ``async def``, which does nothing when it is called.

    Parameters:
        name: of what the function was given for.
        function: or anything else, which is not looked at.
    """
    for each in (function, getattr(function, "__call__", None)):  # noqa: B004 - of an object
        if isinstance(getattr(each, "__code__", None), (CodeType, NoneType)) and (
            iscoroutinefunction(each) or isasyncgenfunction(each)
        ):  # the code of a mock is a mock, which has an answer to everything
            raise TypeError(
                f"{name} must be a plain function, not an async def: the loop calls it, "
                "and would never await what it returns"
            )
