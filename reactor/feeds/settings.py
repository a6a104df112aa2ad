"""Settings: the URLs and options that a feed was given, checked before anything is opened.

What it must not know: who connects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..base.mistakes import check_called
from ..client.options import ClientOptions
from ..client.url import parse_url
from ..timers import Backoff
from .policy import Policy

__all__ = ["LIVED", "check_methods", "check_options", "check_urls"]

#: Seconds after which an attempt has led to a link that counts as stable.
LIVED = 10.0


def check_methods(feed: Any, base: type) -> None:
    """Check the methods of a feed that its user has written.

    Args:
        feed: the feed.
        base: Feed itself.

    Raises:
        TypeError: something that the feed calls is a coroutine function, which nobody would await.
    """
    name = type(feed).__name__
    for called in vars(base):
        if called.startswith("on_") or called.endswith("_message") or called == "parse":
            check_called(f"{name}.{called}", getattr(feed, called))


def check_urls(url: Any) -> list[str | Callable[[], str]]:
    """Return the URLs that a feed was given, one or several, as a list."""
    urls = [url] if isinstance(url, str) or callable(url) else list(url)
    if not urls:
        raise ValueError("url must be one URL at least, not an empty list")
    for one in urls:
        if isinstance(one, str):
            parse_url(one)
        elif not callable(one):
            raise TypeError(f"url must be a str or a function, or a list of them, not {one!r}")
    return urls


def check_options(options: dict[str, Any], policy: Policy) -> dict[str, Any]:
    """Return the options of all links. A link counts its attempts until it has lived 10 s."""
    options = {"reconnect": Backoff(), **options}
    backoff = options["reconnect"]
    if isinstance(backoff, Backoff):
        options["reconnect"] = replace(backoff, reset_after=min(backoff.reset_after, LIVED))
    if policy.connect_pace is not None:
        options.setdefault("connect_pace", policy.connect_pace)
    checked = ClientOptions(**options)
    if checked.fragments or not checked.decode_text:
        raise ValueError("a feed takes whole messages: fragments and decode_text are not for it")
    return options
