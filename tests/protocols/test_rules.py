"""Frames that a user wants to be sent as they are; test_session*.py has the received ones."""

from __future__ import annotations

import pytest

from reactor.protocols.frames import OP_CLOSE, OP_PING, OP_TEXT
from reactor.protocols.rules import check_frame


@pytest.mark.parametrize("opcode", [-1, 16])
def test_an_opcode_of_more_than_four_bits(opcode: int) -> None:
    with pytest.raises(ValueError, match=f"^opcode {opcode} is not in 0..15"):
        check_frame(opcode, b"", True)


def test_a_close_frame_is_not_sent_behind_the_back_of_the_session() -> None:
    with pytest.raises(ValueError, match="is sent by close"):
        check_frame(OP_CLOSE, b"", True)


def test_a_control_frame_is_never_a_fragment() -> None:
    with pytest.raises(ValueError, match=r"cannot be a fragment \(RFC 6455 section 5.5\)"):
        check_frame(OP_PING, b"", False)


def test_a_control_frame_is_short() -> None:
    check_frame(OP_PING, bytes(125), True)
    with pytest.raises(ValueError, match="of 126 bytes exceeds 125"):
        check_frame(OP_PING, bytes(126), True)


def test_a_data_frame_may_be_long_and_a_fragment() -> None:
    check_frame(OP_TEXT, bytes(70000), False)
