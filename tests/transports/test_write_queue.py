"""The write queue: order, and that it costs what it counts."""

from __future__ import annotations

import random
import sys

import pytest

from reactor.transports.write_queue import BUFFER_SIZE, SHARED_SIZE, WriteQueue


def drain(queue: WriteQueue, most: int = 1 << 30) -> bytes:
    """Take everything, at most *most* bytes at a time."""
    data = b""
    while queue:
        piece = bytes(queue.first[:most])
        data += piece
        queue.take(len(piece))
    return data


def pieces(queue: WriteQueue) -> list[int]:
    """Take everything, and return the sizes of the pieces."""
    sizes = []
    while queue:
        sizes.append(len(queue.first))
        assert queue.take(sizes[-1])
    return sizes


class TestOrder:
    @pytest.mark.parametrize("seed", range(20))
    def test_what_goes_in_comes_out_in_the_same_order(self, seed: int) -> None:
        rng = random.Random(seed)
        queue = WriteQueue()
        given = taken = b""
        for _ in range(300):
            if rng.random() < 0.6:
                size = rng.choice([1, 20, SHARED_SIZE - 1, SHARED_SIZE, 3 * SHARED_SIZE])
                data = rng.randbytes(size)
                start = rng.randrange(size)
                queue.append(data, start)
                given += data[start:]
            elif queue:
                size = rng.randint(1, len(queue.first))
                taken += queue.first[:size]
                queue.take(size)
            assert queue.size == len(given) - len(taken)
            assert bool(queue) is (queue.size > 0)
        assert taken + drain(queue, most=1000) == given

    def test_what_is_inserted_at_the_end_of_a_piece_comes_next(self) -> None:
        queue = WriteQueue()
        queue.append(b"a" * SHARED_SIZE)
        queue.append(b"b" * SHARED_SIZE)
        assert not queue.take(1)
        assert queue.take(SHARED_SIZE - 1)
        queue.insert(b"!")
        assert queue.size == SHARED_SIZE + 1
        assert drain(queue) == b"!" + b"b" * SHARED_SIZE

    def test_all_but_the_first_piece_can_be_forgotten(self) -> None:
        queue = WriteQueue()
        queue.append(b"a" * SHARED_SIZE)
        queue.append(b"b")
        queue.take(1)
        queue.keep_first()
        queue.append(b"c")
        assert queue.size == SHARED_SIZE
        assert drain(queue) == b"a" * (SHARED_SIZE - 1) + b"c"

    def test_nothing_is_put_into_what_was_inserted(self) -> None:
        queue = WriteQueue()
        queue.insert(b"!")
        queue.append(b"data")
        assert drain(queue) == b"!data"


class TestCost:
    @pytest.mark.parametrize("size", [1, 2, 6, 20, 200, 1000, SHARED_SIZE - 1, SHARED_SIZE, 9000])
    def test_it_holds_about_what_it_counts(self, size: int) -> None:
        queue = WriteQueue()
        while queue.size < 2_000_000:
            queue.append(bytes(size))
        held = 0
        for piece in queue._pieces:
            whole = piece.obj if isinstance(piece, memoryview) else piece
            held += sys.getsizeof(whole) + (sys.getsizeof(piece) if whole is not piece else 0)
        assert held < 1.2 * queue.size

    def test_small_writes_leave_in_few_pieces(self) -> None:
        queue = WriteQueue()
        for _ in range(10_000):
            queue.append(bytes(20))
        sizes = pieces(queue)
        assert max(sizes) <= BUFFER_SIZE
        assert len(sizes) == 4

    def test_a_large_write_is_not_copied(self) -> None:
        data = bytes(SHARED_SIZE)
        queue = WriteQueue()
        queue.append(data)
        assert isinstance(queue.first, memoryview)
        assert queue.first.obj is data
