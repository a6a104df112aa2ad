"""Figures for OpenTelemetry, by its real SDK."""

from __future__ import annotations

from typing import Any

import pytest

from reactor import Reactor

from .world import world

pytest.importorskip("opentelemetry.sdk")
sdk = pytest.importorskip("opentelemetry.sdk.metrics")
export_of_sdk = pytest.importorskip("opentelemetry.sdk.metrics.export")
opentelemetry = pytest.importorskip("reactor.monitor.opentelemetry")


class Collected:
    """A provider of meters, and what it has collected."""

    def __init__(self) -> None:
        self._reader = export_of_sdk.InMemoryMetricReader()
        self.provider = sdk.MeterProvider([self._reader])

    def metrics(self) -> dict[str, Any]:
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        (resource,) = data.resource_metrics
        (scope,) = resource.scope_metrics
        assert scope.scope.name == "reactor"
        return {metric.name: metric for metric in scope.metrics}


@pytest.fixture
def collected() -> Any:
    collected = Collected()
    yield collected
    collected.provider.shutdown()


def values(metric: Any) -> dict[tuple[Any, ...], float]:
    return {tuple(point.attributes.values()): point.value for point in metric.data.data_points}


def test_what_a_reactor_has_done(collected: Any) -> None:
    with world() as (loop, host):
        opentelemetry.export(loop, name="main", provider=collected.provider)
        metrics = collected.metrics()
        received = metrics["reactor.messages_received"]
        assert values(received)["main", "client", host] == 2.0
        assert received.unit == "1"
        assert received.data.is_monotonic
        assert metrics["reactor.payload_received"].unit == "By"
        assert metrics["reactor.loop_busy"].unit == "s"
        assert values(metrics["reactor.connections"])["main", "client", host, "open"] == 2.0
        assert values(metrics["reactor.feed_topics"])["main", "Ticks", "LIVE"] == 2.0
        assert "secret" not in repr(metrics)


def test_a_histogram_becomes_a_count_a_sum_and_quantiles(collected: Any) -> None:
    with world() as (loop, _):
        loop.call_later(0.0, loop.stop)
        loop.run_forever()
        opentelemetry.export(loop, provider=collected.provider)
        metrics = collected.metrics()
        lag = loop.stats().timer_lag
        assert values(metrics["reactor.loop_timer_lag.count"])[("",)] == lag.count
        assert values(metrics["reactor.loop_timer_lag.sum"])[("",)] == lag.total
        assert values(metrics["reactor.loop_timer_lag.p99"])[("",)] == lag.p99


def test_several_reactors_are_told_apart_by_name(collected: Any) -> None:
    with Reactor() as one, Reactor() as other:
        for name, loop in (("one", one), ("other", other)):
            opentelemetry.export(loop, name=name, provider=collected.provider)
        with pytest.raises(ValueError, match="'one'"):
            opentelemetry.export(other, name="one", provider=collected.provider)
        found = values(collected.metrics()["reactor.listeners"])
        assert set(found) == {("one",), ("other",)}
        opentelemetry.stop(one, provider=collected.provider)
        assert set(values(collected.metrics()["reactor.listeners"])) == {("other",)}


def test_what_is_no_reactor_is_refused(collected: Any) -> None:
    with pytest.raises(TypeError, match="Reactor"):
        opentelemetry.export("loop", provider=collected.provider)
