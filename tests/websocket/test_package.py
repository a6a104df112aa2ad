"""What install_as_websocket() puts in websocket-client's place, to importlib and its kin."""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

from reactor.classic.names.compat import PRIVATE_MODULES, private_module

from ..support.installed import run_installed, run_python

genuine = pytest.importorskip("websocket", reason="websocket-client is not installed")

#: Names in its private modules that ours do not have, and why nobody misses them.
NOT_THERE = {
    # Leaks of typing; what a type checker sees are annotations.
    *("Any", "Callable", "List", "Optional", "Tuple", "Type", "TYPE_CHECKING", "Union"),
    *("_SSLErrorType", "_SSLEOFErrorType", "_SSLWantReadErrorType", "_SSLWantWriteErrorType"),
    # The tables and helpers of algorithms that ours does another way.
    *("_UTF8D", "_UTF8_ACCEPT", "_UTF8_REJECT", "_decode"),
    # Modules that only one module of ours may import: selectors and python-socks.
    *("selectors", "Proxy", "ProxyType", "_ssl_module"),
}

#: The pieces of its command line, which is another one here.
OF_WSDUMP = {
    *("InteractiveConsole", "NonInteractive", "RawInput", "VAction", "parse_args"),
    *("argparse", "code", "gzip", "readline", "ssl", "sys", "threading", "time", "urlparse"),
    *("websocket", "zlib"),
}


def names(module: ModuleType) -> set[str]:
    return {name for name in vars(module) if not name.startswith("__")}


def test_the_release_that_it_shows_is_the_one_that_it_is_compared_with() -> None:
    printed = run_installed("import websocket; print(websocket.__version__)")
    assert printed.strip() == version("websocket-client") == genuine.__version__


@pytest.mark.parametrize("name", PRIVATE_MODULES)
def test_a_private_module_has_the_names_of_theirs(name: str) -> None:
    theirs, ours = importlib.import_module(f"websocket.{name}"), private_module(name)
    missing = names(theirs) - set(dir(ours)) - NOT_THERE
    assert missing - (OF_WSDUMP if name == "_wsdump" else set()) == set()
    assert set(getattr(ours, "__all__", ())) == set(getattr(theirs, "__all__", ()))


def test_a_star_import_brings_the_same_names() -> None:
    theirs: dict[str, object] = {}
    exec("from websocket import *", theirs)
    printed = run_installed("names = {}; exec('from websocket import *', names); print(*names)")
    assert set(printed.split()) == set(theirs)


def test_what_is_ours_alone_is_found_all_the_same() -> None:
    run_installed("import websocket; assert websocket.Reactor is reactor.Reactor")
    code = "import websocket\ntry: websocket._nothing\nexcept AttributeError as exc: print(exc)"
    assert run_installed(code) == "module 'websocket' has no attribute '_nothing'\n"


def test_the_import_system_finds_it_as_it_finds_any_package() -> None:
    code = """
import importlib, importlib.resources, importlib.util, pkgutil, sys
import websocket
for name in sys.argv[1:]:
    module = importlib.import_module(f"websocket.{name}")
    assert module is getattr(websocket, name) is sys.modules[f"websocket.{name}"]
    assert importlib.util.find_spec(f"websocket.{name}").name == module.__name__
    assert importlib.reload(module) is module
assert importlib.reload(websocket) is websocket
assert importlib.util.find_spec("websocket").origin == websocket.__file__
assert importlib.resources.files("websocket").joinpath("py.typed").is_file()
assert websocket.__name__ == websocket.__package__ == "websocket"
del sys.modules["websocket._utils"]
from websocket._utils import validate_utf8
print(*sorted(info.name for info in pkgutil.iter_modules(websocket.__path__)))
"""
    found = run_installed(code, *PRIVATE_MODULES).split()
    assert found == sorted(["__main__", *PRIVATE_MODULES])


def test_modules_that_a_packager_lists_can_be_imported() -> None:
    """Hidden imports of PyInstaller are modules by name, all that pkgutil finds among them."""
    theirs = [
        name
        for name in importlib.import_module("pkgutil").iter_modules(genuine.__path__, "websocket.")
        if not name.name.endswith(".tests")
    ]
    assert {info.name.rpartition(".")[2] for info in theirs} == set(PRIVATE_MODULES)
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    run_installed(code, *(info.name for info in theirs))


def test_inspect_finds_the_sources() -> None:
    code = """
import inspect, websocket
assert inspect.getmodule(websocket._core).__name__ == "websocket._core"
assert "class WebSocketApp" in inspect.getsource(websocket.WebSocketApp)
assert "def create_connection" in inspect.getsource(websocket.create_connection)
assert "def connect(" in inspect.getsource(websocket._http.connect)
assert inspect.getsource(websocket._core).startswith('\"\"\"websocket-client')
print(inspect.getmodule(websocket.WebSocket.recv).WebSocket is websocket.WebSocket)
"""
    assert run_installed(code) == "True\n"


def test_what_was_imported_before_is_not_mixed_with_it() -> None:
    code = """
import websocket as theirs, websocket._app
import reactor
reactor.install_as_websocket()
reactor.install_as_websocket()
import websocket, websocket._core
assert websocket is not theirs and websocket._app is not theirs._app
assert websocket.WebSocketApp is reactor.WebSocketApp is not theirs.WebSocketApp
"""
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr


