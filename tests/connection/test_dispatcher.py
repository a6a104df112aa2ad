"""The dispatcher alone: which handlers it calls, and what becomes of what they raise."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from reactor.connection.dispatcher import (
    Undelivered,
    call_handler,
    call_on_error,
    conclude,
    deliver,
    report,
)
from reactor.connection.phase import Phase
from reactor.exceptions import WebSocketProtocolException
from reactor.protocols.session import (
    Close,
    Data,
    Event,
    Failure,
    Ping,
    Pong,
    State,
    WebSocketSession,
)
from reactor.protocols.websocket import WebSocketProtocol

from ..support.scene import Actor

CLOSE = Close(1000, "bye")
FAILURE = Failure(WebSocketProtocolException("wrong"))


class Owner:
    """A connection as far as the dispatcher knows it; notes down in the order of the handlers."""

    def __init__(self, protocol: Actor) -> None:
        self.protocol: WebSocketProtocol = protocol
        self._actor = protocol
        self.session = WebSocketSession()
        self.session.opened()
        self.phase = Phase.ATTACHED

    def deliver_later(self, events: list[Event]) -> None:
        self._actor.events.append(("later", events))

    def pong_received(self) -> None:
        self._actor.events.append(("pong received",))

    def last_word(self, event: Close | Failure) -> None:
        self._actor.events.append(("last word", event))


@pytest.fixture
def actor() -> Actor:
    return Actor()


@pytest.fixture
def owner(actor: Actor) -> Owner:
    return Owner(actor)


def raise_(error: BaseException) -> Callable[[Any], None]:
    def action(_: Any) -> None:
        raise error

    return action


class TestDelivery:
    def test_the_handlers_are_called_in_the_order_of_the_events(
        self, owner: Owner, actor: Actor
    ) -> None:
        deliver(owner, ["text", Ping(b"1"), b"binary", Pong(b"2"), "more", CLOSE])
        assert actor.events == [
            ("message", "text"),
            ("ping", b"1"),
            ("message", b"binary"),
            ("pong received",),
            ("pong", b"2"),
            ("message", "more"),
            ("last word", CLOSE),
        ]

    def test_a_fault_comes_after_what_was_valid(self, owner: Owner, actor: Actor) -> None:
        deliver(owner, ["text", FAILURE])
        assert actor.events == [("message", "text"), ("last word", FAILURE)]

    def test_data_that_is_no_message_has_a_handler_of_its_own(
        self, owner: Owner, actor: Actor
    ) -> None:
        deliver(owner, [Data(1, "a", False), Data(0, "b", True), Data(1, b"c", True)])
        assert actor.events == [
            ("data", "a", 1, False),
            ("data", "b", 0, True),
            ("data", b"c", 1, True),
        ]

    def test_nothing_is_nothing(self, owner: Owner, actor: Actor) -> None:
        deliver(owner, [])
        assert actor.events == []

    @pytest.mark.parametrize("last", [CLOSE, FAILURE])
    @pytest.mark.parametrize("handler", ["message", "ping", "pong"])
    def test_who_closes_hears_of_nothing_but_the_end(
        self, owner: Owner, actor: Actor, handler: str, last: Close | Failure
    ) -> None:
        actor.actions[handler] = lambda _: owner.session.close()
        first: dict[str, Event] = {"message": "text", "ping": Ping(b""), "pong": Pong(b"")}
        deliver(owner, [first[handler], "text", b"binary", Ping(b""), Pong(b""), last])
        assert owner.session.state is State.CLOSING
        assert actor.events[-1] == ("last word", last)
        assert [name for name in actor.names if name != "pong received"] == [handler, "last word"]

    @pytest.mark.parametrize("last", [CLOSE, FAILURE])
    def test_who_aborts_hears_of_nothing_more(
        self, owner: Owner, actor: Actor, last: Close | Failure
    ) -> None:
        actor.actions["message"] = lambda _: owner.session.lost()
        deliver(owner, ["text", "text", Ping(b""), last])
        assert actor.names == ["message"]

    def test_a_handler_that_is_replaced_is_not_called_any_more(
        self, owner: Owner, actor: Actor
    ) -> None:
        later: list[str | bytes] = []

        def replace(protocol: Actor) -> None:
            protocol.on_message = later.append  # type: ignore[assignment,method-assign]

        actor.actions["message"] = replace
        deliver(owner, ["one", "two"])
        assert (actor.messages, later) == (["one"], ["two"])


class TestUndelivered:
    """What Ctrl-C has left of a read."""

    def test_it_is_delivered_when_the_loop_runs_again(self, owner: Owner, actor: Actor) -> None:
        undelivered = Undelivered(owner, ["text", CLOSE])
        assert actor.events == []
        undelivered.flush()
        assert actor.events == [("message", "text"), ("last word", CLOSE)]

    def test_not_to_a_connection_that_has_ended(self, owner: Owner, actor: Actor) -> None:
        undelivered = Undelivered(owner, ["text"])
        owner.phase = Phase.OVER
        undelivered.flush()
        assert actor.events == []

    def test_not_to_one_that_was_opened_again(self, owner: Owner, actor: Actor) -> None:
        undelivered = Undelivered(owner, ["text"])
        owner.session = WebSocketSession()
        owner.session.opened()
        undelivered.flush()
        assert actor.events == []


class TestErrors:
    @pytest.mark.parametrize("handler", ["message", "data", "ping", "pong"])
    def test_what_a_handler_raises_is_logged_and_reported_and_the_rest_delivered(
        self, owner: Owner, actor: Actor, handler: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        error = RuntimeError("oops")
        actor.actions[handler] = raise_(error)
        event: dict[str, Event] = {
            "message": "text", "data": Data(2, b"", True), "ping": Ping(b""), "pong": Pong(b"")
        }  # fmt: skip
        deliver(owner, [event[handler], b"next", CLOSE])
        events = [event for event in actor.events if event[0] != "pong received"]
        assert [event[0] for event in events[:2]] == [handler, "error"]
        assert actor.errors[0] is error
        assert actor.events[-1] == ("last word", CLOSE)
        assert actor.messages[-1] == b"next"
        record = caplog.records[0]
        assert (record.name, record.levelno) == ("reactor.connection", logging.ERROR)
        assert record.exc_info is not None
        assert record.exc_info[1] is error
        assert "in action" in caplog.text  # the traceback leads to the fault

    def test_each_of_several_errors_is_reported_once(
        self, owner: Owner, actor: Actor, caplog: pytest.LogCaptureFixture
    ) -> None:
        actor.actions["message"] = lambda self: raise_(RuntimeError(self.messages[-1]))(self)
        deliver(owner, ["1", "2", "3"])
        assert [str(error) for error in actor.errors] == ["1", "2", "3"]
        assert len(caplog.records) == 3

    def test_what_on_error_raises_is_only_logged(
        self, owner: Owner, actor: Actor, caplog: pytest.LogCaptureFixture
    ) -> None:
        actor.actions["message"] = raise_(RuntimeError("first"))
        actor.actions["error"] = raise_(RuntimeError("second"))
        deliver(owner, ["text", CLOSE])
        assert actor.names == ["message", "error", "last word"]
        assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == [
            "first",
            "second",
        ]

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
    @pytest.mark.parametrize("handler", ["message", "error"])
    def test_what_ends_the_program_passes_through(
        self,
        owner: Owner,
        actor: Actor,
        handler: str,
        error: BaseException,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        actor.actions["message"] = raise_(RuntimeError())
        actor.actions[handler] = raise_(error)
        with pytest.raises(type(error)) as caught:
            deliver(owner, ["text", "next", CLOSE])
        assert caught.value is error
        assert ("error" in actor.names) == (handler == "error")
        assert actor.messages == ["text"]
        assert actor.events[-1] == ("later", ["next", CLOSE])  # and nothing is lost


class TestSingleCalls:
    def test_a_handler_gets_its_arguments(self, actor: Actor) -> None:
        call_handler(actor, actor.on_close, 1000, "bye")
        assert actor.events == [("close", 1000, "bye")]

    def test_what_it_raises_is_logged_and_reported(
        self, actor: Actor, caplog: pytest.LogCaptureFixture
    ) -> None:
        error = RuntimeError("oops")
        actor.actions["open"] = raise_(error)
        call_handler(actor, actor.on_open)
        assert actor.events == [("open",), ("error", error)]
        assert "RuntimeError: oops" in caplog.text

    def test_what_ends_the_program_passes_through(self, actor: Actor) -> None:
        actor.actions["open"] = raise_(SystemExit())
        with pytest.raises(SystemExit):
            call_handler(actor, actor.on_open)
        assert actor.names == ["open"]

    def test_a_report_names_the_protocol_object(
        self, actor: Actor, caplog: pytest.LogCaptureFixture
    ) -> None:
        report(actor, RuntimeError("oops"))
        assert actor.names == ["error"]
        assert repr(actor) in caplog.text

    def test_what_is_repeated_is_counted_in_the_end(
        self, actor: Actor, caplog: pytest.LogCaptureFixture
    ) -> None:
        actor.actions["message"] = lambda self: raise_(RuntimeError("oops"))(self)
        conclude(actor)  # there was nothing
        for _ in range(3):
            call_handler(actor, actor.on_message, "text")
        conclude(actor)
        conclude(actor)
        first, last = (record.getMessage() for record in caplog.records)
        assert first == f"exception in a handler of {actor!r}"
        assert last == f"{first}: 2 more times RuntimeError: 'oops'"

    def test_an_error_of_the_connection_is_told_and_not_logged(
        self, actor: Actor, caplog: pytest.LogCaptureFixture
    ) -> None:
        error = RuntimeError("oops")
        call_on_error(actor, error)
        assert actor.errors == [error]
        assert not caplog.records
        actor.actions["error"] = raise_(ValueError("second"))
        call_on_error(actor, error)
        assert "ValueError: second" in caplog.text
