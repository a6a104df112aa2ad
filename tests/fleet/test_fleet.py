"""A whole fleet: processes, a nats-server, an exchange, and what goes wrong with them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor.exceptions import WebSocketStateException
from reactor.fleet import Fleet, Local
from reactor.fleet.rules.share import owners, slot_of

from .support import (
    Journal,
    Numbered,
    Plain,
    audit,
    exchange,
    kills_processes,
    needs_server,
    stored,
    wait_until,
)

pytestmark = [needs_server, kills_processes, pytest.mark.timeout(300)]

TOPICS = [f"T{number}" for number in range(60)]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    folder = tmp_path / "journal"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with exchange("--rate", "5") as url:
        yield url


def make(url: str, journal: Path, feed: Any = Numbered, shards: int = 2, **more: Any) -> Fleet:
    return Fleet(
        feed, url, TOPICS, shards, sink=Journal(folder=str(journal)), name="trades", **more
    )


def flows(fleet: Fleet, more: int = 300) -> None:
    """Wait until the stream has grown by so many messages."""
    before = stored(fleet)
    wait_until(lambda: stored(fleet) > before + more)


def live(fleet: Fleet) -> bool:
    return fleet.stats().total("live") == len(TOPICS)


def stop(fleet: Fleet, journal: Path) -> Any:
    """Have the shards leave, and audit what they have left."""
    fleet._call(fleet.coordinator.placement.stop())
    found = audit(fleet.nats, "trades", journal)
    fleet.stop()
    return found


def test_every_topic_is_with_one_shard_and_its_updates_are_in_the_stream(
    url: str, journal: Path
) -> None:
    with make(url, journal) as fleet:
        fleet.wait()
        wait_until(lambda: live(fleet))
        flows(fleet)
        stats = fleet.stats()
        assert [shard.state for shard in stats.shards] == ["running", "running"]
        assert sum(shard.topics for shard in stats.shards) == len(TOPICS)
        assert all(20 < shard.topics < 40 for shard in stats.shards)
        assert sorted(fleet.topics()) == sorted(TOPICS)
        found = stop(fleet, journal)
    assert found.faults == []
    assert set(found.updates) == set(TOPICS)
    assert found.epochs == [(0, 1), (1, 1)] or found.epochs == [(1, 1), (0, 1)]


def test_topics_come_and_go_while_it_runs(url: str, journal: Path) -> None:
    with make(url, journal) as fleet:
        fleet.subscribe("new.one", "new two")
        fleet.unsubscribe("T0")
        wait_until(lambda: fleet.stats().total("live") == len(TOPICS) + 1)
        assert "new two" in fleet.topics()
        assert "T0" not in fleet.topics()
        flows(fleet)
        found = stop(fleet, journal)
    assert found.faults == []
    assert {"new.one", "new%20two"} <= set(found.updates)


def test_a_shard_that_is_killed_comes_back_and_nothing_is_lost_or_twice(
    url: str, journal: Path
) -> None:
    with make(url, journal) as fleet:
        wait_until(lambda: live(fleet))
        for _ in range(3):
            shard = fleet.stats().shards[0]
            flows(fleet)
            os.kill(shard.pid, signal.SIGKILL)
            wait_until(lambda: fleet.stats().shards[0].epoch == shard.epoch + 1)  # noqa: B023
            wait_until(lambda: live(fleet))
        flows(fleet)
        found = stop(fleet, journal)
    assert found.faults == []
    assert found.epochs[-1] == (0, 4)
    # Each hole is told with its bounds (or there was none); and not for the other shard's topics.
    assert 0 < len(found.gaps) < 40


def test_a_shard_that_hangs_is_replaced_and_refused_and_leaves(url: str, journal: Path) -> None:
    with make(url, journal) as fleet:
        wait_until(lambda: live(fleet))
        flows(fleet)
        old = fleet.stats().shards[1]
        os.kill(old.pid, signal.SIGSTOP)
        wait_until(lambda: fleet.stats().shards[1].pid != old.pid)
        wait_until(lambda: live(fleet))
        os.kill(old.pid, signal.SIGCONT)  # it has updates in its sockets, and publishes them
        wait_until(lambda: old.pid not in fleet.stats().placement["replaced"])
        flows(fleet)
        assert fleet.stats().shards[1].epoch == 2
        found = stop(fleet, journal)
    assert found.faults == []


def test_one_that_hangs_for_good_is_killed(url: str, journal: Path) -> None:
    with make(url, journal, placement=Local(patience=0.0)) as fleet:
        wait_until(lambda: live(fleet))
        old = fleet.stats().shards[0].pid
        os.kill(old, signal.SIGSTOP)
        wait_until(lambda: fleet.stats().shards[0].pid != old)
        wait_until(lambda: fleet.stats().placement["replaced"] == [])


def test_a_server_that_is_killed_comes_back_and_nothing_is_lost_or_twice(
    url: str, journal: Path
) -> None:
    with make(url, journal) as fleet:
        wait_until(lambda: live(fleet))
        server = fleet.coordinator.embedded
        assert server is not None
        for _ in range(3):
            flows(fleet)
            pid = server.pid
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: server.pid != pid)  # noqa: B023 - called here
        flows(fleet)
        assert [shard.epoch for shard in fleet.stats().shards] == [1, 1]  # nobody was replaced
        found = stop(fleet, journal)
    assert found.faults == []
    assert dict(found.gaps) == {}  # what came meanwhile has waited


@pytest.mark.parametrize("feed", [Numbered, Plain])
def test_another_number_of_shards_moves_topics_in_order(url: str, journal: Path, feed: Any) -> None:
    with make(url, journal, feed) as fleet:
        wait_until(lambda: live(fleet))
        for shards in (3, 1, 2):
            flows(fleet)
            fleet.rebalance(shards)
            wait_until(lambda: live(fleet))
            assert len(fleet.stats().shards) == shards
        flows(fleet)
        found = stop(fleet, journal)
    assert found.faults == []
    moved = {topic for topic, gaps in found.gaps.items() if gaps}
    stayed = {topic for topic in TOPICS if {owners(n)[slot_of(topic)] for n in (2, 3)} == {0}}
    assert not moved & stayed
    if feed is Plain:  # a mark for each move: nobody knows what was missed
        assert moved | stayed == set(TOPICS)


def test_topics_of_a_shard_that_is_gone_for_good_are_taken_and_it_is_sealed(
    url: str, journal: Path
) -> None:
    with make(url, journal) as fleet:
        wait_until(lambda: live(fleet))
        flows(fleet)
        old = fleet.stats().shards[1].pid
        os.kill(old, signal.SIGSTOP)
        fleet.rebalance(1, timeout=None)
        fleet.wait()
        wait_until(lambda: live(fleet))
        os.kill(old, signal.SIGCONT)
        flows(fleet)
        found = stop(fleet, journal)
    assert found.faults == []
    assert (1, 2) in found.epochs


def test_a_node_that_is_drained_has_no_shards_until_it_may_have_them_again(
    url: str, journal: Path
) -> None:
    with make(url, journal) as fleet:
        wait_until(lambda: live(fleet))
        node = fleet.stats().shards[0].node
        fleet.drain(node)
        wait_until(lambda: [s.state for s in fleet.stats().shards] == ["missing", "missing"])
        fleet.drain(node, drained=False)
        wait_until(lambda: live(fleet))
        found = stop(fleet, journal)
    assert found.faults == []


def test_what_is_wanted_and_stored_outlasts_the_fleet(url: str, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    store = str(tmp_path / "store")
    for _ in range(2):
        with make(url, journal, store=store) as fleet:
            wait_until(lambda: live(fleet))
            flows(fleet)
    with make(url, journal, store=store) as fleet:
        found = stop(fleet, journal)
    assert found.faults == []


def test_nothing_is_left_of_it(url: str, journal: Path) -> None:
    fleet = make(url, journal).start()
    wait_until(lambda: live(fleet))
    pids = [shard.pid for shard in fleet.stats().shards]
    server = fleet.coordinator.embedded
    assert server is not None
    fleet.stop()
    fleet.stop()
    for pid in (*pids, server.pid):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(WebSocketStateException, match="not started"):
        fleet.stats()
