"""The public names: which are native, which are websocket-client's, and when they are loaded."""

from __future__ import annotations

import pytest
import websocket

import reactor
import reactor.classic

from .support.programs import run_program


def test_the_native_names_are_those_of_all() -> None:
    for name in reactor.__all__:
        assert getattr(reactor, name) is not None
    functions_of_theirs = {"send", "recv", "create_connection", "enableTrace", "WebSocketApp"}
    assert not functions_of_theirs & set(reactor.__all__)


def test_what_a_type_is_annotated_with_is_public() -> None:
    needed = {"ClientOptions", "ServerOptions", "Request", "Response", "Timer", "EventLoop"}
    assert needed <= set(reactor.__all__)


def test_websocket_clients_names_are_found() -> None:
    for name in reactor.classic.__all__:
        assert getattr(reactor, name) is getattr(reactor.classic, name)


def test_no_name_of_theirs_is_missing() -> None:
    imported_by_them = {"logging", "Optional"}
    theirs = {
        name
        for name, value in vars(websocket).items()
        if not name.startswith("_") and not hasattr(value, "__path__")
    } - imported_by_them
    modules = {name for name in theirs if type(getattr(websocket, name)).__name__ == "module"}
    assert [name for name in theirs - modules if not hasattr(reactor, name)] == []


def test_dir_shows_both() -> None:
    assert {*reactor.__all__, *reactor.classic.__all__} <= set(dir(reactor))


def test_they_are_loaded_when_one_is_asked_for() -> None:
    program = """
import sys
import reactor as websocket
print("reactor.classic" in sys.modules, "http.cookies" in sys.modules)
websocket.WebSocketApp
print("reactor.classic" in sys.modules)
"""
    assert run_program(program).split("\n")[:2] == ["False False", "True"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'reactor' has no attribute 'Reaktor'"):
        reactor.Reaktor  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Reaktor'"):
        from reactor import Reaktor  # noqa: F401


def test_a_star_gives_the_native_names() -> None:
    program = "from reactor import *\nprint('Reactor' in dir(), 'send' in dir())"
    assert run_program(program) == "True False\n"
