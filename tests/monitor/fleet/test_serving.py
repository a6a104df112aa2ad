"""The page of a fleet: what it answers, whom, and how it ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

pytest.importorskip("nats")

from reactor.monitor import FleetMonitor, serve_fleet
from reactor.testing import ManualReactor

from ...support.clients import RawClient
from .made_up import HOSTILE, MadeUp


@pytest.fixture
def monitor() -> Iterator[FleetMonitor]:
    with serve_fleet(MadeUp(), port=0) as monitor:  # type: ignore[arg-type]
        yield monitor


def fetch(monitor: FleetMonitor, path: str, query: str = "") -> tuple[Any, str]:
    base = monitor.url.partition("?")[0]
    with urlopen(f"{base}{path}{query}", timeout=30) as answer:
        return answer.headers, answer.read().decode()


def test_the_page_and_its_parts_come_from_here_alone(monitor: FleetMonitor) -> None:
    headers, body = fetch(monitor, "")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "<title>fleet</title>" in body
    assert "//" not in body.replace("<!doctype", "")
    for path, kind in (("fleet.js", "text/javascript"), ("monitor.css", "text/css")):
        headers, body = fetch(monitor, path)
        assert headers["Content-Type"].startswith(kind)
        assert "http:" not in body
        assert "innerHTML" not in body


def test_stats_as_json_with_their_age(monitor: FleetMonitor) -> None:
    said = json.loads(fetch(monitor, "stats.json")[1])
    assert (said["name"], said["age"], said["generation"]) == ("trades", 0.25, 4)
    assert [shard["state"] for shard in said["shards"]] == ["running", "silent", "missing"]
    assert said["shards"][1]["node"] == HOSTILE  # JSON; the page makes no HTML of it


def test_before_anything_was_read_the_age_is_null() -> None:
    fleet = MadeUp()
    fleet.latest_age = float("inf")
    with serve_fleet(fleet, port=0) as monitor:  # type: ignore[arg-type]
        assert json.loads(fetch(monitor, "stats.json")[1])["age"] is None


def test_one_place_for_prometheus_has_all_shards(monitor: FleetMonitor) -> None:
    pytest.importorskip("prometheus_client")
    _, body = fetch(monitor, "metrics")
    assert 'reactor_fleet_sink_stored_total{fleet="trades",shard="0"} 900.0' in body
    assert 'reactor_fleet_sink_stored_total{fleet="trades",shard="1"} 800.0' in body
    assert 'reactor_fleet_shards{fleet="trades",state="missing"} 1.0' in body
    assert "reactor_fleet_stats_age_seconds" in body


def test_what_it_has_not(monitor: FleetMonitor) -> None:
    with pytest.raises(HTTPError, match="404"):
        fetch(monitor, "nothing")
    with pytest.raises(HTTPError, match="405"):
        urlopen(monitor.url, data=b"", timeout=30)


def test_a_token_is_needed_where_one_is_set() -> None:
    with serve_fleet(MadeUp(), port=0, token="s3cr3t") as monitor:  # type: ignore[arg-type]
        with pytest.raises(HTTPError, match="401"):
            fetch(monitor, "stats.json")
        assert fetch(monitor, "stats.json", "?token=s3cr3t")[1]
        assert fetch(monitor, "fleet.js")[1]
        assert monitor.url.endswith("/?token=s3cr3t")


def test_it_can_live_on_a_reactor_that_is_there() -> None:
    with ManualReactor() as loop:
        monitor = serve_fleet(MadeUp(), port=0, loop=loop)  # type: ignore[arg-type]
        client = RawClient(loop, ("127.0.0.1", monitor.port))
        client.send(f"GET / HTTP/1.1\r\nHost: localhost:{monitor.port}\r\n\r\n".encode())
        assert b"200 OK" in client.until_closed()
        client.close()
        monitor.close()
        assert loop.stats().listeners == 0


def test_nothing_is_left_when_it_is_closed() -> None:
    before = threading.active_count()
    monitor = serve_fleet(MadeUp(), port=0)  # type: ignore[arg-type]
    monitor.close()
    monitor.close()
    assert threading.active_count() == before
    with pytest.raises(URLError):
        fetch(monitor, "")


def test_a_port_in_use_leaves_nothing_behind(monitor: FleetMonitor) -> None:
    before = threading.active_count()
    with pytest.raises(OSError, match="in use"):
        serve_fleet(MadeUp(), port=monitor.port)  # type: ignore[arg-type]
    assert threading.active_count() == before
