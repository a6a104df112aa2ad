"""Questions on a link: which reply a message is for, and what becomes of those without one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reactor import Reactor, WebSocketConnectionClosedException, WebSocketTimeoutException
from reactor.feeds.links.requests import Replies, Reply, run
from reactor.hosting.asyncio import asyncio_host

from ...support.driving import run_until


class Case:
    """Replies that are awaited, and what has become of each."""

    def __init__(self) -> None:
        self.blamed: list[Any] = []
        self.ends: dict[str, Any] = {}
        self.replies = Replies(lambda *what: self.blamed.append(what))

    def ask(self, name: str, match: Any, due: float = 10.0) -> None:
        reply = Reply(match, due)
        self.replies.add(reply)

        async def wait() -> Any:
            return await reply

        coroutine = wait()
        coroutine.send(None)

        def go_on() -> None:
            try:
                coroutine.send(None)
            except StopIteration as stop:
                self.ends[name] = stop.value
            except Exception as exc:
                self.ends[name] = type(exc)

        reply.when_given(go_on)


@pytest.fixture
def case() -> Case:
    return Case()


def test_a_message_goes_to_the_first_that_it_matches(case: Case) -> None:
    case.ask("a", lambda message: message == "A")
    case.ask("any", lambda message: True)
    case.ask("too late", lambda message: True)
    assert case.replies.take("B")
    assert case.replies.take("A")
    assert case.ends == {"any": "B", "a": "A"}
    assert len(case.replies) == 1


def test_others_are_for_parse(case: Case) -> None:
    case.ask("a", lambda message: message == "A")
    assert not case.replies.take("B")
    assert case.ends == {}


def test_a_match_that_raises_is_blamed_and_the_next_one_is_asked(case: Case) -> None:
    error = ValueError("on purpose")

    def wrong(message: str) -> bool:
        raise error

    case.ask("wrong", wrong)
    case.ask("right", lambda message: True)
    assert case.replies.take("A")
    assert case.blamed == [(error, "match of a request", "A")]
    assert case.ends == {"right": "A"}


def test_what_is_overdue_is_given_up(case: Case) -> None:
    assert case.replies.due() == float("inf")
    case.ask("later", bool, due=12.0)
    case.ask("sooner", bool, due=11.0)
    assert case.replies.due() == 11.0
    case.replies.expire(10.9)
    assert case.ends == {}
    case.replies.expire(11.0)
    assert case.ends == {"sooner": WebSocketTimeoutException}
    assert case.replies.due() == 12.0


def test_a_link_that_is_closed_answers_nothing(case: Case) -> None:
    case.ask("a", bool)
    case.ask("b", bool)
    case.replies.give_up()
    assert set(case.ends.values()) == {WebSocketConnectionClosedException}
    assert len(case.replies) == 0


def test_a_coroutine_begins_soon_goes_on_with_its_answer_and_tells_its_end() -> None:
    ends: list[Any] = []
    replies = Replies(lambda *what: None)
    reply = Reply(bool, 10.0)
    replies.add(reply)

    async def log_in() -> str:
        return f"{await reply} it is"

    with Reactor() as loop:
        run(loop.loop, log_in(), lambda *end: ends.append(end), ends.append)
        assert not reply.awaited
        run_until(loop, lambda: reply.awaited)
        assert ends == []
        replies.take("yes")
        run_until(loop, lambda: ends)
    assert ends == [("yes it is", None)]


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_passes_and_the_end_of_the_coroutine_is_told(
    end: type[BaseException],
) -> None:
    ends: list[Any] = []

    async def log_in() -> None:
        raise end

    with Reactor() as loop:
        run(loop.loop, log_in(), lambda *told: ends.append(told), ends.append)
        with pytest.raises(end):
            run_until(loop, lambda: ends)
    ((result, error),) = ends
    assert result is None
    assert "it was interrupted" in str(error)


def test_in_a_host_with_tasks_a_coroutine_is_one_of_them() -> None:
    """So it may await whatever the host has."""

    async def log_in() -> str:
        await asyncio.sleep(0)
        return "logged in"

    async def main() -> Any:
        async with asyncio_host() as host:
            end = asyncio.get_running_loop().create_future()
            run(host.loop, log_in(), lambda *told: end.set_result(told), end.set_exception)
            return await end

    assert asyncio.run(main()) == ("logged in", None)
