"""explain(): the life of a connection in words."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from reactor import Backoff, HTTPResponse, Reactor, State, WebSocketProtocol
from reactor.exceptions import LOST
from reactor.feeds import feeds_of
from reactor.monitor import Explanation, explain
from reactor.protocols.history import MOST_BYTES, LifeEvent, Step

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.peers import ScriptedPeer, greet
from ..support.recorder import Recorder
from ..support.scene import START, Actor, Scene, text
from ..support.socks import accepting
from .world import world


def steps(explanation: Explanation) -> list[str]:
    return [event.step.name for event in explanation.events]


def words(explanation: Explanation) -> list[str]:
    """The lines without times."""
    return [re.sub(r"^.* ago: ", "", line) for line in explanation.lines]


def test_before_connect_there_is_nothing() -> None:
    explanation = explain(WebSocketProtocol())
    assert explanation.events == ()
    assert str(explanation).startswith("There is no connection yet")


def test_what_is_no_protocol_object_is_refused() -> None:
    anything: Any = "ws://example.com/"
    with pytest.raises(TypeError, match="WebSocketProtocol"):
        explain(anything)


def test_a_life_with_a_failure_a_loss_and_an_end(scene: Scene) -> None:
    recorder = Recorder()
    scene.connect(recorder, url="ws://scene/?token=secret", reconnect=Backoff(jitter=False))
    scene.fail(OSError("no way"))
    scene.turn(1.0, count=2)
    peer = scene.succeed(text("a"))
    scene.turn(7.0)
    peer.close()
    scene.turn(count=2)
    recorder.close()
    scene.turn(count=2)
    explanation = explain(recorder)
    assert words(explanation) == [
        "attempt 1 began",
        "the attempt failed after 0.0 ms, because of us: OSError: no way",
        "the next attempt follows in 1.0 s",
        "attempt 2 began",
        "open, upgraded after 0.0 ms",
        f"ended by the network: 1006 WebSocketConnectionClosedException: {LOST}",
        "the next attempt follows in 2.0 s",
        "we called close(1000)",
        "over: no attempt follows",
    ]
    assert str(explanation).startswith(
        "ws://scene/ (client) has ended for good; the last message came 7.0 s ago."
    )
    assert "secret" not in str(explanation)
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}, 8\.0 s ago: ", explanation.lines[0])


def test_each_line_has_the_time_of_day_and_how_long_ago_it_was(scene: Scene) -> None:
    recorder = Recorder()
    scene.open(recorder)
    scene.turn(3661.0)
    explanation = explain(recorder)
    assert [event.time for event in explanation.events] == [START, START]
    assert all(", 61 min 1 s ago: " in line for line in explanation.lines)
    assert "is open, for 61 min 1 s" in str(explanation)
    recorder.abort()


def test_messages_and_pings_make_no_events(scene: Scene) -> None:
    recorder = Recorder()
    peer = scene.open(recorder, ping_interval=1.0)
    before = steps(explain(recorder))
    for _ in range(100):
        peer.send(text("a"))
        scene.turn(1.0)
    assert steps(explain(recorder)) == before == ["ATTEMPT", "OPENED"]
    recorder.abort()


def test_a_service_that_refuses_for_ever_takes_no_more_than_a_kilobyte(scene: Scene) -> None:
    recorder = Recorder()
    scene.connect(recorder, reconnect=Backoff(first=1.0, jitter=False))
    for _ in range(100):
        scene.fail(OSError("refused " + "x" * 500))
        scene.turn(100.0, count=2)
    explanation = explain(recorder)
    assert len(recorder._reactor_connection.history) <= MOST_BYTES  # type: ignore[attr-defined]
    assert len(explanation.events) >= 20
    assert explanation.events[-1].text == "101"
    recorder.abort()


def test_a_real_connection_tells_of_address_and_upgrade_on_both_sides() -> None:
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, Recorder)
        recorder = Recorder()
        loop.connect(f"ws://127.0.0.1:{listener.port}/", recorder, proxy=None)
        run_until(loop, lambda: listener.protocols and recorder.state is State.OPEN)
        explanation = explain(recorder)
        assert steps(explanation) == ["ATTEMPT", "RESOLVED", "DIALLED", "OPENED"]
        assert explanation.events[1].text == "1 127.0.0.1"
        assert explanation.events[2].text == f"127.0.0.1:{listener.port}"
        (server,) = listener.protocols
        (opened,) = explain(server).events
        host, port = recorder.sock.getsockname()
        assert (opened.step, opened.text) == (Step.OPENED, f"{host}:{port}")
        recorder.close()
        run_until(loop, lambda: recorder.closes and server.closes)
        assert words(explain(server))[1:] == [
            "ended by the peer: 1000",
            "over: no attempt follows",
        ]
        assert words(explain(recorder))[-3:] == [
            "we called close(1000)",
            "ended by us: 1000",
            "over: no attempt follows",
        ]


def test_a_reconnect_that_was_asked_for_says_so(scene: Scene) -> None:
    actor = Actor()
    scene.open(actor)
    actor.reconnect(2.0, "too old")
    scene.turn(count=2)
    assert words(explain(actor))[2:] == [
        "we called reconnect(): too old",
        "ended by us: 1006 too old",
        "the next attempt follows in 2.0 s",
    ]
    actor.abort()
    scene.turn(count=2)
    assert words(explain(actor))[-2:] == ["we called abort()", "over: no attempt follows"]


def test_what_a_peer_says_is_shown_safely(scene: Scene) -> None:
    recorder = Recorder()
    peer = scene.open(recorder)
    peer.say_goodbye(4000, "\x1b[31m<b>\u202e".encode())
    scene.turn(count=2)
    text_of_it = str(explain(recorder))
    assert r"ended by the peer: 4000 \x1b[31m<b>\u202e" in text_of_it
    assert "\x1b" not in text_of_it


def test_it_can_be_asked_in_on_close(scene: Scene) -> None:
    seen: list[list[str]] = []
    actor = Actor(close=lambda actor: seen.append(steps(explain(actor))))
    peer = scene.open(actor)
    peer.close()
    scene.turn(count=2)
    assert seen == [["ATTEMPT", "OPENED", "ENDED", "OVER"]]


def test_why_it_waits_at_the_gate_is_told() -> None:
    with Reactor(max_connecting=1) as loop:
        listener = loop.listen("127.0.0.1", 0, Recorder)
        url = f"ws://127.0.0.1:{listener.port}/"
        ours = [Recorder(), Recorder()]
        for each in ours:
            loop.connect(url, each, proxy=None)
        run_until(loop, lambda: all(each.state is State.OPEN for each in ours))
        assert "ADMITTED" in steps(explain(ours[1]))


def test_tls_is_told_and_whether_a_session_was_resumed(authority: Authority) -> None:
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, Recorder, ssl=authority.server_context)
        url = f"wss://127.0.0.1:{listener.port}/"
        sslopt = dict(authority.sslopt)
        found = []
        for _ in range(2):
            recorder = Recorder()
            loop.connect(url, recorder, proxy=None, sslopt=sslopt)
            run_until(loop, lambda: recorder.state is State.OPEN)  # noqa: B023 - run at once
            found.append(words(explain(recorder)))
            recorder.close()
            run_until(loop, lambda: recorder.closes)  # noqa: B023 - run at once
    for lines, how in zip(found, ["not resumed", "resumed"], strict=True):
        assert re.fullmatch(rf"TLS is set up after .*: TLSv1\.[23], {how}", lines[3])


def test_on_the_server_s_side_tls_is_told_with_the_client(authority: Authority) -> None:
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, Recorder, ssl=authority.server_context)
        url = f"wss://127.0.0.1:{listener.port}/"
        loop.connect(url, Recorder(), proxy=None, sslopt=authority.sslopt)
        run_until(loop, lambda: bool(listener.protocols))
        (line,) = words(explain(listener.protocols[0]))
        assert re.fullmatch(r"opened by 127\.0\.0\.1:\d+ over TLSv1\.[23]( resumed)?", line)


def test_a_redirect_is_told_without_its_query() -> None:
    with Reactor() as loop:
        there = loop.listen("127.0.0.1", 0, Recorder)
        place = f"ws://127.0.0.1:{there.port}/there"

        def redirect(*_: Any) -> HTTPResponse:
            return HTTPResponse(302, headers=[("Location", f"{place}?token=secret")])

        here = loop.listen("127.0.0.1", 0, Recorder, process_request=redirect)
        recorder = Recorder()
        loop.connect(f"ws://127.0.0.1:{here.port}/", recorder, proxy=None, redirect_limit=3)
        run_until(loop, lambda: recorder.state is State.OPEN)
        assert f"the server redirects to {place}?..." in words(explain(recorder))
        assert "secret" not in str(explain(recorder))


def test_a_proxy_is_told() -> None:
    with ScriptedPeer(accepting("socks5", greet)) as proxy, Reactor() as loop:
        recorder = Recorder()
        loop.connect("ws://192.0.2.1/", recorder, proxy=f"socks5://127.0.0.1:{proxy.port}")
        run_until(loop, lambda: recorder.state is State.OPEN)
        (line,) = [each for each in words(explain(recorder)) if "proxy" in each]
        assert line.startswith(f"connected through the proxy 127.0.0.1:{proxy.port} after ")
        recorder.abort()


def test_a_link_of_a_feed_has_a_life_too() -> None:
    with world() as (loop, _):
        (feed,) = feeds_of(loop)
        assert steps(explain(feed.links[0]))[-1] == "OPENED"


# -- durations and numbers in words ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0004, "0.4 ms"),
        (0.25, "250 ms"),
        (90.0, "90.0 s"),
        (150.4, "2 min 30 s"),
        (7199.0, "119 min 59 s"),
        (7260.0, "2 h 1 min"),
        (200_000.0, "2 days 7 h"),
    ],
)
def test_a_duration_is_told_in_a_unit_that_fits(scene: Scene, seconds: float, said: str) -> None:
    recorder = Recorder()
    scene.connect(recorder)
    event = LifeEvent(START, seconds, Step.DIALLED, "192.0.2.1:443")
    explanation = replace(explain(recorder), events=(event,))
    assert words(explanation) == [f"connected to 192.0.2.1:443 after {said}"]
    recorder.abort()


@pytest.mark.parametrize(
    ("attempts", "said"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (112, "112th"), (121, "121st")],
)
def test_attempts_are_counted_in_words(scene: Scene, attempts: int, said: str) -> None:
    recorder = Recorder()
    scene.connect(recorder)
    found = explain(recorder)
    found = replace(found, stats=replace(found.stats, attempts=attempts), events=())
    assert str(found) == f"ws://scene/ (client) is connecting, for the {said} time."
    recorder.abort()


def test_what_is_open_and_has_heard_nothing_says_so(scene: Scene) -> None:
    recorder = Recorder()
    scene.open(recorder)
    assert "is open, for 0.0 ms; no message has ever come." in str(explain(recorder))
    recorder.abort()


@pytest.mark.parametrize(
    ("step", "text", "said"),
    [
        (Step.ADMITTED, "", "it may begin, after 1.0 s at the gate"),
        (Step.RESOLVED, "2 192.0.2.1", "the name was resolved after 1.0 s: 2 addresses, 192.0.2.1"),
        (Step.OPENED, "", "open, upgraded after 1.0 s"),
        (Step.RECONNECTING, "", "we called reconnect()"),
        (Step.FAILED, "network", "the attempt failed after 1.0 s, because of the network"),
        (Step.WAITING, "0", "the next attempt follows at once"),
    ],
)
def test_steps_in_words(scene: Scene, step: Step, text: str, said: str) -> None:
    recorder = Recorder()
    scene.connect(recorder)
    explanation = replace(explain(recorder), events=(LifeEvent(START, 1.0, step, text),))
    assert words(explanation) == [said]
    recorder.abort()
