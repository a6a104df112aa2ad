"""Prometheus: the figures of reactors, through the registry of prometheus_client.

What it is: :func:`export`, which adds a reactor to a registry, and :func:`stop`. What serves the
registry is the user's, for example ``prometheus_client.start_http_server``; or :func:`write_page`
writes figures that were collected, for the monitor's own pages.

What it must not know: what is measured; metrics.py does.

How it works. A registry gets one collector, however many reactors are added to it, since a name may
be registered once. Nothing is done until Prometheus asks; then the collector asks the reactors, on
the thread on which it is asked. Needs the package prometheus_client: ``pip install
reactor-websocket[prometheus]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from ..base.histogram import Distribution
from ..base.locks import ProcessLock
from ..reactor import Reactor
from .metrics import Metric, Watched, collect

__all__ = ["export", "stop", "write_page"]

_lock = ProcessLock()
_collectors: WeakKeyDictionary[CollectorRegistry, _Collector] = WeakKeyDictionary()


class _Collector(Collector):
    """What a registry asks for the figures of all its reactors."""

    def __init__(self) -> None:
        self.watched = Watched()

    def describe(self) -> list[Family]:
        """Return no names: so the registry need not collect to learn them."""
        return []

    def collect(self) -> Iterator[Family]:
        """Return all figures; called by the registry, on any thread."""
        for metric in collect(self.watched):
            yield _family(metric)


def export(loop: Reactor, *, name: str = "", registry: CollectorRegistry = REGISTRY) -> None:
    """Have a registry show the figures of a reactor. Any thread.

    Args:
        loop: the Reactor. It is not kept alive by this, and disappears from the registry with it.
        name: the value of the label ``loop``; each reactor in a registry needs one of its own.
        registry: default: that of prometheus_client.

    Raises:
        TypeError: *loop* is no Reactor.
        ValueError: Another reactor has this name in the registry.
    """
    with _lock:
        collector = _collectors.get(registry)
        if collector is not None:
            collector.watched.add(loop, name)
            return
        collector = _Collector()
        collector.watched.add(loop, name)
        registry.register(collector)
        _collectors[registry] = collector


def stop(loop: Reactor, *, registry: CollectorRegistry = REGISTRY) -> None:
    """Have a registry show a reactor no longer. Does nothing if it does not. Any thread."""
    with _lock:
        collector = _collectors.get(registry)
        if collector is not None:
            collector.watched.remove(loop)


def write_page(metrics: Iterable[Metric], accept: str) -> tuple[str, bytes]:
    """Return what Prometheus is answered that asks for figures. Any thread.

    Args:
        metrics: what was collected.
        accept: the Accept header of the request; "": there is none.

    Returns:
        The Content-Type, and the body.
    """
    registry = CollectorRegistry()
    registry.register(_Collected(metrics))
    encode, kind = choose_encoder(accept)
    body: bytes = encode(registry)
    return kind, body


class _Collected(Collector):
    """What was collected already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def describe(self) -> list[Family]:
        return []

    def collect(self) -> Iterator[Family]:
        return map(_family, self._metrics)


def _family(metric: Metric) -> Family:
    family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
    if metric.kind == "histogram":
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for sample in metric.samples:
            assert isinstance(sample.value, Distribution)
            family.add_metric(sample.labels, _buckets(sample.value), sample.value.total)
        return family
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for sample in metric.samples:
        assert not isinstance(sample.value, Distribution)
        family.add_metric(sample.labels, sample.value)
    return family


def _buckets(distribution: Distribution) -> list[tuple[str, float]]:
    """Return upper bounds and how many are below each: Prometheus adds them up."""
    bounds = [*map(str, distribution.bounds), "+Inf"]
    numbers = []
    below = 0
    for number in distribution.buckets:
        below += number
        numbers.append(float(below))
    return list(zip(bounds, numbers, strict=True))
