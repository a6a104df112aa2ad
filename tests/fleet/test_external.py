"""Shards that somebody else runs, by the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from reactor.cli.main import main
from reactor.fleet import External, Fleet

from .support import Numbered, audit, exchange, kills_processes, needs_server, stored, wait_until

pytestmark = [needs_server, kills_processes, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
TOPICS = [f"T{number}" for number in range(40)]
FEED = "tests.fleet.support:Numbered"


class Unit:
    """What systemd does: runs ``reactor fleet shard``, and again when it has ended."""

    def __init__(self, fleet: Fleet, url: str, holder: str | None = None) -> None:
        words = ["-m", "reactor", "fleet", "shard", "--name", "trades", "--nats", str(fleet.nats)]
        self.command = [sys.executable, *words, "--feed", FEED, "--url", url]
        if holder is not None:
            self.command += ["--holder", holder]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, cwd=ROOT, stderr=subprocess.DEVNULL)

    def tend(self) -> None:
        """Start it again if it has ended: a busy machine takes it for dead, or it gives up."""
        if self.process.poll() is not None:
            self.start()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        return self.process.wait(60)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with exchange("--rate", "5") as url:
        yield url


@pytest.fixture
def fleet(url: str) -> Iterator[Fleet]:
    with Fleet(Numbered, url, TOPICS, shards=2, name="trades", placement=External()) as fleet:
        yield fleet


def live(fleet: Fleet, units: list[Unit]) -> bool:
    for unit in units:
        unit.tend()
    return fleet.stats().total("live") == len(TOPICS)


def pids(fleet: Fleet) -> set[int]:
    """The processes that have the leases. A shard that is silent has its lease all the same."""
    return {shard.pid for shard in fleet.stats().shards if shard.state != "missing"}


def test_a_process_that_waits_takes_the_shard_of_one_that_hangs(fleet: Fleet, url: str) -> None:
    with ExitStack() as stack:
        units = [Unit(fleet, url) for _ in range(3)]
        for unit in units:
            stack.callback(unit.stop)
        wait_until(lambda: live(fleet, units))
        holders = pids(fleet)
        (hung, *_) = [unit for unit in units if unit.process.pid in holders]
        others = [unit for unit in units if unit is not hung]
        hung.process.send_signal(signal.SIGSTOP)
        # If it woke up before another one had taken its lease, it would keep it, and rightly so.
        wait_until(lambda: live(fleet, others) and hung.process.pid not in pids(fleet))
        hung.process.send_signal(signal.SIGCONT)
        assert hung.process.wait(100) == 12  # it was replaced
        hung.start()  # and is the spare one from now on
        before = stored(fleet)
        wait_until(lambda: live(fleet, units) and stored(fleet) > before + 200)
        for unit in others:
            unit.stop()
    assert audit(fleet.nats, "trades").faults == []


def test_one_with_a_name_of_its_own_comes_back_without_waiting(fleet: Fleet, url: str) -> None:
    with ExitStack() as stack:
        units = [Unit(fleet, url, f"pod-{number}") for number in range(2)]
        for unit in units:
            stack.callback(unit.stop)
        wait_until(lambda: live(fleet, units))
        (unit, _) = units
        mine = [s.shard for s in fleet.stats().shards if s.pid == unit.process.pid]
        os.kill(unit.process.pid, signal.SIGKILL)
        unit.process.wait()
        unit.start()
        wait_until(lambda: live(fleet, units) and unit.process.pid in pids(fleet))
        assert [s.shard for s in fleet.stats().shards if s.pid == unit.process.pid] == mine


def test_status_and_drain(
    fleet: Fleet, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REACTOR_NATS", str(fleet.nats))

    def status() -> tuple[int, Any]:
        code = main(["fleet", "status", "--name", "trades", "--json"])
        return code, json.loads(capsys.readouterr().out)

    assert status()[0] == 1
    with ExitStack() as stack:
        units = [Unit(fleet, url) for _ in range(2)]
        for unit in units:
            stack.callback(unit.stop)
        wait_until(lambda: live(fleet, units))
        code, said = status()
        assert code == 0
        assert [shard["state"] for shard in said["shards"]] == ["running", "running"]
        assert main(["fleet", "status", "--name", "trades"]) == 0
        table = capsys.readouterr().out.splitlines()
        assert len(table) == 3
        assert len({len(line) for line in table}) == 1
        node = said["shards"][0]["node"]
        assert main(["fleet", "drain", "--name", "trades", node]) == 0
        wait_until(lambda: not pids(fleet))
        assert main(["fleet", "drain", "--name", "trades", "--undo", node]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status", "--nats", "nats://127.0.0.1:9"], "cannot be reached"),
        (["shard", "--nats", "x", "--feed", "nowhere:No", "--url", "ws://x"], "cannot be imported"),
        (["shard", "--nats", "x", "--feed", "nowhere", "--url", "ws://x"], "MODULE:CLASS"),
        (["start", "--feed", FEED, "--url", "http://x"], "scheme http is invalid"),
        (["shard", "--nats", "x", "--feed", FEED, "--url", "ws://x", "--sink", FEED], "no sink"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["fleet", *words])
    except SystemExit as exc:
        code = int(exc.code or 0)
    assert code != 0
    errors = capsys.readouterr().err
    assert said in errors
    assert len(errors.splitlines()) == 1


def test_a_fleet_that_is_not_there(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "status", "--name", "other", "--nats", str(fleet.nats)]) == 1
    assert "there is no fleet 'other'" in capsys.readouterr().err
