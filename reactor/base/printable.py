"""Text that somebody else has sent, in a form that is safe to show.

What it is: functions for text that a peer, a proxy or a name server has sent, and that becomes
part of an exception's text, a log line, an answer or a terminal's output. There, a control
character moves the cursor, a line end begins a false entry, U+202E reverses the rest of the line,
and a megabyte hides everything else. And one for URLs, which may contain secrets.

What it must not know: where the text goes. What programs get (messages, close reasons, bodies,
headers) stays as it was received; these functions are for people's eyes.
"""

from __future__ import annotations

import re
from typing import Any
from unicodedata import category

__all__ = ["named", "printable", "quoted", "without_secrets"]

#: How many characters, or bytes, of a string are shown: enough to recognize it.
LIMIT = 200


def printable(text: str, limit: int = LIMIT) -> str:
    r"""Return a text on one line, with printable characters only.

    Control characters (also those of ISO 8859-1, U+0080 to U+009F), line ends, marks that change
    the direction of writing, surrogates and the like are escaped as Python does: ``\x1b``.

    Args:
        text: what somebody else has sent.
        limit: how many of its characters are shown (default 200); the length of a longer text
            follows them.
    """
    shown = text[:limit]
    if not shown.isprintable():
        shown = "".join(map(_shown, shown))
    return shown if len(text) <= limit else f"{shown}... ({len(text)} characters)"


def _shown(char: str) -> str:
    if char.isprintable() or category(char) == "Zs":  # spaces other than U+0020 do no harm
        return char
    return char.encode("unicode_escape").decode("ascii")


def quoted(value: Any, limit: int = LIMIT) -> str:
    """Return the repr() of something that somebody else has sent, cut as :func:`printable` does.

    Args:
        value: str, bytes, or anything whose repr() is of a reasonable size.
        limit: how many of its characters or bytes are shown (default 200).
    """
    if isinstance(value, (str, bytes)):
        if len(value) <= limit:
            return repr(value)
        kind = "characters" if isinstance(value, str) else "bytes"
        return f"{value[:limit]!r}... ({len(value)} {kind})"
    return printable(repr(value), limit)


def named(value: object) -> str:
    """Return the text of an object of the user's, as :func:`printable` has it.

    Args:
        value: a topic, or something else that is shown by its text. One whose ``__str__`` fails is
            shown by its class.
    """
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - what we show is not worth a failure
        return f"<{printable(type(value).__name__)}>"
    return printable(text)


def without_secrets(url: str) -> str:
    """Return a URL, or the target of a request, without username, password, query and fragment.

    Tokens are often in the query. A query is shown as "?...".

    Args:
        url: the URL, which need not be a valid one.
    """
    bare = re.sub(r"//[^/?#]*@", "//", url)
    path, mark, _ = bare.partition("#")[0].partition("?")
    return f"{path}?..." if mark else path
