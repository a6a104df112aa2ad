"""The exceptions: what becomes of them on their way to other processes and places."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from reactor import WebSocketException, WebSocketProtocol, exceptions
from reactor.asyncio.exceptions import Close
from reactor.connection.closing import describe_loss

from .support.modules import MODULES


def classes_of(base: type[BaseException]) -> list[type[BaseException]]:
    """Return all exception classes of the package, wherever they are defined."""
    modules = [importlib.import_module(name) for name in MODULES]
    found = {
        value: None
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, base)
        if value.__module__.partition(".")[0] == "reactor"
    }
    return list(found)


CLASSES = classes_of(Exception)

#: What the constructors take that want more than a text.
REFUSED = ("Handshake status 503 Busy", 503, "Busy", {"retry-after": "7"}, b"later\x00")

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "WebSocketBadStatusException": REFUSED,
    "InvalidStatus": REFUSED,
    "InvalidURI": ("ws:/", "it has no host"),
    "WebSocketConnectionClosedException": ("gone", 1001, "restart"),
    "WebSocketConnectionLostException": ("lost", 104),
    **{
        name: (Close(1001, "restart"), Close(1000, ""), True)
        for name in ("ConnectionClosed", "ConnectionClosedOK", "ConnectionClosedError")
    },
    "HeadError": ("too large", 431),
    "RejectedUpgrade": ("no", 426, [("Upgrade", "websocket")]),
}

DUPLICATES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda exc, protocol=protocol: pickle.loads(
            pickle.dumps(exc, protocol)
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


def attributes(exc: BaseException) -> dict[str, Any]:
    """Return all that can be asked for and is no method."""
    values = {name: getattr(exc, name, None) for name in dir(exc) if not name.startswith("__")}
    values = {name: value for name, value in values.items() if not callable(value)}
    return values | {"notes": getattr(exc, "__notes__", None)}


def make(kind: type[BaseException], number: int | None = None) -> BaseException:
    default = ("it failed",) if number is None else (number, "it failed", "a file")
    exc = kind(*ARGUMENTS.get(kind.__name__, default))
    exc.extra = ["of", "the", "user"]  # type: ignore[attr-defined]
    if hasattr(exc, "add_note"):  # Python 3.11
        exc.add_note("seen in the morning")
    return exc


def same(one: BaseException, other: BaseException) -> None:
    assert other is not one
    assert type(other) is type(one)
    assert other.args == one.args
    assert (str(other), repr(other)) == (str(one), repr(one))
    assert attributes(other) == attributes(one)


@pytest.fixture(params=DUPLICATES)
def duplicate(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return DUPLICATES[request.param]


def test_every_public_exception_is_tried_here() -> None:
    assert {getattr(exceptions, name) for name in exceptions.__all__} <= {
        *CLASSES,
        exceptions.CloseCode,
    }


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_exceptions_survive_pickle_and_copy(
    kind: type[BaseException], duplicate: Callable[[Any], Any]
) -> None:
    exc = make(kind)
    same(exc, duplicate(exc))
    same(exc, duplicate(duplicate(exc)))


@pytest.mark.parametrize(
    "kind", [kind for kind in CLASSES if issubclass(kind, OSError)], ids=lambda kind: kind.__name__
)
def test_with_what_the_operating_system_said(
    kind: type[OSError], duplicate: Callable[[Any], Any]
) -> None:
    exc = make(kind, 111)
    other = duplicate(exc)
    same(exc, other)
    assert other.errno == getattr(exc, "errno", None) is not None


def test_a_lost_connection_keeps_its_errno(duplicate: Callable[[Any], Any]) -> None:
    exc = describe_loss(ConnectionResetError(104, "Connection reset by peer"))
    other = duplicate(exc)
    same(exc, other)
    assert isinstance(other, ConnectionResetError)
    assert other.errno == 104


def test_an_attribute_that_needs_a_connection(duplicate: Callable[[Any], Any]) -> None:
    with pytest.raises(WebSocketException) as caught:
        _ = WebSocketProtocol().url
    other = duplicate(caught.value)
    assert (type(other), other.args) == (type(caught.value), caught.value.args)
    assert other.name == "url"


class Late(exceptions.WebSocketTimeoutException):
    """One of a user, whose constructor takes something else."""

    def __init__(self, symbol: str, seconds: float) -> None:
        super().__init__(f"{symbol} took {seconds} s")
        self.symbol = symbol


def test_exceptions_that_users_derive_from_them(duplicate: Callable[[Any], Any]) -> None:
    exc = Late("EURUSD", 3.5)
    same(exc, duplicate(exc))
