"""Tokens: one limit for all shards, such as that of connects.

What it is: what is written in the key of the tokens, and how it changes.

What it must not know: where it is stored, clocks.

How it works. Of n tokens each taker has some, and gives them back when a whole window of time has
gone by since they were used. So never more than n are used in any window, and nobody compares
clocks. A taker that has died gives nothing back: who looks drops a share that has not changed for
several windows of its own time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

__all__ = ["Shares", "Witness", "decode_shares", "encode_shares", "give_back", "take"]

#: How many tokens each taker has.
Shares = Mapping[str, int]

#: Windows, and seconds, after which a share that does not change belongs to nobody. The seconds
#: are for takers that are slow, and use their tokens late.
ABANDONED, AT_LEAST = 5.0, 15.0


def take(shares: Shares, who: str, wanted: int, limit: int) -> tuple[dict[str, int], int]:
    """Take tokens.

    Args:
        shares: who has how many.
        who: takes some; a name that was not used before.
        wanted: how many at most.
        limit: how many there are.

    Returns:
        The shares then, and how many were taken; 0: there are none.
    """
    taken = max(0, min(wanted, limit - sum(shares.values())))
    return ({**shares, who: taken} if taken else dict(shares)), taken


def give_back(shares: Shares, who: str, kept: int = 0) -> dict[str, int]:
    """Give tokens back, all but some; returns the shares then."""
    rest = {name: count for name, count in shares.items() if name != who}
    return {**rest, who: kept} if kept else rest


class Witness:
    """Finds shares that nobody will give back.

    Args:
        per: the length of a window in seconds.
    """

    def __init__(self, per: float) -> None:
        self._per = per
        self._since: dict[str, tuple[int, float]] = {}

    def without_abandoned(self, shares: Shares, now: float) -> dict[str, int]:
        """Return the shares that are not abandoned.

        Args:
            shares: as they are.
            now: seconds on a clock that never goes back.
        """
        since = self._since
        self._since = {}
        left = {}
        for who, count in shares.items():
            seen = since.get(who)
            if seen is None or seen[0] != count:
                seen = (count, now)
            self._since[who] = seen
            if now - seen[1] < max(ABANDONED * self._per, AT_LEAST):
                left[who] = count
        return left


def encode_shares(shares: Shares) -> bytes:
    """Return shares as JSON."""
    return json.dumps(shares).encode()


def decode_shares(value: bytes | None) -> dict[str, int]:
    """Return what is written so."""
    return {} if not value else {str(who): int(n) for who, n in json.loads(value).items()}
