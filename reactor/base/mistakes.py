"""Errors about wrong arguments: they say what is expected, and what may have been meant.

What it is: functions that check an argument, or word the error about it.

What it must not know: who uses them.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from inspect import isasyncgenfunction, iscoroutinefunction
from math import inf
from types import CodeType, NoneType
from typing import Any

__all__ = [
    "check_called",
    "check_delay",
    "check_names",
    "check_number",
    "did_you_mean",
    "known_elsewhere",
    "not_seconds",
    "warn_if_misspelt",
]

#: How much two names are alike, of 1.0, where one may be the other misspelt.
ALIKE = 0.9

#: Other libraries' names for our options; the first of ours that is known is suggested.
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

#: Other libraries' names for our handlers, in lower case and without underscores. The first of ours
#: that is known is suggested.
HANDLER_SYNONYMS = {
    name: ours
    for ours, names in {
        ("on_open", "on_link_open"): (
            "onopen onopened onconnect onconnected onconnection onconnectionopen onconnectionmade "
            "connectionmade onwsconnected onlinkopened"
        ),
        ("on_close", "on_link_close"): (
            "onclose onclosed ondisconnect ondisconnected onconnectionclose onconnectionclosed "
            "onconnectionlost connectionlost onwsdisconnected"
        ),
        ("on_message", "parse"): (
            "onmessage ondata onmsg onframe onwsframe onreceive onreceived onrecv datareceived "
            "ondatareceived messagereceived onmessagereceived receivedmessage framereceived"
        ),
        ("on_text",): "ontextmessage onstr",
        ("on_binary",): "onbinarymessage onbytes",
        ("on_error",): "onfailure onfail onexception onconnecterror onconnectionerror",
        ("on_reconnect",): "onreconnected onreopen",
        ("on_retry",): "onreconnecting onreconnectattempt onretrying",
        ("on_writable",): "ondrain ondrained resumewriting",
    }.items()
    for name in names.split()
}


def known_elsewhere(name: str, known: Collection[str]) -> str | None:
    """Return our name for what another library's handler is for; None: it is no such name.

    Args:
        name: the name of a method: ``on_connect``, ``onMessage``, ``connection_lost``.
        known: our names.
    """
    plain = _plain(name)
    ours = [*HANDLER_SYNONYMS.get(plain, ()), *(each for each in known if _plain(each) == plain)]
    return next((each for each in ours if each in known and each != name), None)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return the end of an error about an unknown name: " (did you mean ...?)", or ""."""
    meant = [synonym for synonym in SYNONYMS.get(name, ()) if synonym in known]
    meant += get_close_matches(name, known, 1)
    return f" (did you mean {meant[0]!r}?)" if meant else ""


def check_names(given: Iterable[str], known: Collection[str], where: str) -> None:
    """Check that all options are known.

    Args:
        given: names of options.
        known: the names that exist.
        where: what has the options, for the message.

    Raises:
        TypeError: an option is unknown.
    """
    for name in given:
        if name not in known:
            raise TypeError(f"{where} has no option {name!r}{did_you_mean(name, known)}")


def warn_if_misspelt(kind: type, name: str, known: Collection[str], where: str) -> None:
    """Warn if a name in a class means nothing, but looks like one that does.

    It may be misspelt, or another library's.

    Args:
        kind: the class. The warning shows the line that defines it, if its base's
            ``__init_subclass__`` calls what calls this.
        name: the name.
        known: the names that mean something.
        where: to whom, for the message: "a Feed".
    """
    elsewhere = known_elsewhere(name, known)
    meant = [elsewhere] if elsewhere else get_close_matches(name, known, 1, ALIKE)
    if meant:
        text = f"{kind.__name__}.{name} means nothing to {where} (did you mean {meant[0]!r}?)"
        warnings.warn(text, stacklevel=4)


def check_number(name: str, value: object, expected: str) -> None:
    """Check that a value is not a str or a bool where a number is expected.

    Args:
        name: the name of the argument.
        value: its value.
        expected: which numbers are: "0 or greater".

    Raises:
        TypeError: it is a str or a bool.
    """
    if isinstance(value, bool):
        raise TypeError(f"{name} must be {expected}, not {value!r}")
    if isinstance(value, str):
        hint = f" (did you mean {value}?)" if _is_number(value) else ""
        raise TypeError(f"{name} must be {expected}, not the str {value!r}{hint}")


def check_delay(name: str, delay: object) -> None:
    """Check a number of seconds to wait.

    Args:
        name: the name of the argument.
        delay: its value.

    Raises:
        TypeError: it is not a number.
        ValueError: it is negative, infinite or NaN.
    """
    check_number(name, delay, "0 or more seconds")
    if not isinstance(delay, (int, float)):
        raise TypeError(f"{name} must be 0 or more seconds, not {delay!r}")
    if not 0 <= delay < inf:
        raise ValueError(f"{name} must be 0 or more seconds and finite, not {delay!r}")


def not_seconds(name: str, given: object) -> TypeError:
    """Return the error about an argument with which one cannot calculate.

    Args:
        name: the name of the argument.
        given: its value, which is no number.
    """
    try:
        check_number(name, given, "a number of seconds")
    except TypeError as exc:
        return exc.with_traceback(None)
    return TypeError(f"{name} must be a number of seconds, not {given!r}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_called(name: str, function: Any) -> None:
    """Check that a function is not an ``async def``, which does nothing when it is called.

    Args:
        name: the name of the argument that the function was given for.
        function: the function. Anything else is not looked at.

    Raises:
        TypeError: it is an ``async def``.
    """
    for each in (function, getattr(function, "__call__", None)):  # noqa: B004 - the method itself
        if isinstance(getattr(each, "__code__", None), (CodeType, NoneType)) and (
            iscoroutinefunction(each) or isasyncgenfunction(each)
        ):  # the __code__ of a mock is a mock, which would answer any question
            raise TypeError(
                f"{name} must be a plain function, not an async def: the loop calls it, "
                "and would never await what it returns"
            )
