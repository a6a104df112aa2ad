"""Frames that are built and read byte by byte: compared with the examples of RFC 6455."""

from __future__ import annotations

import pytest

from reactor.testing.frames import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    TEXT,
    Frame,
    build_frame,
    build_header,
    close_payload,
    mask_naively,
    read_frames,
)

HELLO_KEY = bytes.fromhex("37fa213d")

#: RFC 6455 section 5.7.
EXAMPLES = [
    (build_frame(TEXT, b"Hello"), "810548656c6c6f"),
    (build_frame(TEXT, b"Hello", key=HELLO_KEY), "818537fa213d7f9f4d5158"),
    (build_frame(TEXT, b"Hel", fin=False), "010348656c"),
    (build_frame(CONT, b"lo"), "80026c6f"),
    (build_frame(PING, b"Hello"), "890548656c6c6f"),
    (build_header(BINARY, 256), "827e0100"),
    (build_header(BINARY, 65536), "827f0000000000010000"),
    (build_frame(CLOSE, close_payload(1000, b"bye")), "880503e8627965"),
]


@pytest.mark.parametrize(("built", "octets"), EXAMPLES, ids=[octets for _, octets in EXAMPLES])
def test_frames_are_those_of_the_standard(built: bytes, octets: str) -> None:
    assert built.hex() == octets


def test_the_bits_and_the_form_of_the_length_are_as_asked_for() -> None:
    assert build_header(15, 5, fin=False, rsv=7).hex() == "7f05"
    assert build_header(TEXT, 5, length_bits=16).hex() == "817e0005"
    assert build_header(TEXT, 5, key=KEY, length_bits=64) == b"\x81\xff" + bytes(7) + b"\x05" + KEY


def test_masking_twice_changes_nothing() -> None:
    data = bytes(range(256))
    assert mask_naively(data, KEY) != data
    assert mask_naively(mask_naively(data, KEY), KEY) == data


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("key", [None, KEY])
def test_what_is_built_is_read(length: int, key: bytes | None) -> None:
    payload = bytes(i & 255 for i in range(length))
    frames = [Frame(True, 0, BINARY, key, payload), Frame(False, 5, PING, key, b"next")]
    data = build_frame(BINARY, payload, key=key)
    data += build_frame(PING, b"next", key=key, fin=False, rsv=5)
    assert read_frames(data) == frames


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (build_frame(TEXT, bytes(125), length_bits=16), "a length in a longer form than needed"),
        (build_frame(TEXT, bytes(9), length_bits=64), "a length in a longer form than needed"),
        (build_frame(TEXT, b"Hello")[:-1], "the last frame is not whole"),
        (build_frame(TEXT) + build_frame(TEXT, b"x")[:2], "the last frame is not whole"),
    ],
)
def test_a_frame_that_is_not_as_it_should_be_fails_the_test(data: bytes, fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        read_frames(data)
