"""The compiled twin of frames.py: the same results, and the switch between the two."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reactor
from fuzz.targets import load_pure_frames
from reactor.protocols import frames

compiled = pytest.importorskip(
    "reactor.compiled.frames", reason="the compiled twin was not built: no compiler?"
)


PURE = load_pure_frames()


@pytest.fixture
def way() -> str:
    """In the place of the package's fixture: both modules are here, whichever is in use."""
    return "both"


payloads = st.one_of(
    st.binary(max_size=40),
    st.integers(120, 130).map(bytes),
    st.integers(65530, 65540).map(lambda size: b"\xff" * size),
    st.text(max_size=20).map(str.encode),
)
masks = st.one_of(st.none(), st.binary(min_size=4, max_size=4))


@given(payload=payloads, mask=masks.filter(bool))
def test_they_mask_alike(payload: bytes, mask: bytes) -> None:
    masked = compiled.apply_mask(payload, mask)
    assert masked == PURE.apply_mask(payload, mask)
    assert compiled.apply_mask(masked, mask) == payload


@given(st.integers(0, 15), payloads, masks, st.booleans(), st.integers(0, 7))
def test_they_serialize_alike(
    opcode: int, payload: bytes, mask: bytes | None, fin: bool, rsv: int
) -> None:
    args = opcode, payload, mask, fin, rsv
    assert compiled.serialize(*args) == PURE.serialize(*args)
    assert compiled.serialize(opcode, payload, mask) == PURE.serialize(opcode, payload, mask)


@given(st.text(), masks)
def test_they_serialize_text_alike(text: str, mask: bytes | None) -> None:
    assert compiled.serialize(1, text, mask) == PURE.serialize(1, text, mask)
    assert compiled.serialize(1, text, mask) == compiled.serialize(1, text.encode(), mask)


def test_neither_serializes_what_is_not_unicode() -> None:
    for module in (compiled, PURE):
        with pytest.raises(UnicodeEncodeError):
            module.serialize(1, "\ud800", None)
        with pytest.raises(TypeError):
            module.serialize(1, None, None)


pieces = st.one_of(
    st.builds(PURE.serialize, st.sampled_from([1, 2]), payloads, masks),
    st.builds(PURE.serialize, st.integers(0, 15), payloads, masks, st.booleans()),
    st.binary(max_size=12),
)


streams = st.lists(pieces, max_size=6).map(b"".join)


@given(
    streams,
    st.integers(0, 4),
    st.booleans(),
    st.sampled_from([0, 10, 126, 70000]),
    st.integers(0, 20),
    st.integers(0, 3),
)
def test_they_parse_alike(
    data: bytes, pos: int, masked: bool, limit: int, missing: int, most: int
) -> None:
    data = data[: len(data) - missing]
    for more in ((), (most,)):
        taken: list[Any] = []
        expected: list[Any] = []
        end = compiled.parse_messages(data, pos, taken, masked, limit, *more)
        assert end == PURE.parse_messages(data, pos, expected, masked, limit, *more)
        assert taken == expected
        assert len(taken) <= most or not more


pings = st.builds(
    PURE.serialize,
    st.sampled_from([9, 9, 10]),
    st.binary(max_size=3) | st.integers(124, 127).map(bytes),
    masks,
    st.sampled_from([True] * 5 + [False]),
    st.sampled_from([0] * 5 + [4]),
)


@given(
    st.lists(pings | pieces, max_size=6).map(b"".join),
    st.integers(0, 4),
    st.booleans(),
    st.integers(0, 8),
    st.integers(0, 6),
)
def test_they_parse_pings_alike(
    data: bytes, pos: int, masked: bool, missing: int, most: int
) -> None:
    data = data[: len(data) - missing]
    taken: list[Any] = []
    expected: list[Any] = []
    end = compiled.parse_pings(data, pos, taken, masked, most)
    assert end == PURE.parse_pings(data, pos, expected, masked, most)
    assert taken == expected
    assert [type(event) for event in taken] == [type(event) for event in expected]
    assert len(taken) <= most


@given(streams, st.integers(0, 4), st.integers(0, 20))
def test_they_parse_headers_alike(data: bytes, pos: int, missing: int) -> None:
    data = data[: len(data) - missing]
    header, expected = compiled.parse_header(data, pos), PURE.parse_header(data, pos)
    assert header == expected
    assert header is None or header._asdict() == expected._asdict()
    assert list(map(type, header or ())) == list(map(type, expected or ()))


@pytest.mark.parametrize("length", [1 << 62, 1 << 63, (1 << 64) - 1])
def test_a_length_that_no_buffer_has(length: int) -> None:
    data = b"\x82\x7f" + length.to_bytes(8, "big") + b"payload"
    for module in (compiled, PURE):
        taken: list[Any] = []
        assert module.parse_messages(data, 0, taken, False, 1 << 63) == 0
        assert taken == []


def test_masks_differ() -> None:
    drawn = [compiled.new_mask() for _ in range(2000)]  # more than one draw from the pool
    assert all(len(mask) == 4 for mask in drawn)
    assert len(set(drawn)) > 1990


def test_what_is_no_bytes_is_refused() -> None:
    for args in [("text", b"mask"), (b"data", "mask"), (None, b"mask"), (b"data", None)]:
        with pytest.raises(TypeError):
            compiled.apply_mask(*args)


def test_a_forked_child_has_masks_of_its_own() -> None:
    program = """
import os
from reactor.compiled.frames import new_mask
new_mask()
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.write(write, b"".join(new_mask() for _ in range(4)))
    os._exit(0)
os.waitpid(child, 0)
theirs = os.read(read, 16)
print(theirs == b"".join(new_mask() for _ in range(4)))
"""
    assert run(program) == "False"


def run(program: str, **environment: str) -> str:
    command = [sys.executable, "-c", program]
    env = {"PYTHONPATH": ":".join(filter(None, sys.path)), **environment}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


@pytest.mark.parametrize(("value", "expected"), [("1", "False"), ("0", "True"), ("", "True")])
def test_the_switch(value: str, expected: str) -> None:
    program = "import reactor; print(reactor.compiled)"
    assert run(program, REACTOR_PURE_PYTHON=value) == expected


def test_reactor_tells_which_is_in_use() -> None:
    assert reactor.compiled is frames.compiled
    assert (frames.serialize is compiled.serialize) is reactor.compiled
