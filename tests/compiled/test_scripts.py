"""Random scripts are played compiled and not, and all that can be seen is compared."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise
from ssl import SSLContext
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor.loop.poller import selector_classes
from reactor.protocols.session import Role
from reactor.transports import tls_stream

from ..support.certificates import Authority
from ..support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    build_frame,
    close_payload,
)
from ..support.zlib_peer import MEGABYTE, ZlibPeer
from .acting import AGREEMENT, BUILT, TAKEOVER
from .twins import Script, play, python_way

pytestmark = BUILT


def weighted(*choices: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """One of several strategies, so many times as often as another."""
    every = [strategy for weight, strategy in choices for _ in range(weight)]
    return st.sampled_from(range(len(every))).flatmap(lambda number: every[number])


long_payloads = st.sampled_from([125, 126, 127, 1000, 65535, 65536, 70000]).map(
    lambda size: b"0123456789" * (size // 10) + b"#" * (size % 10)
)
texts = st.one_of(st.text(max_size=8), st.sampled_from(["", "é", "\U0001f600", "a" * 126]))


@st.composite
def frames(draw: st.DrawFn, masked: bool) -> bytes:
    """What a peer sends: mostly whole messages, sometimes what nobody may send."""
    key = KEY if masked else None

    def frame(opcode: int, payload: bytes = b"", **more: Any) -> bytes:
        return build_frame(opcode, payload, **{"key": key, **more})

    kind = draw(st.integers(0, 46)) - 15
    if kind < 10:
        return frame(TEXT, draw(texts).encode())
    if kind < 15:
        return frame(BINARY, draw(st.binary(max_size=8)))
    if kind < 17:
        return frame(draw(st.sampled_from([TEXT, BINARY])), draw(long_payloads))
    if kind < 19:
        return frame(PING, draw(st.binary(max_size=4)))
    if kind == 19:
        return frame(PONG, b"pong")
    if kind < 23:
        whole = draw(texts).encode() + b"fragments"
        cut = draw(st.integers(0, len(whole)))
        between = draw(st.sampled_from([b"", frame(PING, b"between"), frame(TEXT, b"no")]))
        end = draw(st.sampled_from([b"", frame(CONT, whole[cut:]), frame(CONT, whole[cut:])]))
        return frame(TEXT, whole[:cut], fin=False) + between + end
    if kind == 23:
        return frame(CLOSE, draw(st.sampled_from([close_payload(1000, b"bye"), b""])))
    if kind < 26:
        payload = ZlibPeer().compress(draw(texts).encode() + b"squeezed")
        # Sometimes more than one turn may deliver, or than can be inflated.
        payload = draw(st.sampled_from([payload] * 9 + [payload[:-1], b"\xff", MEGABYTE[:-4]]))
        return frame(TEXT, payload, rsv=4) * draw(st.sampled_from([1, 1, 1, 2, 300]))
    if kind > 29:  # more than one turn may deliver, with what comes before and behind
        small = [frame(TEXT), frame(PING), frame(TEXT, fin=False) + frame(CONT)]
        return draw(st.sampled_from(small)) * draw(st.sampled_from([700, 1023, 1024]))
    return draw(
        st.sampled_from(
            [
                frame(TEXT, b"ab\xff"),
                frame(TEXT, b"ab\xe2\x82"),
                frame(TEXT, b"rsv", rsv=2),
                frame(3, b"reserved"),
                frame(0xB, b"reserved"),
                frame(CONT, b"of nothing"),
                frame(PING, bytes(126)),
                frame(PING, b"cut", fin=False),
                frame(CLOSE, b"1"),
                frame(CLOSE, close_payload(1005)),
                frame(TEXT, b"masked?", key=None if masked else KEY),
                frame(TEXT, b"too long a length", length_bits=16),
                frame(BINARY, b"too long a length", length_bits=64),
                frame(BINARY, bytes(300), length_bits=64),
                b"\x82" + (b"\xff" if masked else b"\x7f") + b"\xff" * 8,
            ]
        )
    )


sent = st.one_of(
    texts,
    st.binary(max_size=6),
    st.sampled_from(["\ud800", "x" * 126, "y" * 70000, b"z" * 65536]),
)

actions = weighted(
    (8, st.tuples(st.just("send"), st.just("plain"), sent)),
    (
        3,
        st.tuples(
            st.just("send"),
            st.sampled_from(["plain", "subclass", "bytearray", "memoryview", "int"]),
            st.one_of(st.text("aé", max_size=4), st.binary(max_size=4)),
            st.sampled_from([None, True, False]),
        ),
    ),
    (1, st.sampled_from([("close", 1000), ("close", 5), ("abort",)])),
    (2, st.just(("raise",))),
    (1, st.tuples(st.just("interrupt"), st.sampled_from([KeyboardInterrupt, SystemExit]))),
    (1, st.sampled_from([("pause",), ("resume",), ("resume",)])),
    (1, st.tuples(st.just("fragment"), st.sampled_from(["one", b"two"]), st.booleans())),
    (
        1,
        st.tuples(st.just("fragments"), st.sampled_from([[], ["a", "b"], [b"c" * 40000] * 4])),
    ),
    (1, st.tuples(st.just("ping"), st.sampled_from([b"", b"ping", bytes(126)]))),
    (1, st.tuples(st.just("timer"), st.sampled_from([0.0, 0.001, 0.5, 300.0]))),
    (1, st.just(("soon",))),
    (1, st.tuples(st.just("send_in_thread"), st.sampled_from(["thread", b"z" * 70000]))),
)
all_actions = weighted((4, actions), (1, actions.map(lambda action: ("other", *action))))

which = st.sampled_from([0, 0, 1])


@st.composite
def bursts(draw: st.DrawFn, masked: bool) -> list[tuple[Any, ...]]:
    """Frames of one peer, cut somewhere, with turns in between."""
    number = draw(which)
    data = b"".join(draw(st.lists(frames(masked), min_size=2, max_size=6)))
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=3))
    bounds = [0, *sorted(cuts), len(data)]
    steps: list[tuple[Any, ...]] = []
    for start, stop in pairwise(bounds):
        if start < stop:
            steps.append(("peer", number, data[start:stop]))
            steps += [("turn",)] * draw(st.sampled_from([1, 1, 1, 0, 2]))
    return steps


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    role = draw(st.sampled_from(Role))
    masked = role is Role.SERVER
    options: dict[str, Any] = {
        "decode_text": draw(st.sampled_from([True] * 5 + [False])),
        "fragments": draw(st.sampled_from([False, False, True])),
        "max_message_size": draw(st.sampled_from([1 << 24] * 4 + [5, 1000])),
        "write_limit": draw(st.sampled_from([1 << 24] * 4 + [1, 1000, 100000])),
        "high_water": draw(st.sampled_from([65536] * 3 + [0, 1, 1000])),
        "on_overflow": draw(st.sampled_from(["raise"] * 3 + ["pause", "close"])),
    }
    options["low_water"] = options["high_water"] // 4
    if options["fragments"]:
        options["fragment_size"] = draw(st.sampled_from([None, 3, 1000]))
    single = st.one_of(
        st.just(("turn",)),
        st.tuples(st.just("advance"), st.sampled_from([0.0, 0.0005, 0.001, 0.3, 6.0])),
        st.tuples(st.just("do"), which, all_actions),
        st.tuples(st.just("soon"), which, all_actions),
        st.tuples(st.just("look"), which, st.sampled_from([None, 10, 40000])),
        st.sampled_from([("end", 0), ("end", 1), ("reset", 1), ("look", 0, None), ("turn",)]),
    ).map(lambda step: [step])
    parts = weighted((5, bursts(masked)), (3, single))
    further = draw(st.lists(parts, min_size=2, max_size=8))
    steps = [step for part in [draw(bursts(masked)), *further] for step in part]
    return Script(
        role=role,
        options=options,
        own_masks=draw(st.sampled_from([True, True, False])),
        agreement=draw(st.sampled_from([None, None, AGREEMENT, TAKEOVER])),
        packets=draw(st.sampled_from([False, sys.platform == "linux"])),
        room=draw(st.sampled_from([None, None, 4608])),
        selector=draw(st.sampled_from([None, None, selector_classes()[-1]])),
        # The first two are those of on_open.
        reactions=[
            *draw(st.sampled_from([[[], []]] * 5 + [[]])),
            *draw(st.lists(st.lists(all_actions, max_size=3), min_size=1, max_size=12)),
        ],
        steps=steps,
    )


def compare(script: Script) -> None:
    compiled = play(script)
    with python_way():
        expected = play(script)
    assert compiled == expected


@pytest.mark.parametrize("way", ["both"], indirect=True)
@settings(
    max_examples=120,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(scripts())
def test_a_script_goes_the_same_way_compiled_and_not(script: Script) -> None:
    compare(script)


@pytest.mark.parametrize("way", ["both"], indirect=True)
def test_a_text_that_cannot_be_sent_takes_no_masking_key_of_the_users() -> None:
    compare(
        Script(
            role=Role.CLIENT,
            options={},
            reactions=[[], [], [("send", "plain", "\ud800"), ("send", "plain", "x")]],
            steps=[("peer", 0, build_frame(TEXT, b"")), ("turn",), ("turn",)],
        )
    )


@pytest.fixture(scope="module")
def contexts(authority: Authority) -> tuple[SSLContext, SSLContext]:
    return authority.server_context, authority.client_context()


@pytest.mark.parametrize("way", ["both"], indirect=True)
@settings(
    max_examples=30,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(script=scripts())
@pytest.mark.parametrize("engine", ["direct", "python"])
def test_with_tls_a_script_goes_the_same_way_too(
    script: Script, contexts: tuple[SSLContext, SSLContext], engine: str
) -> None:
    """Whether OpenSSL is called directly or not: that decides what comes in one turn."""
    direct_engine = tls_stream.direct_engine
    if engine == "python":
        tls_stream.direct_engine = None
    try:
        compare(replace(script, packets=False, contexts=contexts))
    finally:
        tls_stream.direct_engine = direct_engine
