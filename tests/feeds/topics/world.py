"""A reconciler, and services that a test makes behave as badly as it likes. Time is a number."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from reactor.feeds.events import Gap, TopicState, Update
from reactor.feeds.feed import Feed
from reactor.feeds.policy import Policy
from reactor.feeds.topics.batch import Ask, Batch
from reactor.feeds.topics.board import Order
from reactor.feeds.topics.lifecycle import Phase
from reactor.feeds.topics.reconciler import Reconciler
from reactor.feeds.topics.topic import Lane, Place
from reactor.timers import Backoff

#: Waits that are not drawn at random.
FIXED = Backoff(first=1.0, factor=2.0, cap=60.0, jitter=False)


@dataclass
class Answer:
    """Something that the service has to say about topics."""

    kind: str  # "subscribed", "unsubscribed", "refused", "final"
    topics: tuple[str, ...]


@dataclass
class Connection:
    """The service's side of one link."""

    subscribed: set[str] = field(default_factory=set)
    answers: list[Answer] = field(default_factory=list)
    given: list[Answer] = field(default_factory=list)
    asked: list[Batch] = field(default_factory=list)


class World:
    """Drives a reconciler as link.py does, without links.

    Attributes:
        told: orders that are for the user, in order.
        connections: by place, those that are open.
        refuse: topics that are refused for now; with ``final``, for good.
        unbuildable: topics for which no message can be made.
        saying: whether there is something to say at all; False: builders return nothing.
    """

    def __init__(
        self, seed: int = 0, resumes: bool = False, saying: bool = True, **policy: Any
    ) -> None:
        self.now = 1000.0
        knobs = replace(Policy.of(Feed), **policy)
        self.core = Reconciler(knobs, resumes, random.Random(seed).random)
        self.connections: dict[Place, Connection] = {}
        self.places: list[Place] = []
        self.told: list[tuple[Any, ...]] = []
        self.refuse: set[str] = set()
        self.final: set[str] = set()
        self.unbuildable: set[str] = set()
        self.saying = saying
        self.mute = False  # no answers at all
        self.held = False  # answers wait until they are given
        self.blocked = False  # links do not open
        self.automatic = True  # links open by themselves
        self.sequence: dict[str, int] = {}
        self.wanted: set[str] = set()

    # -- the user ------------------------------------------------------------------------

    def subscribe(self, *names: str, **options: Any) -> None:
        for name in names:
            self.core.want(name, object(), now=self.now, **options)
            self.wanted.add(name)
        self.run()

    def unsubscribe(self, *names: str) -> None:
        for name in names:
            self.core.unwant(name)
            self.wanted.discard(name)
        self.run()

    def of(self, order: Order) -> list[tuple[Any, ...]]:
        """What was told of one kind."""
        return [each[1:] for each in self.told if each[0] is order]

    @property
    def gaps(self) -> list[tuple[str, str]]:
        return [(name, gap.reason) for name, gap in self.of(Order.GAP)]

    @property
    def last_gap(self) -> Gap:
        gap: Gap = self.of(Order.GAP)[-1][1]
        return gap

    @property
    def delivered(self) -> list[Any]:
        return [update.data for _, update in self.of(Order.DELIVER)]

    def state(self, name: str) -> str | None:
        record = self.core.board.topics.get(name)
        return None if record is None else str(record.state)

    # -- the network ---------------------------------------------------------------------

    def open(self, place: Place) -> Connection:
        connection = self.connections[place] = Connection()
        self.core.opened(place, self.now)
        self.run()
        return connection

    def kill(self, place: Place) -> None:
        self.connections.pop(place, None)
        if place.retiring:
            self.places.remove(place)
        self.core.closed(place, self.now)
        self.run()

    def run(self) -> None:
        """Carry out orders, and send what is to be asked."""
        again = True
        while again:
            again = False
            while self.core.board.orders:
                self._carry_out(*self.core.board.orders.popleft())
                again = True
            for place, connection in list(self.connections.items()):
                batch = self.core.batches.take(place)
                if batch is not None:
                    again = True
                    self._send(place, connection, batch)
        self.check()

    def _send(self, place: Place, connection: Connection, batch: Batch) -> None:
        if self.unbuildable.intersection(batch.topics):
            self.core.not_sent(place, batch, self.now)
            return
        (self.core.sent if self.saying else self.core.unsaid)(place, batch, self.now)
        self._receive(connection, batch)

    def _carry_out(self, order: Order, *what: Any) -> None:
        if order is Order.OPEN:
            lane: Lane = what[0]
            place = Place(lane, self.core.policy.topics_per_link)
            self.core.pool.add(place)
            self.places.append(place)
            if self.automatic and not self.blocked:
                self.connections[place] = Connection()
                self.core.opened(place, self.now)
        elif order is Order.CLOSE:
            place = what[0]
            self.places.remove(place)
            self.connections.pop(place, None)
            self.core.closed(place, self.now)
        elif order is not Order.WAKE:
            if order is Order.DELIVER:
                assert what[0].wanted, "an update of a topic that nobody wants"
            self.told.append((order, *what))

    # -- the service ---------------------------------------------------------------------

    def _receive(self, connection: Connection, batch: Batch) -> None:
        connection.asked.append(batch)
        names = tuple(str(name) for name in batch.topics)
        if batch.ask is Ask.UNSUBSCRIBE:
            connection.subscribed -= set(names)
            connection.answers.append(Answer("unsubscribed", names))
        else:
            for kind, chosen in (("refused", self.refuse), ("final", self.final)):
                some = tuple(name for name in names if name in chosen)
                if some:
                    connection.answers.append(Answer(kind, some))
            good = tuple(name for name in names if name not in self.refuse | self.final)
            connection.subscribed |= set(good)
            if good:
                connection.answers.append(Answer("subscribed", good))
        if self.mute:
            connection.answers.clear()

    def answer(self, place: Place, index: int = 0, keep: bool = False) -> None:
        """Give one of the answers that wait."""
        connection = self.connections[place]
        answer = connection.answers[index]
        if not keep:
            del connection.answers[index]
        connection.given.append(answer)
        self.give(place, answer)

    def give(self, place: Place, answer: Answer) -> None:
        core, names = self.core, answer.topics
        if answer.kind == "subscribed":
            core.subscribed(place, names, False, self.now)
        elif answer.kind == "unsubscribed":
            core.unsubscribed(place, names, self.now)
        else:
            core.refused(place, names, "no", answer.kind == "refused", self.now)
        self.run()

    def answer_all(self) -> None:
        for place in list(self.connections):
            while place in self.connections and self.connections[place].answers:
                self.answer(place)

    def update(self, place: Place, name: str, sequence: int | None = None, **more: Any) -> None:
        self.core.update(place, Update(name, sequence, sequence, **more), self.now)
        self.run()

    def publish(self, names: Iterable[str] | None = None) -> None:
        """One update of each topic, or of these, on every connection that has it."""
        for name in sorted(self.wanted | set(self.sequence)) if names is None else names:
            self.sequence[name] = self.sequence.get(name, 0) + 1
            for place, connection in list(self.connections.items()):
                if name in connection.subscribed:
                    self.update(place, name, self.sequence[name])

    # -- time ----------------------------------------------------------------------------

    def advance(self, seconds: float, step: float = 0.25) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + step)
            self.tick()

    def tick(self) -> None:
        for place in list(self.connections):
            if place in self.connections:
                self._do_what_is_due(place.due(), lambda place=place: self._tick(place))  # type: ignore[misc]
        self._do_what_is_due(self.core.due(), lambda: self.core.tick_all(self.now))
        self.run()
        if not self.held:
            self.answer_all()

    def _tick(self, place: Place) -> None:
        self.core.tick(place, self.now)
        if self.now >= place.scan_due and self.core.silence.suspects(place, self.now):
            self.core.silence.scan(place, self.now)

    def _do_what_is_due(self, due: float, tick: Callable[[], None]) -> None:
        """Before something is due, there is nothing to do."""
        orders = len(self.core.board.orders)
        tick()
        assert self.now >= due or len(self.core.board.orders) == orders

    # -- what must always hold -----------------------------------------------------------

    def check(self) -> None:
        for place, connection in self.connections.items():
            assert len(place.legs) <= place.size
            assert len(connection.subscribed) <= place.size
        board = self.core.board
        assert board.wanted == len(self.wanted)
        unsettled = sum(self.state(name) in ("WANTED", "ASKED", "STALE") for name in self.wanted)
        assert board.unsettled == unsettled
        for lane in self.core.pool.lanes:
            legs = [
                leg
                for record in board.topics.values()
                for leg in record.legs
                if leg.lane is lane and not (leg.place and leg.place.retiring)
            ]
            assert lane.load == len(legs)
        for record in board.topics.values():
            if any(leg.phase is Phase.LIVE for leg in record.legs):
                assert record.wanted
                assert record.state is not TopicState.REFUSED

    def is_settled(self) -> bool:
        """Whether :meth:`check_settled` would find nothing."""
        try:
            self.check_settled()
        except AssertionError:
            return False
        return not any(place.retiring for place in self.places)

    def check_settled(self) -> None:
        """Exactly the wanted topics are live, each on exactly ``redundancy`` links."""
        assert self.core.board.unsettled == 0
        assert set(self.core.board.topics) == self.wanted
        places = dict.fromkeys(self.wanted, 0)
        for connection in self.connections.values():
            for name in connection.subscribed:
                assert name in self.wanted, f"{name} is subscribed and not wanted"
                places[name] += 1
        for name, count in places.items():
            assert count == self.core.policy.redundancy, f"{name} is on {count} links"
            assert self.state(name) == "LIVE"


def world(**options: Any) -> World:
    """A world in which nothing is silent or old."""
    options.setdefault("ask_again", FIXED)
    options.setdefault("stale_after", None)
    options.setdefault("max_link_age", None)
    return World(**options)


def live(*names: str, **options: Any) -> World:
    """A world in which these topics are live on one link."""
    made = world(**options)
    made.subscribe(*names)
    made.answer_all()
    assert {made.state(name) for name in names} == {"LIVE"}
    made.told.clear()
    made.held = True
    return made


def asked(world: World, ask: Ask = Ask.SUBSCRIBE) -> list[list[Any]]:
    """The topics of each message of a kind, over all connections."""
    return [
        batch.topics
        for connection in world.connections.values()
        for batch in connection.asked
        if batch.ask is ask
    ]
