"""Rule 1: whatever a service and the network do, the wanted topics end up live, and no others."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from reactor.feeds.topics.board import Order
from reactor.timers import Backoff

from .world import Answer, World

NAMES = [f"T{index}" for index in range(7)]
names = st.sampled_from(NAMES)
index = st.integers(0, 30)


class HostileService(RuleBasedStateMachine):
    """Everything may happen, in any order; then the service behaves, and all must be well."""

    @initialize(
        seed=st.integers(0, 1000),
        redundancy=st.integers(1, 3),
        size=st.sampled_from([None, 1, 2, 3, 5]),
        per_message=st.sampled_from([None, 1, 2, 4]),
        ack_timeout=st.sampled_from([5.0, 5.0, None]),
        sequences=st.sampled_from(["contiguous", "increasing"]),
    )
    def begin(
        self,
        seed: int,
        redundancy: int,
        size: int | None,
        per_message: int | None,
        ack_timeout: float | None,
        sequences: str,
    ) -> None:
        self.world = World(
            seed,
            redundancy=redundancy,
            topics_per_link=size,
            topics_per_message=per_message,
            ack_timeout=ack_timeout,
            sequences=sequences,
            ask_again=Backoff(first=0.5, cap=4.0),
            stale_after=20.0,
            max_link_age=300.0,
        )
        self.world.held = True

    @rule(name=names)
    def subscribe(self, name: str) -> None:
        self.world.subscribe(name)

    @rule(name=names)
    def unsubscribe(self, name: str) -> None:
        self.world.unsubscribe(name)

    @rule(name=names, times=st.integers(1, 5))
    def change_ones_mind(self, name: str, times: int) -> None:
        for _ in range(times):
            self.world.core.unwant(name)
            self.world.core.want(name, object(), now=self.world.now)
        self.world.wanted.add(name)
        self.world.run()

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 25.0]))
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds, step=max(0.1, seconds / 10))

    def connection(self, index: int) -> Any:
        places = [place for place in self.world.places if place in self.world.connections]
        return places[index % len(places)] if places else None

    @rule(index=index)
    def kill(self, index: int) -> None:
        place = self.connection(index)
        if place is not None:
            self.world.kill(place)

    @rule()
    def kill_all(self) -> None:
        for place in list(self.world.connections):
            if place in self.world.connections:
                self.world.kill(place)

    @rule(blocked=st.booleans())
    def block(self, blocked: bool) -> None:
        self.world.blocked = blocked

    @rule(index=index)
    def reconnect(self, index: int) -> None:
        closed = [place for place in self.world.places if place not in self.world.connections]
        if closed:
            self.world.open(closed[index % len(closed)])

    @rule(which=index, index=index, keep=st.booleans())
    def answer(self, which: int, index: int, keep: bool) -> None:
        place = self.connection(which)
        if place is not None and self.world.connections[place].answers:
            count = len(self.world.connections[place].answers)
            self.world.answer(place, index % count, keep)

    @rule(which=index)
    def lose_answers(self, which: int) -> None:
        place = self.connection(which)
        if place is not None:
            self.world.connections[place].answers.clear()

    @rule(which=index, index=index)
    def repeat_an_old_answer(self, which: int, index: int) -> None:
        place = self.connection(which)
        if place is not None and self.world.connections[place].given:
            given_answers = self.world.connections[place].given
            self.world.give(place, given_answers[index % len(given_answers)])

    @rule(which=index, name=names, kind=st.sampled_from(["subscribed", "unsubscribed", "refused"]))
    def say_something_untrue(self, which: int, name: str, kind: str) -> None:
        place = self.connection(which)
        if place is not None:
            self.world.give(place, Answer(kind, (name,)))

    @rule(which=index, name=names)
    def end_one_side(self, which: int, name: str) -> None:
        place = self.connection(which)
        if place is not None:
            self.world.connections[place].subscribed.discard(name)
            self.world.give(place, Answer("unsubscribed", (name,)))

    @rule(which=index, names=st.sets(names, max_size=3))
    def end_for_good(self, which: int, names: set[str]) -> None:
        place = self.connection(which)
        if place is not None:
            known = {name for name in names if name in place.legs}
            for connection in self.world.connections.values():
                connection.subscribed -= known
            self.world.wanted -= known
            self.world.core.ended(place, names, "delisted", self.world.now)
            self.world.run()

    @rule(names=st.sets(names, max_size=3))
    def refuse_for_now(self, names: set[str]) -> None:
        self.world.refuse = names

    @rule()
    def publish(self) -> None:
        self.world.publish()

    @rule(index=index)
    def replace_a_link(self, index: int) -> None:
        place = self.connection(index)
        if place is not None:
            self.world.core.pool.retire(place, self.world.now)
            self.world.run()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.held = world.blocked = False
        world.refuse = set()
        for _ in range(400):
            for place in list(world.places):
                if place not in world.connections:
                    world.open(place)
            world.advance(2.0, step=2.0)
            world.publish()
            if world.is_settled():
                break
        world.check_settled()
        assert not any(place.retiring for place in world.places)
        told = len(world.told)
        for _ in range(5):  # and so it stays
            world.publish()
            world.advance(2.0, step=2.0)
            assert world.core.board.unsettled == 0
        assert {each[0] for each in world.told[told:]} <= {Order.DELIVER}


TestHostileService = HostileService.TestCase
TestHostileService.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@settings(max_examples=200, derandomize=True, database=None)
@given(st.lists(st.tuples(st.booleans(), names), max_size=60), st.integers(1, 3))
def test_what_is_wanted_while_nothing_is_connected_is_asked_for_once_something_is(
    changes: list[tuple[bool, str]], redundancy: int
) -> None:
    world = World(redundancy=redundancy, topics_per_link=3)
    world.blocked = True
    for wanted, name in changes:
        (world.subscribe if wanted else world.unsubscribe)(name)
    world.blocked = False
    for place in list(world.places):
        if place not in world.connections:
            world.open(place)
    world.answer_all()
    world.check_settled()
    asked = [
        (id(connection), name)
        for connection in world.connections.values()
        for batch in connection.asked
        for name in batch.topics
    ]
    assert len(asked) == len(set(asked)), "asked for twice"
