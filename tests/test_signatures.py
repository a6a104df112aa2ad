"""That one list of options is known to people, to editors and to type checkers."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from reactor import ClientOptions, Reactor, ServerOptions, WebSocketProtocol
from reactor.connection.options import ConnectionOptions

ROOT = Path(__file__).parents[1]
METHODS = {"connect": ClientOptions, "listen": ServerOptions}


def declared(method: str) -> dict[str, tuple[str, object]]:
    """The options in signatures.py, which no program runs: name -> annotation, default."""
    tree = ast.parse((ROOT / "reactor" / "signatures.py").read_text())
    (function,) = (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == method
    )
    options = {}
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        assert argument.annotation is not None
        assert default is not None
        value = eval(ast.unparse(default))
        options[argument.arg] = (ast.unparse(argument.annotation), value)
    return options


@pytest.mark.parametrize(("method", "options"), METHODS.items())
def test_what_is_declared_is_what_the_options_class_has(method: str, options: Any) -> None:
    expected = {
        field.name: (ast.unparse(ast.parse(field.type, mode="eval")), field.default)
        for field in fields(options)
    }
    own = {"sock", "unix_path"} if method == "listen" else set()
    found = {name: each for name, each in declared(method).items() if name not in own}
    assert found == expected


@pytest.mark.parametrize(("method", "options"), METHODS.items())
def test_inspect_shows_every_option_with_its_default(method: str, options: Any) -> None:
    parameters = inspect.signature(getattr(Reactor, method)).parameters
    for field in fields(options):
        parameter = parameters[field.name]
        assert parameter.default == field.default
        assert parameter.annotation == field.type
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
    assert not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())


@pytest.mark.parametrize("options", [ConnectionOptions, *METHODS.values()])
def test_every_option_has_a_default_and_is_documented_in_its_class(options: Any) -> None:
    inherited = () if options is ConnectionOptions else fields(ConnectionOptions)
    for field in fields(options):
        assert field.default is not MISSING
        if field.name in {each.name for each in inherited}:
            continue
        assert re.search(rf"^ +([\w, ]+, )?{field.name}(, [\w, ]+)?:", options.__doc__, re.M), field


def test_a_misspelt_option_is_answered_with_what_may_have_been_meant() -> None:
    with Reactor() as loop:
        options: Any = {"pingintervall": 3}
        with pytest.raises(TypeError, match="did you mean 'ping_interval'"):
            loop.connect("ws://localhost/", WebSocketProtocol, **options)
        wrong: Any = {"ping_interval": "3"}
        with pytest.raises(TypeError, match="ping_interval"):
            loop.connect("ws://localhost/", WebSocketProtocol, **wrong)


PROGRAM = """
from reactor import Reactor, WebSocketProtocol

class Mine(WebSocketProtocol):
    def on_text(self, message: str) -> None: ...

loop = Reactor()
mine: Mine = loop.connect("ws://localhost/", Mine, ping_interval=3)
loop.connect("ws://localhost/", Mine, pingintervall=3)
loop.connect("ws://localhost/", Mine, ping_interval="3")
protocols: list[Mine] = loop.listen("127.0.0.1", 0, Mine, backlog=5).protocols
loop.listen("127.0.0.1", 0, Mine, backlogg=5)
again: Reactor = mine.loop
"""


@pytest.mark.timeout(300)
def test_mypy_finds_a_misspelt_option_and_a_wrong_type(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(program)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "No module named mypy" in done.stderr:
        pytest.skip("mypy is not installed: it is in the extra lint")
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [int(line.split(":")[1]) for line in errors] == [9, 10, 12]
    assert "pingintervall" in errors[0]
    assert "ping_interval" in errors[1]
    assert "backlogg" in errors[2]