def test_pickles_are_read_that_either_package_has_written() -> None:
    code = """
import pickle, pickletools, sys, websocket
for line in sys.stdin:
    kind = pickle.loads(bytes.fromhex(line))
    assert kind is getattr(websocket, kind.__name__), kind
    assert pickle.loads(pickle.dumps(kind)) is kind
print("read")
"""
    import pickle

    exported = [name for name in dir(genuine) if name.startswith("WebSocket")]
    written = "\n".join(pickle.dumps(getattr(genuine, name)).hex() for name in exported)
    preamble = "import reactor; reactor.install_as_websocket()\n"
    result = run_python("-c", preamble + code, input=written)
    assert result.stdout == "read\n", result.stderr


def test_exceptions_and_frames_are_shown_as_theirs() -> None:
    code = """
import traceback, websocket
print(websocket.WebSocketTimeoutException)
print(traceback.format_exception_only(websocket.WebSocketPayloadException("no"))[0].strip())
print(websocket.ABNF.__module__, reactor.WebSocketTimeoutException.__module__)
"""
    assert run_installed(code).splitlines() == [
        "<class 'websocket._exceptions.WebSocketTimeoutException'>",
        "websocket._exceptions.WebSocketPayloadException: no",
        "websocket._abnf websocket._exceptions",
    ]


def test_what_either_package_has_pickled_is_what_the_other_reads() -> None:
    write = """
import pickle, websocket
things = [getattr(websocket, name)("no", 1) for name in sorted(dir(websocket))
          if name.endswith("Exception") and not name.endswith("BadStatusException")]
things.append(websocket.ABNF.create_frame("text", 1))
things[0].more = "more"
for protocol in range(pickle.HIGHEST_PROTOCOL + 1): print(pickle.dumps(things, protocol).hex())
"""
    read = """
import pickle, sys
for line in sys.stdin:
    for thing in pickle.loads(bytes.fromhex(line)):
        kind, more = type(thing), vars(thing).get("more")
        print(kind.__module__, kind.__name__, getattr(thing, "args", thing), more)
"""
    install = "import reactor; reactor.install_as_websocket()\n"
    outputs = set()
    for first, second in [("", install), (install, ""), (install, install), ("", "")]:
        names = "import websocket\nwebsocket.WebSocketProxyException\n"
        written = run_python("-c", first + write).stdout
        result = run_python("-c", second + names + read, input=written)
        assert result.returncode == 0, result.stderr
        outputs.add(result.stdout)
    assert len(outputs) == 1
    assert outputs.pop().count("WebSocketProxyException ('no', 1)") == 6


def test_a_refusal_can_be_pickled_for_theirs() -> None:
    """Their own pickles of it cannot be read by anybody."""
    code = """
import pickle, websocket
refusal = websocket.WebSocketBadStatusException("no", 403, "Forbidden", {"a": "b"}, b"body")
print(pickle.dumps(refusal).hex())
"""
    read = "import pickle; print(vars(pickle.loads(bytes.fromhex(input()))))"
    result = run_python("-c", read, input=run_installed(code))
    assert result.stdout == (
        "{'status_code': 403, 'status_message': 'Forbidden', 'resp_headers': {'a': 'b'}, "
        "'resp_body': b'body'}\n"
    ), result.stderr


def test_other_exceptions_of_ours_are_pickled_as_ever() -> None:
    code = """
import importlib, pickle, websocket
importlib.reload(websocket._exceptions)
class Own(websocket.WebSocketException): pass
lost = reactor.exceptions.WebSocketConnectionLostException("gone", 104)
for exc in (lost, Own("own")):
    copied = pickle.loads(pickle.dumps(exc))
    print(type(copied) is type(exc), copied.args, getattr(copied, "errno", None))
"""
    assert run_installed(code) == "True ('gone',) 104\nTrue ('own',) None\n"


def test_functions_have_the_parameters_of_theirs() -> None:
    for name in ("connect", "read_headers", "_tunnel", "_get_addrinfo_list", "_ssl_socket"):
        theirs = inspect.signature(getattr(genuine._http, name))
        ours = inspect.signature(getattr(private_module("_http"), name))
        assert list(ours.parameters) == list(theirs.parameters), name
    for name in ("handshake", "_get_handshake_headers", "_get_resp_headers", "_validate"):
        theirs = inspect.signature(getattr(genuine._handshake, name))
        ours = inspect.signature(getattr(private_module("_handshake"), name))
        assert list(ours.parameters) == list(theirs.parameters), name


def test_a_package_that_was_left_behind_is_an_error_not_the_genuine_one() -> None:
    """As in a frozen program whose packager was not told of it."""
    code = """
import reactor
reactor.__path__ = []
try: reactor.install_as_websocket()
except ModuleNotFoundError as exc: print(exc.name, "packager" in str(exc))
"""
    result = run_python("-c", code)
    assert result.stdout == "websocket True\n", result.stderr


def test_pyinstaller_is_told_of_every_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook is run with something in PyInstaller's place."""
    import runpy
    import sys

    from reactor.__pyinstaller import get_hook_dirs

    settings = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert 'hook-dirs = "reactor.__pyinstaller:get_hook_dirs"' in settings
    (folder,) = get_hook_dirs()
    hooks = ModuleType("PyInstaller.utils.hooks")
    hooks.collect_submodules = lambda package, chosen: [  # type: ignore[attr-defined]
        name for name in (f"{package}.websocket._core", f"{package}.__pyinstaller") if chosen(name)
    ]
    for name in ("PyInstaller", "PyInstaller.utils"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, hooks.__name__, hooks)
    told = runpy.run_path(f"{folder}/hook-reactor.py")
    assert told["hiddenimports"] == ["reactor.websocket._core"]
