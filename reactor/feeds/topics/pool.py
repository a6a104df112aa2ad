"""The pool: which topic is on which link, and how many links there are.

What it is: placement. Topics that have no link wait in their lane; links with room take them,
in the order of priority and age. Links that are old, or not needed, are replaced: make before
break.

What it must not know: messages, answers, updates.

How it works. Every topic has a leg in each lane, so its links are always different ones. The
load of a lane is the number of its legs, those apart whose link is being replaced; it says how
many places the lane needs. A place that is *retiring* takes no topic; each of its live legs
gets a successor that is placed as any other leg, and when all of those are live, the place is
closed.
"""

from __future__ import annotations

import heapq
import math

from .board import Board, Order
from .lifecycle import ASKABLE, Phase
from .topic import AGAIN, RESTART, Lane, Leg, Place, Record

__all__ = ["LINGER", "MERGE_AFTER", "Pool"]

#: Seconds that a replaced link lives on, for what is on its way; at most a twentieth of its age.
LINGER = 0.5

#: Seconds between the merging of one link that is not needed and that of the next.
MERGE_AFTER = 10.0

#: A link is replaced when this share of its age is reached, at random between the two.
OLD = (0.75, 0.9)


class Pool:
    """See the module.

    Args:
        board: what is known of all topics.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        policy = board.policy
        limit, count = policy.max_links, policy.redundancy
        self.lanes = [
            Lane(index, None if limit is None else (limit + count - 1 - index) // count)
            for index in range(count)
        ]

    # -- legs --------------------------------------------------------------------------------

    def new_leg(self, record: Record, lane: Lane) -> Leg:
        """Give a topic a leg, which waits for a link with room."""
        leg = Leg(record, lane)
        record.add(leg)
        lane.load += 1
        self._homeless(leg)
        return leg

    def _homeless(self, leg: Leg) -> None:
        leg.place, leg.phase, leg.due = None, Phase.QUEUED, 0.0
        leg.flags, leg.tries, leg.position, leg.fast = 0, 0, None, None
        heapq.heappush(leg.lane.homeless, leg)

    def remove(self, leg: Leg) -> None:
        """A leg is over."""
        place = leg.place
        if place is not None:
            self._detach(leg, place)
        if place is None or not place.retiring:
            leg.lane.load -= 1
        leg.phase = Phase.GONE
        leg.fast = None
        leg.topic.remove(leg)
        if place is not None:
            self.fill(leg.lane)
        self._tell_if_overfull(leg.lane)
        self._plan_merge(leg.lane)

    def _attach(self, leg: Leg, place: Place) -> None:
        leg.place = place
        place.legs[leg.topic.name] = leg
        place.again.pop(leg.topic.name, None)  # it is wanted here again
        self.enqueue(leg, place)
        if place.room <= 0:
            place.lane.roomy.pop(place, None)

    def _detach(self, leg: Leg, place: Place) -> None:
        name = leg.topic.name
        place.legs.pop(name, None)
        place.parting.pop(name, None)
        self.arrived(place, name)
        leg.place = None
        if place.room > 0:
            place.lane.roomy[place] = None

    def enqueue(self, leg: Leg, place: Place) -> None:
        """A leg is to be asked for, now."""
        leg.due = 0.0
        heapq.heappush(place.queue, leg)
        self._board.tell(Order.WAKE, place)

    def part(self, leg: Leg) -> None:
        """A leg is LEAVING or RECALLED: the service is to be told, now."""
        place = leg.place
        assert place is not None
        leg.due = 0.0
        place.parting[leg.topic.name] = leg
        self._board.tell(Order.WAKE, place)

    def next_to_ask(self, place: Place) -> Leg | None:
        """Return the leg that is to be asked for next; it stays where it is."""
        queue = place.queue
        while queue:
            leg = queue[0]
            if leg.place is place and leg.phase in ASKABLE and leg.due == 0.0:
                return leg
            heapq.heappop(queue)
        return None

    def once_more(self, leg: Leg, place: Place) -> None:
        """A leg is QUEUED again, on the same link unless that is being replaced."""
        if not place.retiring:
            self.enqueue(leg, place)
            return
        self.remove(leg)
        if not leg.topic.in_lane(leg.lane):
            self.new_leg(leg.topic, leg.lane)
            self.grow(leg.lane)
            self.fill(leg.lane)

    # -- how many places ---------------------------------------------------------------------

    def grow(self, lane: Lane) -> None:
        """Ask for as many places as the lane needs."""
        while len(lane.places) + lane.opening < min(self._needed(lane), lane.limit):
            lane.opening += 1
            self._board.tell(Order.OPEN, lane)
        self._tell_if_overfull(lane)

    def _needed(self, lane: Lane) -> int:
        """How many places the topics of a lane need."""
        size = self._board.policy.topics_per_link
        return min(lane.load, 1) if size is None else math.ceil(lane.load / size)

    def _tell_if_overfull(self, lane: Lane) -> None:
        """Tell how many topics wait because no more links are allowed: once, until all have one."""
        overfull, size = self._needed(lane) > lane.limit, self._board.policy.topics_per_link
        if overfull and not lane.overfull and size is not None:
            self._board.tell(Order.OVERFULL, lane.load - int(lane.limit) * size)
        lane.overfull = overfull

    def fill(self, lane: Lane) -> None:
        """Give homeless legs to places with room."""
        homeless, roomy = lane.homeless, lane.roomy
        while homeless and roomy:
            leg = heapq.heappop(homeless)
            if leg.phase is Phase.QUEUED and leg.place is None:
                self._attach(leg, next(iter(roomy)))

    def add(self, place: Place) -> None:
        """A place that was asked for is there; its link is not open yet."""
        place.lane.places.append(place)
        place.lane.opening -= 1

    def open(self, place: Place, now: float) -> None:
        """The link of a place is open, and logged in."""
        place.ready = True
        policy = self._board.policy
        if policy.max_link_age is not None:
            share = OLD[0] + (OLD[1] - OLD[0]) * self._board.random()
            place.retire_at = now + share * policy.max_link_age
        place.lane.roomy[place] = None
        self.fill(place.lane)
        self._plan_merge(place.lane)

    def lose(self, place: Place, now: float) -> list[Record]:
        """The link of a place is gone: its topics go elsewhere.

        Returns:
            The topics that were on it, in their order.
        """
        lane, legs = place.lane, sorted(place.legs.values())
        place.ready = False
        lane.roomy.pop(place, None)
        retired, place.awaited = place.retiring, set()
        place.legs.clear()  # whoever has it for the short way goes on
        place.queue, place.alarms = [], []
        place.parting.clear()
        place.again, place.left = {}, {}
        place.scan_due = place.retire_at = place.close_at = math.inf
        records = [leg.topic for leg in legs]
        for leg in legs:
            self._rehome(leg, retired)
        self.grow(lane)
        self.fill(lane)
        return records

    def _rehome(self, leg: Leg, retired: bool) -> None:
        """The link of a leg is gone."""
        record = leg.topic
        carried, lane = leg.carries or bool(leg.flags & RESTART), leg.lane
        leg.place = None
        if not record.wanted or (retired and len(record.in_lane(lane)) > 1):
            if not retired:
                lane.load -= 1
            leg.phase = Phase.GONE
            record.remove(leg)
        else:
            lane.load += retired
            self._homeless(leg)
        leg.fast = None
        if record.extra is not None and not record.live():
            record.extra.stale = False  # the new link has to show
        if carried:
            self._board.lost_stream(record, "reconnect")
        for other in record.legs:  # a successor is gone: its predecessor is needed still
            self.await_successor(other)

    # -- make before break -------------------------------------------------------------------

    def retire(self, place: Place, now: float) -> None:
        """Have a place replaced: its topics become live elsewhere, then it is closed."""
        if place.retiring:
            return
        lane = place.lane
        place.retiring = True
        lane.roomy.pop(place, None)
        lane.places.remove(place)
        lane.load -= len(place.legs)
        self._board.counts["replaced"] += 1
        for leg in list(place.legs.values()):
            self.succeed(leg, place)
        self.grow(lane)
        self.fill(lane)
        self._finish(place)

    def succeed(self, leg: Leg, place: Place) -> None:
        """Have a leg on a retiring place replaced, or moved if the service does not know of it."""
        record = leg.topic
        if not record.wanted or leg.flags & AGAIN:
            return  # ending; what is wanted again follows when that is over
        if leg.phase in ASKABLE and leg.phase is not Phase.OVERDUE:
            del place.legs[record.name]
            leg.lane.load += 1
            self._homeless(leg)
        else:
            if leg.position is None and record.mark is not None:
                leg.position = record.mark.sequence
            place.awaited.add(record.name)
            self.new_leg(record, leg.lane)
        self._board.refresh(record)

    def await_successor(self, leg: Leg) -> None:
        """A leg on a retiring place is waited for while no other one in its lane is live."""
        place = leg.place
        if place is not None and place.retiring and leg.topic.wanted:
            others = leg.topic.in_lane(leg.lane)
            if not any(other.phase is Phase.LIVE for other in others if other is not leg):
                place.awaited.add(leg.topic.name)
                place.close_at = math.inf

    def live(self, leg: Leg) -> None:
        """A leg is live: if it is a successor, its predecessor is not needed any longer."""
        for other in leg.topic.in_lane(leg.lane):
            if other is not leg and other.place is not None and other.place.retiring:
                self.arrived(other.place, leg.topic.name)

    def arrived(self, place: Place, name: object) -> None:
        """A retiring place need not wait for a topic any longer."""
        if name in place.awaited:
            place.awaited.discard(name)
            self._finish(place)

    def _finish(self, place: Place) -> None:
        if place.retiring and not place.awaited and place.close_at == math.inf:
            place.close_at = -math.inf  # see tick(), which knows the time
            self._board.tell(Order.WAKE, place)

    def tick(self, place: Place, now: float) -> None:
        """Replace a place that is old, and close one that is replaced."""
        if place.retiring:
            if place.close_at == -math.inf:
                age = self._board.policy.max_link_age
                linger = LINGER if age is None else min(LINGER, age / 20)
                place.close_at = now + (linger if place.legs else 0.0)
            if now >= place.close_at:
                place.close_at = math.inf
                self._board.tell(Order.CLOSE, place, "replaced")
        elif now >= place.retire_at:
            place.retire_at = math.inf
            self.retire(place, now)

    def drop(self, place: Place) -> None:
        """A place will not be used again."""
        place.lane.places.remove(place)
        place.lane.roomy.pop(place, None)

    # -- places that are not needed ----------------------------------------------------------

    def _plan_merge(self, lane: Lane) -> None:
        if lane.merge_at == math.inf and self._spare(lane):
            lane.merge_at = -math.inf  # see merge(), which knows the time
            self._board.tell(Order.WAKE, None)

    def _spare(self, lane: Lane) -> bool:
        """Whether the topics of a lane would fit on one place less."""
        return len(lane.places) + lane.opening > self._needed(lane)

    def merge(self, now: float) -> None:
        """Merge one place of each lane that has more than it needs, slowly."""
        for lane in self.lanes:
            if lane.merge_at == -math.inf:
                lane.merge_at = now + MERGE_AFTER
            if now < lane.merge_at:
                continue
            lane.merge_at = math.inf
            if not self._spare(lane):
                continue
            place = min(lane.places, key=lambda each: (each.ready, len(each.legs)))
            if place.legs:  # for which the others have room: all of them are ready
                self.retire(place, now)
            else:
                self.drop(place)
                self._board.tell(Order.CLOSE, place, "not needed")
            self._plan_merge(lane)

    def merge_due(self) -> float:
        """Return when :meth:`merge` has something to do, in seconds of the loop's clock."""
        return min(lane.merge_at for lane in self.lanes)
