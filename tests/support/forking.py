"""What a test does in a forked child, with its result or its exception."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any


def fork() -> int:
    """As os.fork(), whatever threads the runner of the tests has (Python 3.12 warns of them)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def in_child(function: Callable[..., object], *args: Any) -> str:
    """Call a function in a forked child, which ends there and then.

    Returns, as text, what it returned; what it raised, as the name and the text. The test must
    have no other threads.
    """
    reader, writer = os.pipe()
    child = fork()
    if child == 0:
        try:
            os.write(writer, _outcome(function, *args).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as outcome:
        text = outcome.read()
    os.waitpid(child, 0)
    return text


def _outcome(function: Callable[..., object], *args: Any) -> str:
    try:
        return str(function(*args))
    except BaseException as exc:
        if isinstance(exc, AssertionError):
            sys.excepthook(type(exc), exc, exc.__traceback__)
        return f"{type(exc).__name__}: {exc}"
