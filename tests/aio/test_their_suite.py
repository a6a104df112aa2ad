"""websockets' own tests of its asyncio API, on reactor.asyncio.

They are in websockets' repository, and neither in its wheel nor in its sdist; so they are run where
a checkout of it is given:

    git clone https://github.com/python-websockets/websockets
    WEBSOCKETS_SOURCE=websockets python -m pytest tests/aio/test_their_suite.py

in_their_place.py has the names of ours take the place of theirs, in both the client's and the
server's tests, and begins the tests of connections with one of ours whose peer is one of theirs.
Which of them do not pass, and why, is listed here; docs/asyncio.md tells users what they could
notice of it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ..support.installed import run_python

SOURCE = os.environ.get("WEBSOCKETS_SOURCE", "")

#: Why a test does not pass -> the tests: module, and method.
NOT_PASSED = {
    "it looks inside: at names that are in no documentation, or puts a mock in their place": [
        "test_client test_compression_is_enabled",
        "test_client test_redirect",
        "test_client test_redirect_limit",
        "test_client test_redirect_with_explicit_host_port",
        "test_connection test_backpressure",
        "test_connection test_broadcast_reports_connection_failing_to_send",
        "test_connection test_broadcast_skips_connection_failing_to_send",
        "test_connection test_disable_keepalive",
        "test_connection test_keepalive",
        "test_connection test_keepalive_ignores_timeout",
        "test_connection test_keepalive_reports_errors",
        "test_connection test_keepalive_terminates_while_sleeping",
        "test_connection test_keepalive_terminates_while_waiting_for_pong",
        "test_connection test_keepalive_times_out",
        "test_connection test_local_address",
        "test_connection test_ping",
        "test_connection test_remote_address",
        "test_connection test_request",
        "test_connection test_response",
        "test_connection test_send_while_send_async_blocked",
        "test_connection test_send_while_send_blocked",
        "test_connection test_state",
        "test_connection test_unexpected_failure_in_data_received",
        "test_connection test_unexpected_failure_in_send_context",
        "test_connection test_writing_in_data_received_fails",
        "test_connection test_writing_in_send_context_fails",
        "test_server test_compression_is_enabled",
    ],
    "the text of an error is another one, which says more": [
        "test_client test_connection_closed_during_handshake",
        "test_client test_handshake_fails",
        "test_client test_junk_handshake_response",
        "test_client test_reject_invalid_server_certificate",
        "test_client test_reject_invalid_server_hostname",
        "test_client test_timeout_during_handshake",
        "test_connection test_ping_duplicate_payload",
        "test_connection test_recv_during_recv",
        "test_connection test_recv_during_recv_streaming",
        "test_connection test_recv_streaming_during_recv",
        "test_connection test_recv_streaming_during_recv_streaming",
        "test_server test_unix_without_path_or_sock",
    ],
    "the kind of an error is another one: see the table": [
        "test_client test_redirect_to_insecure_uri",
        "test_client test_unsupported_compression",
        "test_client test_unsupported_proxy",
        "test_server test_unsupported_compression",
    ],
    "the loggers are ours, and so is what they say": [
        "test_connection test_logger",
        "test_server test_async_process_request_raises_exception",
        "test_server test_async_process_response_raises_exception",
        "test_server test_connection_closed_before_handshake_request",
        "test_server test_junk_handshake_request",
        "test_server test_process_request_raises_exception",
        "test_server test_process_response_raises_exception",
        "test_server test_timeout_before_handshake_request",
    ],
    "a redirect leads away from a given socket, host, port and path, whose end is not an error": [
        "test_client test_cross_origin_redirect",
        "test_client test_cross_origin_redirect_with_explicit_host_port",
        "test_client test_redirect_with_existing_socket",
    ],
    "what comes after close() is dropped": [
        "test_connection test_close_preserves_queued_messages",
        "test_server test_close_keeps_handlers_running",
    ],
    "close() does not wait for the end of the TCP connection": [
        "test_connection test_close_no_timeout_waits_for_connection_closed",
        "test_connection test_close_timeout_waiting_for_close_frame",
        "test_connection test_close_timeout_waiting_for_connection_closed",
        "test_connection test_close_waits_for_connection_closed",
    ],
    "close() does not wait for the end of a message in fragments": [
        "test_connection test_close_during_send",
    ],
    "a broadcast follows a message in fragments, and is not dropped": [
        "test_connection test_broadcast_reports_connection_with_send_blocked",
        "test_connection test_broadcast_skips_connection_with_send_blocked",
    ],
    "there is no such option: proxy_ssl, start_serving": [
        "test_client test_https_proxy_without_ssl",
        "test_client test_proxy_ssl_without_https_proxy",
        "test_server test_serve_forever_starts_serving",
        "test_server test_start_serving",
    ],
    "process_request cannot change the request": [
        "test_server test_handshake_fails",
    ],
    "a client whose request is looked at when the server closes hears an end, and no 503": [
        "test_server test_close_rejects_connecting_connections",
    ],
}


@pytest.mark.skipif(not SOURCE, reason="WEBSOCKETS_SOURCE names no checkout of websockets")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("module", "at_least"), [("client", 50), ("server", 70), ("connection", 250)]
)
def test_their_suite_passes_but_for_what_is_listed(
    tmp_path: Path, module: str, at_least: int
) -> None:
    shutil.copytree(Path(SOURCE) / "tests", tmp_path / "tests")
    result = run_python(
        *("-m", "tests.aio.in_their_place", str(tmp_path), f"tests.asyncio.test_{module}"),
        cwd=Path(__file__).parents[2],
        # A unit of time of 100 ms: they sleep, and measure.
        env={**os.environ, "WEBSOCKETS_TESTS_TIMEOUT_FACTOR": "100"},
        patience=280,
    )
    outcomes: dict[str, set[str]] = {}
    for line in result.stdout.splitlines():
        outcome, _, name = line.partition(" ")
        outcomes.setdefault(outcome, set()).add(name)
    ran = outcomes.get("passed", set()) | outcomes.get("failed", set())
    assert len(ran) >= at_least, result.stderr[-20_000:]
    listed = {name for names in NOT_PASSED.values() for name in names}
    failed = {f"{name.split('.')[0]} {name.split('.')[-1]}" for name in outcomes.get("failed", ())}
    assert failed == {name for name in listed if name.startswith(f"test_{module} ")}, result.stderr[
        -20_000:
    ]
