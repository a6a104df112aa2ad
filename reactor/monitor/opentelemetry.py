"""OpenTelemetry: the figures of reactors, as observable instruments of its API.

What it is: :func:`export`, which makes the instruments for a reactor, and :func:`stop`. Where the
figures go is decided by the MeterProvider that the program has set up with OpenTelemetry's SDK.

What it must not know: what is measured; metrics.py does.

How it works. Instruments are asked when the SDK collects, on its thread; each asks the reactors
anew at most once a second, so that one collection looks at every connection once. OpenTelemetry has
no observable histograms: of each there are the number, the sum and the quantiles, as instruments of
their own. Names have dots, and units are those of UCUM: ``s``, ``By``. Needs the package
opentelemetry-api: ``pip install reactor-websocket[opentelemetry]``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry.metrics import (
    CallbackOptions,
    Meter,
    MeterProvider,
    Observation,
    get_meter_provider,
)

from ..base.histogram import Distribution
from ..base.locks import ProcessLock
from ..reactor import Reactor
from .metrics import Metric, Watched, collect

__all__ = ["export", "stop"]

#: Seconds for which the figures of one collection are kept: it asks some thirty instruments.
FRESH = 1.0

_UNITS = {"seconds": "s", "bytes": "By", "": "1"}

_QUANTILES = {"p50": 0.5, "p99": 0.99}

_lock = ProcessLock(threading.RLock)
_by_provider: WeakKeyDictionary[object, _Instruments] = WeakKeyDictionary()


class _Instruments:
    """The instruments of one provider, for all reactors that are shown there."""

    def __init__(self, meter: Meter) -> None:
        self.watched = Watched()
        self._taken: dict[str, Metric] = {}
        self._taken_at = -FRESH
        for metric in collect(()):
            self._make(meter, metric)

    def _make(self, meter: Meter, metric: Metric) -> None:
        name, unit = _name(metric), _UNITS[metric.unit]
        if metric.kind == "counter":
            observe = partial(self._observe, metric.name, float)
            meter.create_observable_counter(name, [observe], unit, metric.help)
        elif metric.kind == "gauge":
            observe = partial(self._observe, metric.name, float)
            meter.create_observable_gauge(name, [observe], unit, metric.help)
        else:
            count = partial(self._observe, metric.name, lambda value: value.count)
            total = partial(self._observe, metric.name, lambda value: value.total)
            meter.create_observable_counter(f"{name}.count", [count], "1", metric.help)
            meter.create_observable_counter(f"{name}.sum", [total], unit, metric.help)
            for label, share in _QUANTILES.items():
                value_of = partial(_quantile, share)
                observe = partial(self._observe, metric.name, value_of)
                meter.create_observable_gauge(f"{name}.{label}", [observe], unit, metric.help)

    def _observe(
        self, name: str, value_of: Callable[[Any], float | None], _: CallbackOptions
    ) -> list[Observation]:
        """Return the values of a metric now; called by the SDK, on any thread."""
        metric = self._metrics()[name]
        observed = []
        for sample in metric.samples:
            value = value_of(sample.value)
            if value is not None:
                observed.append(
                    Observation(value, dict(zip(metric.labels, sample.labels, strict=True)))
                )
        return observed

    def _metrics(self) -> dict[str, Metric]:
        with _lock:
            now = time.monotonic()
            if now - self._taken_at >= FRESH:
                self._taken = {metric.name: metric for metric in collect(self.watched)}
                self._taken_at = now
            return self._taken

    def forget(self) -> None:
        """Ask the reactors anew with the next instrument."""
        self._taken_at = -FRESH


def export(loop: Reactor, *, name: str = "", provider: MeterProvider | None = None) -> None:
    """Make instruments that show the figures of a reactor. Any thread.

    Args:
        loop: the Reactor. It is not kept alive by this.
        name: the value of the attribute ``loop``; each reactor of a provider needs one of its own.
        provider: where the instruments are made; None (default): the global one.

    Raises:
        TypeError: *loop* is no Reactor.
        ValueError: Another reactor has this name there.
    """
    if not isinstance(loop, Reactor):
        raise TypeError(f"loop must be a Reactor, not {loop!r}")
    given = get_meter_provider() if provider is None else provider
    with _lock:
        instruments = _by_provider.get(given)
        if instruments is None:
            instruments = _by_provider[given] = _Instruments(given.get_meter("reactor"))
        instruments.watched.add(loop, name)
        instruments.forget()


def stop(loop: Reactor, *, provider: MeterProvider | None = None) -> None:
    """Show a reactor no longer. Does nothing if it is not shown. Any thread."""
    given = get_meter_provider() if provider is None else provider
    with _lock:
        instruments = _by_provider.get(given)
        if instruments is not None:
            instruments.watched.remove(loop)
            instruments.forget()


def _name(metric: Metric) -> str:
    """Return the name as OpenTelemetry has it: the unit is no part of it."""
    name = metric.name.removeprefix("reactor_").removesuffix(f"_{metric.unit}")
    return f"reactor.{name}"


def _quantile(share: float, distribution: Distribution) -> float | None:
    return distribution.quantile(share)
