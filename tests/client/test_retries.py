"""Whether another attempt follows, and when: what the policy, the user and the server want."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from reactor import Backoff, WebSocketBadStatusException
from reactor.client.retries import BY_POLICY, Retries, asked_by

HERE = ("example.com", 80)


@dataclass
class Held:
    """Stands for a gate: what it has been asked to hold back."""

    calls: list[tuple[object, float, float]] = field(default_factory=list)

    def hold(self, address: object, seconds: float, spread: float) -> None:
        self.calls.append((address, seconds, spread))


def steady(**options: float) -> Retries:
    return Retries(Backoff.fixed(3, **options))  # type: ignore[arg-type]


class TestPolicy:
    def test_without_one_no_attempt_follows(self) -> None:
        retries = Retries(None)
        assert retries.next_delay(None, 0.0) is None
        assert retries.attempt == 0

    def test_it_says_how_long_to_wait_and_attempts_are_counted(self) -> None:
        retries = Retries(Backoff(first=1, factor=2, jitter=False))
        assert [retries.next_delay(None, 0.0) for _ in range(3)] == [1, 2, 4]
        assert retries.attempt == 3

    def test_it_may_have_an_end(self) -> None:
        retries = steady(max_attempts=1)
        assert retries.next_delay(None, 0.0) == 3
        assert retries.next_delay(None, 0.0) is None
        assert retries.attempt == 1

    @pytest.mark.parametrize(("open_for", "attempt"), [(59.0, 3), (60.0, 1)])
    def test_a_connection_that_was_stable_begins_the_count_anew(
        self, open_for: float, attempt: int
    ) -> None:
        retries = steady(reset_after=60)
        retries.attempt = 2
        retries.next_delay(open_for, 0.0)
        assert retries.attempt == attempt

    def test_after_the_end_for_good_there_is_none(self) -> None:
        retries = steady()
        retries.wish = 0.0
        retries.retire()
        assert not retries.wanted
        assert retries.next_delay(None, 0.0) is None


class TestWish:
    def test_it_comes_before_the_policy_once(self) -> None:
        retries = steady()
        retries.wish = 0.0
        assert retries.next_delay(None, 50.0) == 0
        assert retries.next_delay(None, 0.0) == 3
        assert retries.attempt == 2

    def test_it_needs_no_policy(self) -> None:
        retries = Retries(None)
        retries.wish = 7.0
        assert retries.next_delay(100.0, 0.0) == 7
        assert retries.next_delay(None, 0.0) is None

    def test_it_may_be_for_what_the_policy_says(self) -> None:
        retries = steady(max_attempts=1)
        retries.wish = BY_POLICY
        assert retries.next_delay(None, 0.0) == 3
        retries.wish = BY_POLICY
        assert retries.next_delay(None, 0.0) is None


class TestServer:
    def refusal(self, **headers: str) -> WebSocketBadStatusException:
        return WebSocketBadStatusException("refused", 503, "Service Unavailable", headers)

    def test_a_refusal_may_ask_for_a_wait(self) -> None:
        assert asked_by(self.refusal(**{"retry-after": "30"})) == 30
        assert asked_by(self.refusal()) == 0

    def test_nothing_else_does(self) -> None:
        assert asked_by(None) == 0
        assert asked_by(OSError("reset")) == 0

    def test_the_wait_is_not_shorter(self) -> None:
        retries = Retries(Backoff(first=1, jitter=False))
        assert retries.next_delay(None, 30.0) == 30
        assert retries.next_delay(None, 0.5) == 2

    def test_others_are_held_back_as_long_as_the_policy_grants(self) -> None:
        gate = Held()
        Retries(Backoff(cap=20)).hold_others_back(gate, HERE, 30.0)  # type: ignore[arg-type]
        steady(retry_after_cap=8).hold_others_back(gate, HERE, 30.0)  # type: ignore[arg-type]
        assert gate.calls == [(HERE, 20, 10), (HERE, 8, 0)]

    def test_so_they_are_without_a_policy(self) -> None:
        gate = Held()
        Retries(None).hold_others_back(gate, HERE, 30.0)  # type: ignore[arg-type]
        assert gate.calls == [(HERE, 30, 15)]

    def test_nobody_is_held_back_for_nothing(self) -> None:
        gate = Held()
        steady(retry_after_cap=0).hold_others_back(gate, HERE, 30.0)  # type: ignore[arg-type]
        assert gate.calls == []
