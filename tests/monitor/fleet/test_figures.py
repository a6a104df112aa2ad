"""The metrics of a fleet."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("nats")

from reactor.fleet.stats import FleetStats
from reactor.monitor.fleet.figures import MOST, collect_fleet

from .made_up import MadeUp, shard


def values(stats: FleetStats, name: str = "trades") -> dict[tuple[str, ...], Any]:
    return {
        (metric.name, *sample.labels[1:]): sample.value
        for metric in collect_fleet(name, stats, 0.25)
        for sample in metric.samples
    }


def test_each_shard_has_its_figures_under_its_number() -> None:
    found = values(MadeUp().latest)
    assert found["reactor_fleet_sink_stored", "0"] == 900
    assert found["reactor_fleet_sink_stored", "1"] == 800
    assert found["reactor_fleet_sink_stored", "2"] == 0
    assert found["reactor_fleet_topics", "0", "live"] == 30
    assert found["reactor_fleet_topics", "0", "refused"] == 1
    assert found["reactor_fleet_sink_refused", "1"] == 3
    assert found["reactor_fleet_loop_busy_seconds", "0"] == 2.5
    assert found["reactor_fleet_shard_epoch", "1"] == 2
    assert found["reactor_fleet_stats_age_seconds",] == 0.25


def test_all_states_of_shards_are_there_so_that_an_alarm_can_be_set() -> None:
    found = values(MadeUp().latest)
    states = {key[1]: value for key, value in found.items() if key[0] == "reactor_fleet_shards"}
    assert states == {"running": 1, "settling": 0, "silent": 1, "missing": 1}


def test_every_metric_is_of_the_fleet() -> None:
    for metric in collect_fleet("a\nb", MadeUp().latest, 0.0):
        assert metric.labels[0] == "fleet"
        assert {sample.labels[0] for sample in metric.samples} == {"a\\nb"}
        assert all(len(sample.labels) == len(metric.labels) for sample in metric.samples)


def test_shards_beyond_a_number_are_summed_up() -> None:
    stats = FleetStats(tuple(shard(number, stored=1) for number in range(MOST + 7)))
    found = values(stats)
    stored = {key[1]: value for key, value in found.items() if key[0].endswith("sink_stored")}
    assert len(stored) == MOST + 1
    assert (stored["0"], stored["others"]) == (1, 7)


def test_a_fleet_that_was_not_read_yet_has_no_shards() -> None:
    found = values(FleetStats())
    assert found["reactor_fleet_shards", "running"] == 0
    assert not [key for key in found if key[0] == "reactor_fleet_topics"]


def test_what_others_wrote_into_their_leases_and_is_no_number_is_left_out() -> None:
    found = values(FleetStats((shard(0, stored="many", sent=3),)))
    assert found["reactor_fleet_sink_stored", "0"] == 0
    assert found["reactor_fleet_sink_sent", "0"] == 3
