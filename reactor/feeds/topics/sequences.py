"""Updates: which are new, which were seen, and where some are missing.

What it is: the judgement of an update by its sequence, and what waits behind a hole that another
link may still fill.

What it must not know: handlers, links that are not open, how topics are asked for.

How it works. ``judge`` compares an update with the latest one of its topic. What follows it is
delivered. What was seen is dropped, and is no sign of life. Where numbers are missing, a gap is
told before the update; but as long as another live link has not come so far, it may bring them,
so the update is held back, for :data:`FILL_WITHIN` seconds at most. A new epoch begins a new
count.

Nearly all updates are the next one of a topic on one live link. Those do not come here: a leg
whose ``fast`` is set takes them (see links/wire.py), with the same judgement in one line.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum

from ..events import TopicState, Update
from .board import Board, Order
from .lifecycle import UNCONFIRMED, Phase, Signal
from .topic import MISSED, RESTART, Leg, Place, Record

__all__ = ["FILL_WITHIN", "MAX_HELD", "UNANSWERED", "Judgement", "Sequences", "judge"]

#: Seconds that another link has to fill a hole.
FILL_WITHIN = 2.0

#: Seconds before an unsubscription is repeated, where the service confirms nothing.
UNANSWERED = 5.0

#: Updates of a topic that are held back at most.
MAX_HELD = 1000


class Judgement(Enum):
    """What an update is to its topic."""

    NEXT = "next"  #: it follows the latest, or there is no telling
    SEEN = "seen"  #: it, or a later one, was delivered already
    AHEAD = "ahead"  #: numbers are missing before it
    RESET = "reset"  #: it belongs to a new count


def judge(mark: Update | None, update: Update, contiguous: bool) -> Judgement:
    """Compare an update with the latest one that has a sequence.

    Args:
        mark: that one; None: there was none.
        update: what came.
        contiguous: whether sequences go up by one (or as ``previous`` says).
    """
    sequence = update.sequence
    if mark is None or sequence is None:
        return Judgement.NEXT
    if update.epoch is not None and update.epoch != mark.epoch and mark.epoch is not None:
        return Judgement.RESET
    if sequence <= mark.sequence:
        return Judgement.SEEN
    if not contiguous:
        return Judgement.NEXT
    previous = sequence - 1 if update.previous is None else update.previous
    return Judgement.NEXT if previous <= mark.sequence else Judgement.AHEAD


def _behind(leg: Leg, update: Update) -> bool:
    """Whether a leg has not come as far as the hole before an update."""
    missing = update.sequence - 1 if update.previous is None else update.previous
    return bool(leg.position is None or leg.position < missing)


class Sequences:
    """See the module.

    Args:
        board: what is known of all topics.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._contiguous = board.policy.sequences == "contiguous"
        self._holding: dict[Record, None] = {}  # those with updates that are held back
        #: Called with a leg whose confirmation is overdue, and the time, when an update comes.
        self.confirm: Callable[[Leg, float], None] = lambda leg, now: None

    def take(self, leg: Leg, update: Update, now: float) -> None:
        """An update has come by a leg, and is not one that the short way takes."""
        record, board = leg.topic, self._board
        phase = leg.phase
        if not record.wanted or (phase is Phase.ENDING and not leg.flags & RESTART):
            leg.flags |= MISSED
            board.counts["unwanted"] += 1
            return
        if record.state is TopicState.REFUSED or phase is Phase.GONE:
            board.counts["unwanted"] += 1
            return
        if self._contiguous and isinstance(update.sequence, (str, bytes)):
            raise TypeError(f"a contiguous sequence is a number, not {update.sequence!r}")
        extra = record.extra
        if extra is not None and extra.reset:
            self._begin_anew(record, leg, update, now)
            return
        if extra is not None and update.epoch is not None and update.epoch == extra.old_epoch:
            board.counts["duplicates"] += 1
            return
        if record.more and update.sequence is None and leg is not self._primary(record):
            self._life(leg, now)
            return
        judgement = judge(record.mark, update, self._contiguous)
        if record.more and judgement is not Judgement.RESET and update.sequence is not None:
            new_here = leg.position is None or update.sequence > leg.position
            if new_here:
                leg.position = update.sequence
        else:
            new_here = judgement is not Judgement.SEEN
        if new_here:
            self._life(leg, now)
        if judgement is Judgement.SEEN:
            board.counts["duplicates"] += 1
            if not new_here:
                record.rare.duplicate_at = now
            self._settle(record, now)
            return
        if judgement is Judgement.RESET:
            self._begin_anew(record, leg, update, now)
        elif judgement is Judgement.AHEAD and self._may_be_filled(record, leg, update):
            self._hold(record, update, now)
        else:
            if judgement is Judgement.AHEAD:
                board.gap(record, record.hole or "sequence", update)
            elif self._contiguous and record.hole and record.mark and update.sequence is not None:
                record.hole = None  # it follows the last one: nothing is missing
                board.refresh(record)
            self._deliver(record, update)
            self._settle(record, now)

    def stray(self, place: Place, update: Update, now: float) -> None:
        """An update has come by a link on which its topic has no leg."""
        board = self._board
        farewell = place.left.get(update.topic)
        if farewell is None and update.topic not in board.topics:
            board.counts["strays"] += 1
            board.tell(Order.STRAY, update)
            return
        board.counts["unwanted"] += 1
        if farewell is not None and now >= farewell.repeat_at:
            # Updates keep coming after an unsubscription: ask once more.
            policy = board.policy
            ask_again = policy.ask_again
            wait = min(ask_again.cap, ask_again.first * ask_again.factor**farewell.repeats)
            farewell.repeat_at = now + max(wait, policy.ack_timeout or UNANSWERED)
            farewell.repeats = min(farewell.repeats + 1, 64)
            farewell.forgive = True
            place.again[update.topic] = None
            board.tell(Order.WAKE, place)

    def _life(self, leg: Leg, now: float) -> None:
        """An update that is new has come by a leg."""
        leg.heard = now
        record, place = leg.topic, leg.place
        assert place is not None
        extra = record.extra
        changed = False
        if extra is not None and (extra.stale or extra.vain):
            changed, extra.stale, extra.vain = True, False, 0
            place.scan_due = now  # its limit is another one again
            self._board.tell(Order.WAKE, place)
        if leg.phase is Phase.OVERDUE:
            self.confirm(leg, now)
            changed = True
        elif leg.phase is Phase.LEAVING and leg.flags & RESTART:
            changed = self._board.step(leg, Signal.KEEP)  # it is not silent after all
            leg.flags &= ~RESTART
            place.parting.pop(record.name, None)
        if changed:
            self._board.refresh(record)

    def _primary(self, record: Record) -> Leg | None:
        """The leg whose updates count where there are no sequences."""
        for leg in record.legs:
            if leg.carries:
                return leg
        for leg in record.legs:
            if leg.phase in UNCONFIRMED:
                return leg
        return record.leg

    def _deliver(self, record: Record, update: Update) -> None:
        record.delivered(update)
        self._board.counts["updates"] += 1
        self._board.tell(Order.DELIVER, record, update)

    def _begin_anew(self, record: Record, leg: Leg, update: Update, now: float) -> None:
        """An update begins a new count: what is held belongs to the old one."""
        self._give_up(record)
        extra = record.rare
        extra.reset = False
        extra.duplicate_at = -math.inf
        extra.old_epoch = None
        if record.mark is not None and record.mark.epoch != update.epoch:
            extra.old_epoch = record.mark.epoch
        for each in record.legs:
            each.position = None
        self._life(leg, now)
        self._board.gap(record, "reset", update)
        record.last = extra.mark = None
        self._deliver(record, update)
        self._board.refresh(record)

    # -- holes that another link may fill --------------------------------------------------

    def _may_be_filled(self, record: Record, leg: Leg, update: Update) -> bool:
        """Whether another leg may still bring what is missing before an update."""
        if not record.more:
            return False
        return any(_behind(other, update) for other in record.live(but=leg))

    def _hold(self, record: Record, update: Update, now: float) -> None:
        extra = record.rare
        if not extra.held:
            extra.held_at = now
            self._holding[record] = None
            self._board.tell(Order.WAKE, None)
        extra.held[update.sequence] = update
        if len(extra.held) > MAX_HELD:
            self._give_up(record)

    def _settle(self, record: Record, now: float) -> None:
        """Deliver what is held, as far as it follows or its hole will not be filled."""
        extra = record.extra
        while extra is not None and extra.held:
            first = min(extra.held)
            update = extra.held[first]
            judgement = judge(record.mark, update, self._contiguous)
            if judgement is Judgement.AHEAD:
                in_time = now < extra.held_at + FILL_WITHIN
                if in_time and any(_behind(leg, update) for leg in record.live()):
                    return
                self._board.gap(record, record.hole or "sequence", update)
            del extra.held[first]
            if judgement is not Judgement.SEEN:
                self._deliver(record, update)
        self._holding.pop(record, None)
        if extra is not None and extra.held_at < math.inf:
            extra.held_at = math.inf
            self._board.refresh(record)

    def _give_up(self, record: Record) -> None:
        """Deliver what is held, whatever is missing before it."""
        if record.extra is not None and record.extra.held:
            self._settle(record, math.inf)

    def leg_lost(self, record: Record, now: float) -> None:
        """A leg of a topic carries nothing any longer: what it could have filled stays missing."""
        if record.extra is not None and record.extra.held:
            self._settle(record, now)

    def forget(self, record: Record) -> None:
        """A topic is not wanted any longer."""
        self._holding.pop(record, None)

    def due(self) -> float:
        """Return when a hole is told at the latest, in seconds of the loop's clock."""
        return min(
            (
                record.extra.held_at + FILL_WITHIN
                for record in self._holding
                if record.extra is not None
            ),
            default=math.inf,
        )

    def tick(self, now: float) -> None:
        """Tell of holes that were not filled in time."""
        for record in list(self._holding):
            if record.extra is not None and now >= record.extra.held_at + FILL_WITHIN:
                self._settle(record, now)
