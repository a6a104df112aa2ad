"""The connections of a loop, and the sums over those that are over: connection/connections.py.

What is said of each host is in test_counting.py.
"""

from __future__ import annotations

import pytest

from reactor import HostStats
from reactor.connection.connection import Connection
from reactor.connection.connections import MOST_HOSTS, OTHERS, Connections

from ..support.recorder import Recorder
from ..support.scene import Actor, Scene, echo, text
from ..support.websocket_frames import PONG, build_frame


def only_host(scene: Scene) -> HostStats:
    """Return what is said of the one host that there is."""
    (host,) = scene.loop.stats(hosts=True).hosts
    return host


def test_it_is_shown_as_the_set_that_it_is(scene: Scene) -> None:
    recorder = Recorder()
    known = scene.loop.connections
    assert repr(known) == "set()"
    scene.connect(recorder)
    assert repr(known) == f"{{{recorder._reactor_connection!r}}}"
    recorder.abort()


def test_what_a_connection_does_is_counted_by_its_host(scene: Scene) -> None:
    recorders = [Recorder() for _ in range(4)]
    scene.open(recorders[0])
    scene.open(recorders[1])
    recorders[1].close()
    scene.connect(recorders[2])
    scene.connect(recorders[3], reconnect=9.0)
    scene.fail(OSError("no"))
    host = only_host(scene)
    assert (host.role, host.host) == ("client", "scene:80")
    assert (host.open, host.closing, host.connecting, host.waiting, host.ended) == (1, 1, 1, 1, 0)
    assert (host.attempts, host.opens) == (4, 2)
    for recorder in recorders:
        recorder.abort()
    scene.turn(count=2)
    assert only_host(scene).ended == 4


def test_messages_of_connections_that_are_over_are_counted_too(scene: Scene) -> None:
    first, second = Actor(message=echo), Recorder()
    scene.open(first, text("a"), text("b"))
    scene.open(second, text("c"))
    assert scene.loop.connections.messages() == (3, 2)
    first.abort()
    scene.turn(count=2)
    assert first._reactor_connection not in scene.loop.connections
    assert scene.loop.connections.messages() == (3, 2)


def test_one_that_is_opened_again_is_taken_back_from_the_sums(scene: Scene) -> None:
    """With the durations of its round trips."""
    recorder = Recorder()
    peer = scene.open(recorder, ping_interval=10.0, ping_timeout=5.0)
    scene.turn(10.0)
    scene.turn(0.25)
    peer.send(build_frame(PONG, b""))
    scene.turn()
    for opens in (1, 2, 3):
        peer.close()
        scene.turn(count=2)
        host = only_host(scene)
        assert (host.ended, host.opens, host.round_trips.count) == (1, opens, 1)
        recorder.reconnect(0.0)
        scene.turn(count=2)
        peer = scene.succeed()
        host = only_host(scene)
        assert (host.ended, host.open, host.opens) == (0, 1, opens + 1)
        assert (host.round_trips.count, host.round_trips.most) == (1, 0.25)


def test_there_is_an_end_to_hosts_that_are_told_apart(scene: Scene) -> None:
    recorders = [Recorder() for _ in range(MOST_HOSTS + 2)]
    for number, recorder in enumerate(recorders):
        scene.connect(recorder, url=f"ws://host{number}/")
        recorder.abort()
    late = Recorder()
    scene.connect(late, url="ws://late/")
    scene.connect(Recorder(), url="ws://host7/")
    found = {host.host: host for host in scene.loop.stats(hosts=True).hosts}
    assert len(found) == MOST_HOSTS + 1
    assert (found[OTHERS].ended, found[OTHERS].connecting) == (2, 1)
    assert (found["host7:80"].ended, found["host7:80"].connecting) == (1, 1)
    late.abort()


def test_a_snapshot_in_the_middle_of_an_end_counts_it_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread may take it when a connection is over and has not left yet."""
    found: list[HostStats] = []
    leave = Connections.leave

    def look_and_leave(known: Connections, connection: Connection) -> None:
        found.extend(known.hosts())
        leave(known, connection)

    monkeypatch.setattr(Connections, "leave", look_and_leave)
    recorder = Recorder()
    scene.open(recorder, text("a"))
    recorder.abort()
    scene.turn(count=2)
    found.append(only_host(scene))
    assert [(host.open, host.closing, host.messages_in) for host in found] == [(0, 0, 1)] * 2
    assert [host.ended for host in found] == [0, 1]
