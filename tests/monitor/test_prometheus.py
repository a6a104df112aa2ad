"""Figures for Prometheus, by the real prometheus_client."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

from reactor import Reactor
from reactor.base.histogram import BOUNDS
from reactor.monitor.metrics import collect

from ..support.recorder import Recorder
from ..support.scene import Scene
from ..support.websocket_frames import PONG, build_frame
from .world import Ticks, world

client = pytest.importorskip("prometheus_client")
prometheus = pytest.importorskip("reactor.monitor.prometheus")


@pytest.fixture
def registry() -> Any:
    return client.CollectorRegistry()


def test_what_a_reactor_has_done(registry: Any) -> None:
    with world() as (loop, host):
        prometheus.export(loop, name="main", registry=registry)

        def value(name: str, **labels: str) -> float | None:
            found: float | None = registry.get_sample_value(name, {"loop": "main", **labels})
            return found

        ours = {"role": "client", "host": host}
        assert value("reactor_messages_received_total", **ours) == 2.0
        assert value("reactor_messages_sent_total", **ours) == 2.0
        assert value("reactor_payload_sent_bytes_total", **ours) == 4.0 + len('["a", "b"]')
        assert value("reactor_connections_opened_total", **ours) == 2.0
        assert value("reactor_connection_attempts_total", **ours) == 2.0
        assert value("reactor_connections", **ours, state="open") == 2.0
        assert value("reactor_connections", role="server", host=host, state="open") == 2.0
        assert value("reactor_loop_turns_total") == loop.stats().turns
        assert value("reactor_loop_busy_seconds_total") == loop.stats().busy
        assert value("reactor_listeners") == 1.0
        assert value("reactor_feed_topics", feed="Ticks", state="LIVE") == 2.0
        assert value("reactor_feed_updates_total", feed="Ticks") == 2.0
        text = client.generate_latest(registry).decode()
        assert "secret" not in text
        # Every metric has a help, a type, and a name of ours.
        names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
        assert names
        assert all(name.startswith("reactor_") for name in names)


def test_a_histogram_has_buckets_that_are_added_up(registry: Any, scene: Scene) -> None:
    recorder = Recorder()
    peer = scene.open(recorder, ping_interval=10.0)
    for wait in (0.25, 3.0):
        scene.turn(10.0)
        scene.turn(wait)
        peer.send(build_frame(PONG, b""))
        scene.turn()
    prometheus.export(scene.loop, registry=registry)
    labels = {"loop": "", "role": "client", "host": "scene:80"}

    def value(part: str, **more: str) -> float | None:
        name = f"reactor_round_trip_seconds_{part}"
        found: float | None = registry.get_sample_value(name, {**labels, **more})
        return found

    assert (value("count"), value("sum")) == (2.0, pytest.approx(3.25))
    found = [value("bucket", le=str(bound)) for bound in BOUNDS]
    assert found == [0.0] * 11 + [1.0] * 3 + [2.0] * 4
    assert value("bucket", le="+Inf") == 2.0
    recorder.abort()


def test_several_reactors_are_told_apart_by_name(registry: Any) -> None:
    with Reactor() as one, Reactor() as other:
        prometheus.export(one, name="one", registry=registry)
        prometheus.export(one, name="one", registry=registry)
        prometheus.export(other, name="other", registry=registry)
        with pytest.raises(ValueError, match="'one'"):
            prometheus.export(other, name="one", registry=registry)
        text = client.generate_latest(registry).decode()
        assert text.count("# TYPE reactor_listeners ") == 1
        assert 'reactor_listeners{loop="one"} 0.0' in text
        assert 'reactor_listeners{loop="other"} 0.0' in text
        prometheus.stop(one, registry=registry)
        assert 'loop="one"' not in client.generate_latest(registry).decode()
        prometheus.stop(one, registry=registry)


def test_a_reactor_that_is_gone_is_shown_no_longer(registry: Any) -> None:
    loop = Reactor()
    prometheus.export(loop, registry=registry)
    loop.close()
    assert "reactor_listeners{" in client.generate_latest(registry).decode()
    del loop
    gc.collect()
    assert "reactor_listeners{" not in client.generate_latest(registry).decode()


def test_what_is_no_reactor_is_refused(registry: Any) -> None:
    with pytest.raises(TypeError, match="Reactor"):
        prometheus.export("loop", registry=registry)


def test_names_are_shown_safely(registry: Any) -> None:
    with world() as (loop, _):
        kind = type('<b>\n"\x1b', (Ticks,), {})
        feed = kind(loop, "ws://127.0.0.1:9/")
        prometheus.export(loop, name='"\n\x1b', registry=registry)
        text = client.generate_latest(registry).decode()
        assert "\x1b" not in text
        assert "<b>" in text
        feed.close()
        assert "<b>" not in client.generate_latest(registry).decode()


def test_it_may_be_collected_on_another_thread_while_the_loop_runs(registry: Any) -> None:
    errors: list[BaseException] = []
    with world() as (loop, _):
        prometheus.export(loop, registry=registry)

        def collect() -> None:
            try:
                for _ in range(20):
                    client.generate_latest(registry)
            except BaseException as exc:
                errors.append(exc)
            finally:
                loop.stop()

        threading.Thread(target=collect).start()
        loop.run_forever()
    assert errors == []


@pytest.mark.parametrize(
    ("accept", "kind", "end"),
    [("", "text/plain", "\n"), ("application/openmetrics-text", "openmetrics-text", "# EOF\n")],
)
def test_a_page_is_in_the_format_that_is_asked_for(accept: str, kind: str, end: str) -> None:
    with Reactor() as loop:
        told, body = prometheus.write_page(collect([("", loop)]), accept)
    assert kind in told
    assert "reactor_listeners" in body.decode()
    assert body.decode().endswith(end)


def test_to_stop_what_was_never_shown_does_nothing(registry: Any) -> None:
    with Reactor() as loop:
        prometheus.stop(loop, registry=registry)
    assert client.generate_latest(registry) == b""
