"""What docs/monitor.md shows runs as it is printed, and its tables are complete."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from reactor import ConnectionStats, ReactorStats
from reactor.monitor.metrics import collect

from ..support.driving import run_until
from ..support.recorder import Recorder
from .world import world

PAGE = (Path(__file__).parents[2] / "docs" / "monitor.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_example_runs(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    client = pytest.importorskip("prometheus_client")
    pytest.importorskip("opentelemetry.metrics")
    monkeypatch.setattr(client, "start_http_server", lambda port: None)
    with world() as (loop, host):
        protocol = loop.connect(f"ws://{host}/", Recorder(), proxy=None)
        run_until(loop, lambda: protocol.state == 1)
        shown: list[Any] = []
        names = {"loop": loop, "protocol": protocol, "print": lambda *args: shown.append(args)}
        exec(BLOCKS[number], names)
        assert shown or "print" not in BLOCKS[number]
        if "prometheus.export" in BLOCKS[number]:
            names["prometheus"].stop(loop)  # type: ignore[attr-defined]
        if "opentelemetry.export" in BLOCKS[number]:
            names["opentelemetry"].stop(loop)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [ConnectionStats, ReactorStats])
def test_every_attribute_is_explained(kind: Any) -> None:
    missing = [each.name for each in fields(kind) if f"`{each.name}`" not in PAGE]
    assert [name for name in missing if f"{name}=True" not in PAGE] == []


def test_every_metric_is_listed() -> None:
    for metric in collect(()):
        name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
        assert f"`{name}`" in PAGE
