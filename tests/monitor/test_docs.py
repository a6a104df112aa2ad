"""The tables of docs/monitor.md are complete; that its code runs is shown by tests/docs."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from reactor import ConnectionStats, ReactorStats
from reactor.monitor.metrics import collect

PAGE = (Path(__file__).parents[2] / "docs" / "monitor.md").read_text()


@pytest.mark.parametrize("kind", [ConnectionStats, ReactorStats])
def test_every_attribute_is_explained(kind: Any) -> None:
    missing = [each.name for each in fields(kind) if f"`{each.name}`" not in PAGE]
    assert [name for name in missing if f"{name}=True" not in PAGE] == []


def test_every_metric_is_listed() -> None:
    for metric in collect(()):
        name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
        assert f"`{name}`" in PAGE
