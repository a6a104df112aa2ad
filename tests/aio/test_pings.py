"""Pings of the program's own, and the futures for their pongs, without a connection."""

from __future__ import annotations

import asyncio

import pytest

from reactor.asyncio.exceptions import ConcurrencyError
from reactor.asyncio.pings import Pings


def test_a_pong_answers_its_ping_and_earlier_ones() -> None:
    async def main() -> None:
        pings = Pings(asyncio.get_running_loop())
        first, second, third = (pings.sent(payload) for payload in (b"1", b"2", b"3"))
        pings.answered(b"2")
        assert first.result() >= second.result() == pings.latency
        assert not third.done()
        pings.answered(b"2")  # again, and of a ping that nobody has sent
        pings.answered(b"unknown")
        assert not third.done()
        third.cancel()

    asyncio.run(main())


def test_a_payload_is_in_use_until_its_pong_comes() -> None:
    async def main() -> None:
        pings = Pings(asyncio.get_running_loop())
        future = pings.sent(pings.check(b"x"))
        with pytest.raises(ConcurrencyError):
            pings.check(b"x")
        pings.answered(b"x")
        assert pings.check(b"x") == b"x"
        assert future.done()

    asyncio.run(main())


def test_payloads_of_its_own_are_random_and_free(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        pings = Pings(asyncio.get_running_loop())
        drawn = iter([b"same", b"same", b"next"])
        monkeypatch.setattr("reactor.asyncio.pings.os.urandom", lambda _: next(drawn))
        pings.sent(pings.check(None))
        assert pings.check(None) == b"next"

    asyncio.run(main())


def test_a_future_that_was_cancelled_is_left_alone() -> None:
    async def main() -> None:
        pings = Pings(asyncio.get_running_loop())
        for end in (lambda: pings.answered(b"x"), lambda: pings.end(ConnectionError)):
            future = pings.sent(b"x")
            future.cancel()
            end()
            assert future.cancelled()

    asyncio.run(main())


def test_at_the_end_each_gets_an_exception_of_its_own() -> None:
    async def main() -> None:
        pings = Pings(asyncio.get_running_loop())
        futures = [pings.sent(b"1"), pings.sent(b"2")]
        pings.end(ConnectionError)
        errors = [future.exception() for future in futures]
        assert [type(error) for error in errors] == [ConnectionError, ConnectionError]
        assert errors[0] is not errors[1]
        pings.answered(b"1")  # without effect

    asyncio.run(main())
