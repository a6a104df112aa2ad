"""The reconciler: compares what is wanted with what each link has, and says what to ask next.

What it is: a feed without its connections. It is told what the user wants, what happens to
links, what the service answers, and what time it is; it puts out batches of topics to be asked
for, and orders.

What it must not know: sockets, timers, the text of messages, handlers.

How it works. What is told moves legs through the table of lifecycle.py, and that is all: there
is no other memory of what was asked. From that follows what to ask on a link (batch.py). Whoever
drives this sends the batch, as fast as the pace allows, and says when it has been sent; answers
are due from then on. Placement is in pool.py, updates in sequences.py, silence in silence.py.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable
from math import inf

from ..events import Topic, TopicState, Update
from ..policy import Policy, Random
from .batch import Ask, Batch, Batches
from .board import Board, Order
from .lifecycle import Phase, Signal
from .pool import Pool
from .sequences import UNANSWERED, Sequences
from .silence import Silence
from .topic import (
    AGAIN,
    ALONE,
    FRESH,
    MISSED,
    RECOVERED,
    RESTART,
    UNBUILT,
    Farewell,
    Leg,
    Place,
    Record,
)

__all__ = ["Reconciler"]

#: Topics that have left a link and are remembered there, at most.
MAX_LEFT = 4096


class Reconciler:
    """See the module.

    Args:
        policy: what the feed was told about its service.
        resumes: whether topics with a last update are asked for in another way.
        random: returns an even random number from 0 up to 1.
    """

    def __init__(
        self, policy: Policy, resumes: bool = False, random: Random = random.random
    ) -> None:
        self.policy = policy
        self.board = Board(policy, random)
        self.pool = Pool(self.board)
        self.batches = Batches(self.board, self.pool, resumes)
        self.sequences = Sequences(self.board)
        self.silence = Silence(self.board, self.pool)
        self.sequences.confirm = self._heard
        self._random = random

    # -- what is wanted ----------------------------------------------------------------------

    def want(
        self,
        name: Topic,
        consumers: object,
        priority: float = 0,
        stale_after: float | None = None,
        now: float = 0.0,
    ) -> Record:
        """A topic has consumers: those given, which take the place of those that it had."""
        board = self.board
        record = board.topics.get(name)
        if record is None:
            record = board.new(name, priority)
        elif record.consumers is None or record.state is TopicState.REFUSED:
            record.priority = priority
        if record.consumers is None:
            board.wanted += 1
        record.consumers = consumers
        if stale_after is not None:
            record.stale_after = stale_after
        if record.extra is not None and record.extra.refusal is not None:
            record.extra = None  # a new subscribe() asks anew
        if record.state in (None, TopicState.ENDING, TopicState.REFUSED):
            self._begin(record, now)
        elif stale_after is not None:
            self.silence.look_again(record, now)
        board.refresh(record)
        return record

    def go_on_after(self, record: Record, last: Update) -> None:
        """A topic that was not asked for yet goes on after an update of an earlier run."""
        record.last = last
        record.hole = "reconnect"
        self.board.refresh(record)

    def _begin(self, record: Record, now: float) -> None:
        """A topic is wanted, and was not before."""
        kept = False
        for leg in record.legs:
            kept = self._keep(leg, now) or kept
        if not kept:
            record.forget_stream()
        for lane in self.pool.lanes:
            if not record.in_lane(lane):
                self.pool.new_leg(record, lane)
                self.pool.grow(lane)
                self.pool.fill(lane)

    def _keep(self, leg: Leg, now: float) -> bool:
        """A leg that is on its way out is wanted again; returns whether its stream goes on."""
        if leg.phase is Phase.ENDING:
            leg.flags = AGAIN  # after the answer, as a new stream
            return False
        self.board.step(leg, Signal.KEEP)
        place = leg.place
        assert place is not None
        place.parting.pop(leg.topic.name, None)
        missed = leg.flags & MISSED
        leg.flags = 0
        if leg.phase is Phase.ASKED:
            self._alarm(place, [leg], now + (self.policy.ack_timeout or 0.0))
        else:
            self.pool.live(leg)
        if place.retiring:
            if len(leg.topic.in_lane(leg.lane)) > 1:
                self.pool.await_successor(leg)
            else:
                self.pool.succeed(leg, place)
        return not missed and leg.phase is Phase.LIVE

    def unwant(self, name: Topic) -> None:
        """Nobody wants a topic any longer."""
        record = self.board.topics.get(name)
        if record is None or record.consumers is None:
            return
        record.consumers = None
        self.board.wanted -= 1
        self.sequences.forget(record)
        record.hole = record.extra = None
        for leg in record.legs:
            self._drop(leg)
        self.board.refresh(record)

    def _drop(self, leg: Leg) -> None:
        """A leg is not wanted any longer."""
        if leg.phase in (Phase.LEAVING, Phase.RECALLED, Phase.ENDING):  # on its way out already
            leg.flags &= ~(RESTART | AGAIN)
        else:
            self.board.step(leg, Signal.DROP)
            if leg.phase is Phase.GONE:
                self.pool.remove(leg)
                return
            self.pool.part(leg)
        assert leg.place is not None
        self.pool.arrived(leg.place, leg.topic.name)

    # -- links -------------------------------------------------------------------------------

    def opened(self, place: Place, now: float) -> None:
        """The link of a place is open, and logged in."""
        self.pool.open(place, now)

    def closed(self, place: Place, now: float) -> None:
        """The link of a place is gone."""
        for record in self.pool.lose(place, now):
            self.sequences.leg_lost(record, now)
            self.board.refresh(record)

    # -- what was asked ----------------------------------------------------------------------

    def sent(self, place: Place, batch: Batch, now: float) -> None:
        """A batch has been sent: the service has ``ack_timeout`` from now on."""
        timeout = self.policy.ack_timeout
        # Those apart whose link is gone, or whose answer was faster.
        legs = [leg for leg in batch.legs if leg.place is place and leg.due == inf]
        if timeout is not None:
            self._alarm(place, legs, now + timeout)
            return
        for leg in legs:
            if leg.phase is Phase.ASKED:
                self.board.step(leg, Signal.ACK)
                self._live(leg, now)
            else:
                self.board.step(leg, Signal.TIMEOUT)
                self._gone(leg, now, forgive=False)
            self.board.refresh(leg.topic)

    def unsaid(self, place: Place, batch: Batch, now: float) -> None:
        """There is nothing to say for a batch: what is to be ended is over."""
        if batch.ask is not Ask.UNSUBSCRIBE:
            self.sent(place, batch, now)
            return
        for leg in batch.legs:
            if leg.place is place:
                self.board.step(leg, Signal.TIMEOUT)
                self._gone(leg, now, forgive=False)
                self.board.refresh(leg.topic)

    def not_sent(self, place: Place, batch: Batch, now: float) -> None:
        """The message for a batch could not be built: it is asked for later."""
        for leg in batch.legs:
            if leg.place is not place:
                continue
            if leg.phase is Phase.ASKED:
                self.board.step(leg, Signal.RETRY)
                leg.flags |= UNBUILT
                if not self._later(leg, now):
                    self._refused_for_good(leg, leg.topic, "not asked for")
            else:
                self._alarm(place, [leg], now + (self.policy.ack_timeout or UNANSWERED))
            self.board.refresh(leg.topic)

    def _alarm(self, place: Place, legs: list[Leg], due: float) -> None:
        """The phases of some legs end by themselves, then."""
        for leg in legs:
            leg.due = due
        heapq.heappush(place.alarms, (due, legs))
        self.board.tell(Order.WAKE, place)

    def _later(self, leg: Leg, now: float) -> bool:
        """Have a leg asked for again; returns whether there is another attempt."""
        delay = self.policy.ask_again.delay(leg.tries, self._random)
        leg.tries += 1
        if delay is None:
            return False
        assert leg.place is not None
        self._alarm(leg.place, [leg], now + delay)
        return True

    # -- what the service answers ------------------------------------------------------------

    def subscribed(self, place: Place, names: Iterable[Topic], recovered: bool, now: float) -> None:
        """The service has confirmed topics."""
        for name in names:
            leg = self._leg(place, name)
            if leg is None or not self.board.step(leg, Signal.ACK):
                continue
            if leg.phase is Phase.LIVE:
                if recovered:
                    leg.flags |= RECOVERED
                self._live(leg, now)
            self.board.refresh(leg.topic)

    def _leg(self, place: Place, name: Topic) -> Leg | None:
        leg = place.legs.get(name)
        if leg is None:
            self.board.counts["ignored"] += 1
        return leg

    def _live(self, leg: Leg, now: float) -> None:
        """A leg is LIVE; its topic is to be refreshed then."""
        leg.due, leg.tries, leg.heard = 0.0, 0, now
        leg.flags = (leg.flags & ~ALONE) | FRESH
        self.silence.watch(leg)
        self.pool.live(leg)

    def _heard(self, leg: Leg, now: float) -> None:
        """Updates have come where a confirmation is overdue: they are one."""
        self.board.step(leg, Signal.HEARD)
        self._live(leg, now)
        self.board.tell(Order.WAKE, leg.place)

    def refused(
        self, place: Place, names: tuple[Topic, ...], reason: object, retry: bool, now: float
    ) -> None:
        """The service has refused topics."""
        for name in names:
            leg = self._leg(place, name)
            if leg is None:
                continue
            record, final = leg.topic, not retry
            alone = len(names) == 1 or bool(leg.flags & ALONE)
            believed = final and alone and not record.live(but=leg)
            if not self.board.step(leg, Signal.FINAL if believed else Signal.RETRY):
                continue
            if leg.phase is Phase.GONE:
                self._refused_for_good(leg, record, reason)
            elif final and not alone:  # which of them is meant?
                leg.flags |= ALONE
                self.pool.enqueue(leg, place)
            elif self._later(leg, now):
                self.board.tell(Order.REFUSED, name, reason, False)
            else:
                self._refused_for_good(leg, record, reason)
            self.board.refresh(record)

    def _refused_for_good(self, leg: Leg, record: Record, reason: object) -> None:
        self.pool.remove(leg)
        if not record.wanted or record.state is TopicState.REFUSED:
            return
        record.forget_stream()
        record.rare.refusal = reason
        for other in record.legs:
            self._drop(other)
        self.board.tell(Order.REFUSED, record.name, reason, True)

    def unsubscribed(self, place: Place, names: Iterable[Topic], now: float) -> None:
        """The service says that topics are not subscribed."""
        for name in names:
            leg = place.legs.get(name)
            if leg is None or leg.phase in (Phase.LIVE, Phase.ASKED, Phase.OVERDUE):
                farewell = place.left.get(name)
                if farewell is not None and farewell.forgive:
                    farewell.forgive = False  # the late answer to an earlier question
                    self.board.counts["ignored"] += 1
                    continue
            if leg is None or not self.board.step(leg, Signal.OFF):
                self.board.counts["ignored"] += leg is None
                continue
            if leg.phase is Phase.QUEUED:  # nobody asked for that
                self.board.lost_stream(leg.topic, "resubscribe")
                self.board.counts["resubscribed"] += 1
                self.sequences.leg_lost(leg.topic, now)
                self.pool.once_more(leg, place)
            else:
                self._gone(leg, now, forgive=False)
            self.board.refresh(leg.topic)

    def _gone(self, leg: Leg, now: float, forgive: bool) -> None:
        """An unsubscription is over; the topic of the leg is to be refreshed then."""
        place, record, flags = leg.place, leg.topic, leg.flags
        assert place is not None
        place.parting.pop(record.name, None)
        repeat_at = now + (self.policy.ack_timeout or UNANSWERED)
        if not flags & (RESTART | AGAIN) or forgive:
            place.left.pop(record.name, None)
            place.left[record.name] = Farewell(forgive, repeat_at)
            if len(place.left) > MAX_LEFT:
                del place.left[next(iter(place.left))]
        leg.flags = 0
        if not record.wanted or not flags & (RESTART | AGAIN):
            self.pool.remove(leg)
            return
        leg.phase = Phase.QUEUED
        self.board.counts["resubscribed"] += 1
        self.pool.once_more(leg, place)

    def ended(self, place: Place, names: Iterable[Topic], reason: object, now: float) -> None:
        """The service has ended topics: nobody is to ask for them again."""
        # All legs first: what comes to the link in the place of one is not meant.
        for leg in [leg for leg in [self._leg(place, name) for name in names] if leg is not None]:
            name, record, consumers = leg.topic.name, leg.topic, leg.topic.consumers
            leg.flags = 0
            self._gone(leg, now, forgive=False)
            if consumers is not None:
                self.unwant(name)
                self.board.tell(Order.ENDED, name, reason, consumers)
            else:
                self.board.refresh(record)

    def update(self, place: Place, update: Update, now: float) -> None:
        """An update has come by a link that the short way does not take."""
        leg = place.legs.get(update.topic)
        if leg is not None:
            self.sequences.take(leg, update, now)
        else:
            self.sequences.stray(place, update, now)

    # -- time --------------------------------------------------------------------------------

    def tick(self, place: Place, now: float) -> None:
        """Do what is due on a place, silence apart: see silence.py."""
        alarms = place.alarms
        while alarms and alarms[0][0] <= now:
            due, legs = heapq.heappop(alarms)
            for leg in legs:
                if leg.place is place and leg.due == due:
                    self._timeout(leg, place, now)
                    self.board.refresh(leg.topic)
        self.pool.tick(place, now)

    def _timeout(self, leg: Leg, place: Place, now: float) -> None:
        phase = leg.phase
        if phase is Phase.ENDING:
            self.board.step(leg, Signal.TIMEOUT)
            self._gone(leg, now, forgive=True)
        elif phase is Phase.ASKED:
            if leg.heard > -inf:  # since it was asked for
                self._heard(leg, leg.heard)
                return
            self.board.step(leg, Signal.TIMEOUT)
            self.board.counts["unanswered"] += 1
            if not self._later(leg, now):
                self._refused_for_good(leg, leg.topic, "not confirmed")
        else:  # it is to be asked for again
            self.pool.enqueue(leg, place)

    def tick_all(self, now: float) -> None:
        """Do what is due that belongs to no place."""
        self.sequences.tick(now)
        self.pool.merge(now)

    def due(self) -> float:
        """Return when :meth:`tick_all` has something to do, in seconds of the loop's clock."""
        return min(self.sequences.due(), self.pool.merge_due())
