"""Subscriptions that outlive connections.

    from reactor.feeds import Feed, Pace, Update

The public names; docs/feeds.md tells what they do.
"""

from __future__ import annotations

from .pace import Pace

__all__ = ["Pace"]
