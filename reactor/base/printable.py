"""What somebody else has said, in a form that may stand in a text of ours.

What it is: two functions for whatever a peer, a proxy or a name server has sent, where it goes
into an exception's text, a line of a log, an answer or a terminal. There, a control character
moves the cursor, a line end begins an entry that nobody has written, U+202E turns the rest of
the line around, and a megabyte hides everything else.

What it must not know: where the text goes. What programs get (messages, close reasons, bodies,
headers) stays as it came; these functions are for people's eyes.
"""

from __future__ import annotations

from typing import Any
from unicodedata import category

__all__ = ["printable", "quoted"]

#: Characters, or bytes, that are shown of one string: enough to recognize it.
LIMIT = 200


def printable(text: str, limit: int = LIMIT) -> str:
    """Return a text on one line, of characters that only show themselves.

    Control characters (also those of ISO 8859-1, U+0080 to U+009F), line ends, marks that turn
    the direction of writing, surrogates and the like are escaped as Python does: ``\\x1b``.

    Parameters:
        text: what somebody else has said.
        limit: how many of its characters are shown; how many there were is said behind them.
    """
    shown = text[:limit]
    if not shown.isprintable():
        shown = "".join(map(_shown, shown))
    return shown if len(text) <= limit else f"{shown}... ({len(text)} characters)"


def _shown(char: str) -> str:
    if char.isprintable() or category(char) == "Zs":  # spaces that are no U+0020 do no harm
        return char
    return char.encode("unicode_escape").decode("ascii")


def quoted(value: Any, limit: int = LIMIT) -> str:
    """Return the repr() of something that somebody else has sent, cut as :func:`printable` does.

    Parameters:
        value: str, bytes, or anything whose repr() is of a reasonable size.
        limit: how many of its characters or bytes are shown.
    """
    if isinstance(value, (str, bytes)):
        if len(value) <= limit:
            return repr(value)
        kind = "characters" if isinstance(value, str) else "bytes"
        return f"{value[:limit]!r}... ({len(value)} {kind})"
    return printable(repr(value), limit)
