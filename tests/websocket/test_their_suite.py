"""websocket-client's own test suite, on this package in websocket-client's place.

It comes with the wheel of websocket-client, and is copied to a temporary folder to be run there,
with an echo server of ours for those of its tests that want one. Those that want the internet are
skipped.

Its *public* tests use nothing but names that ``from websocket import *`` gives; all of them pass.
The others look into websocket-client, and into what it calls. Which of them do not pass, and why
nobody can notice, is listed here.
"""

from __future__ import annotations

import ast
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ..support.installed import run_python
from ..support.servers import serve_with_reactor

genuine = pytest.importorskip("websocket", reason="websocket-client is not installed")

FOLDER = Path(genuine.__file__).parent / "tests"

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason="this websocket-client came without its tests"),
    pytest.mark.timeout(300),
]

#: Why a test does not pass -> the tests.
NOT_PASSED = {
    "selectors.DefaultSelector is not what a socket is waited with": [
        "test_dispatcher::test_dispatcher_read",
        "test_dispatcher::test_dispatcher_read_with_data",
        "test_dispatcher::test_ssl_dispatcher_read",
        "test_socket::test_recv_selector_timeout_on_would_block",
        "test_socket::test_recv_ssl_want_read_error",
        "test_socket::test_recv_ssl_want_read_timeout",
        "test_socket::test_send_partial_send_retry",
        "test_socket::test_send_socket_eagain_error",
        "test_socket::test_send_socket_ewouldblock_error",
        "test_socket::test_send_ssl_want_write_error",
        "test_socket::test_send_write_timeout",
        "test_socket_bugs::test_bug_implicit_none_return_from_socket_error_fixed",
        "test_socket_bugs::test_bug_implicit_none_return_from_ssl_want_read_fixed",
        "test_socket_bugs::test_bug_wrong_exception_for_selector_timeout_fixed",
        "test_socket_bugs::test_correct_ssl_want_read_retry_behavior",
        "test_ssl_edge_cases::test_ssl_renegotiation_edge_cases",
        "test_ssl_edge_cases::test_ssl_want_read_write_retry_edge_cases",
        "test_ssl_edge_cases::test_ssl_want_write_retry_edge_cases",
    ],
    "a context is made once, with settings that a mock of ssl.SSLContext does not have": [
        "test_ssl_edge_cases::test_ssl_alpn_protocol_edge_cases",
        "test_ssl_edge_cases::test_ssl_ca_bundle_environment_edge_cases",
        "test_ssl_edge_cases::test_ssl_certificate_chain_validation",
        "test_ssl_edge_cases::test_ssl_certificate_verification_failures",
        "test_ssl_edge_cases::test_ssl_compression_edge_cases",
        "test_ssl_edge_cases::test_ssl_context_configuration_edge_cases",
        "test_ssl_edge_cases::test_ssl_context_verification_modes",
        "test_ssl_edge_cases::test_ssl_handshake_failure",
        "test_ssl_edge_cases::test_ssl_hostname_verification_edge_cases",
        "test_ssl_edge_cases::test_ssl_keylog_file_edge_cases",
        "test_ssl_edge_cases::test_ssl_memory_bio_edge_cases",
        "test_ssl_edge_cases::test_ssl_protocol_downgrade_protection",
        "test_ssl_edge_cases::test_ssl_protocol_version_edge_cases",
        "test_ssl_edge_cases::test_ssl_server_hostname_override",
        "test_ssl_edge_cases::test_ssl_session_reuse_edge_cases",
        "test_ssl_edge_cases::test_ssl_sni_edge_cases",
        "test_ssl_edge_cases::test_ssl_weak_cipher_rejection",
    ],
    "python-socks is called in another module of ours, and its errors are ours": [
        "test_http::test_proxy_connect",
        "test_http::test_proxy_info",
    ],
    "a Python without ssl cannot run this package": [
        "test_ssl_compat::test_ssl_not_available",
    ],
    "every exception for a connection that has ended has status_code, mostly None": [
        "test_app::test_close_exception_legacy_path_has_no_frame",
        "test_app::test_closed_string_argument_converted_to_exception",
    ],
}

#: Names that ``from websocket import *`` gives, and ``_`` in front of none of them.
PUBLIC = {name for name in vars(genuine) if not name.startswith("_")}


def public_tests() -> set[str]:
    """Return the names of the tests that use nothing private."""
    found: set[str] = set()
    for path in sorted(FOLDER.glob("test_*.py")):
        tree = ast.parse(path.read_text())
        private = set(private_imports(tree))
        tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        found |= {
            f"{path.stem}::{test.name}"
            for test in tests
            if test.name.startswith("test")
            and not any(is_private(part, private) for part in ast.walk(test))
        }
    return found


def private_imports(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a module has of websocket-client's private ones."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("websocket."):
            yield from (each.asname or each.name for each in node.names if each.name not in PUBLIC)
        elif isinstance(node, ast.Import):
            names = [each for each in node.names if each.name.startswith("websocket.")]
            yield from (each.asname for each in names if each.asname)


def is_private(node: ast.AST, private: set[str]) -> bool:
    """Whether a piece of a test looks inside, or puts something in the place of a name."""
    if isinstance(node, ast.Name):
        return node.id in private or node.id in ("patch", "mock_import")
    if isinstance(node, ast.Attribute):
        return node.attr == "patch" or (node.attr[0] == "_" and not node.attr.endswith("__"))
    if isinstance(node, ast.Import):
        return any(each.name.startswith("websocket.") for each in node.names)
    return False


def outcomes(report: Path) -> dict[str, str]:
    """Return what became of each test, from pytest's report."""
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        module = case.attrib["classname"].split(".")[1]
        name = f"{module}::{case.attrib['name'].partition('[')[0].partition(' ')[0]}"
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        outcome = kinds.pop() if kinds else "passed"
        found[name] = outcome if found.get(name) in (None, "passed") else found[name]
    return found


def test_their_suite_runs_on_this_package(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "their_tests")
    report = tmp_path / "report.xml"
    with serve_with_reactor() as url:
        result = run_python(
            *("-m", "reactor.websocket", "-m", "pytest", "their_tests", "-q"),
            *("-p", "no:cacheprovider", f"--junitxml={report}"),
            cwd=tmp_path,
            env={**os.environ, "LOCAL_WS_SERVER_PORT": url.rpartition(":")[2]},
            patience=280,
        )
    assert report.exists(), result.stdout + result.stderr
    became = outcomes(report)
    assert len(became) > 200
    listed = {name for names in NOT_PASSED.values() for name in names}
    failed = {name for name, outcome in became.items() if outcome in ("failure", "error")}
    assert failed == listed, result.stdout[-20_000:]
    public = public_tests()
    assert len(public) >= 61
    assert not failed & public
    skipped = {name for name, outcome in became.items() if outcome == "skipped"}
    for name in skipped & public:  # no internet, or disabled by themselves
        module, _, test = name.partition("::")
        assert "TEST_WITH_INTERNET" in lines_before(module, test) or test.endswith("_dispatcher")


def lines_before(module: str, test: str) -> str:
    """Return the line with the decorator of a test."""
    lines = (FOLDER / f"{module}.py").read_text().splitlines()
    (number,) = (n for n, line in enumerate(lines) if f"def {test}(" in line)
    return lines[number - 1]
