"""Breaks each rule of feeds on purpose, and sees that a test fails.

Run it with ``python -m tests.feeds.mutants``.

Each mutant is a copy of the project with one passage of reactor/feeds replaced. Exit status 0: the
tests fail with every one of them; 1: they do not, or a passage is not there any longer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Mutant(NamedTuple):
    """A rule, and how it is broken."""

    rule: int
    what: str
    module: str  # in reactor/feeds
    before: str
    after: str


MUTANTS = (
    Mutant(1, "two legs of a topic go to one lane", "topics/reconciler",
           "            if not record.in_lane(lane):", "            if not record.legs:"),
    Mutant(1, "a wish taken back is asked for all the same", "topics/reconciler",
           "        place.parting.pop(leg.topic.name, None)\n        missed", "        missed"),
    Mutant(2, "a gap at every reconnect", "topics/board",
           'record.mark is None or self.policy.sequences != "contiguous"', "True"),
    Mutant(2, "recovered is not believed", "topics/board",
           "if flags & RECOVERED:", "if False:"),
    Mutant(2, "a hole that redundancy covers is told", "topics/board",
           "and not record.live() and record.hole is None", "and record.hole is None"),
    Mutant(2, "nothing waits for another link", "topics/sequences",
           "if not record.more:\n            return False\n        return any",
           "return False and any"),
    Mutant(2, "age before priority", "topics/topic",
           "if one.priority == two.priority:", "if True:"),
    Mutant(3, "duplicates are delivered", "topics/sequences",
           "if sequence <= mark.sequence:", "if sequence < mark.sequence:"),
    Mutant(3, "duplicates are a sign of life", "topics/sequences",
           "new_here = judgement is not Judgement.SEEN", "new_here = True"),
    Mutant(3, "updates that nobody wants are delivered", "topics/sequences",
           "if not record.wanted or (phase is Phase.ENDING and not leg.flags & RESTART):",
           "if False:"),
    Mutant(3, "an epoch means nothing", "topics/sequences",
           "update.epoch is not None and update.epoch != mark.epoch and mark.epoch is not None",
           "False"),
    Mutant(3, "a gone topic is a stray", "topics/sequences",
           "if farewell is None and update.topic not in board.topics:", "if True:"),
    Mutant(4, "late acks are believed", "topics/lifecycle",
           "    (Phase.ENDING, Signal.OFF): Phase.GONE,\n",
           "    (Phase.ENDING, Signal.OFF): Phase.GONE,\n"
           "    (Phase.ENDING, Signal.ACK): Phase.LIVE,\n"),
    Mutant(4, "a refusal of what is live is believed", "topics/lifecycle",
           "    (Phase.LIVE, Signal.DROP): Phase.LEAVING,\n",
           "    (Phase.LIVE, Signal.DROP): Phase.LEAVING,\n"
           "    (Phase.LIVE, Signal.FINAL): Phase.GONE,\n"),
    Mutant(4, "a timeout is for ever", "topics/reconciler",
           "else:  # it is to be asked for again", "elif phase is Phase.WAITING:"),
    Mutant(4, "updates are no confirmation", "topics/reconciler",
           "if leg.heard > -inf:", "if False:"),
    Mutant(4, "a refusal of several is believed", "topics/reconciler",
           "alone = len(names) == 1 or bool(leg.flags & ALONE)", "alone = True"),
    Mutant(4, "no late answer is forgiven", "topics/reconciler",
           "if farewell is not None and farewell.forgive:", "if False:"),
    Mutant(4, "a stream goes on over an unsubscription", "topics/reconciler",
           "        if not kept:\n            record.forget_stream()\n", ""),
    Mutant(5, "a token bucket for the pace", "links/link",
           "wait = self._window.wait(now)",
           "wait = self._window.wait(now) - self._window.pace.per / 2"),
    Mutant(5, "the heartbeat passes the pace by", "links/link",
           "self._window.take(now)", "batch_only = then is None"),
    Mutant(5, "a link that opens is a link that has lived", "links/link",
           "self.attempt = 0 if lived >= LIVED", "self.attempt = 0 if was_open"),
    Mutant(5, "attempts count for a minute only when open", "settings",
           "reset_after=min(backoff.reset_after, LIVED)", "reset_after=0.0"),
    Mutant(6, "silence is looked for too seldom", "topics/silence",
           "GRID = 0.05", "GRID = 0.5"),
    Mutant(6, "silence is judged before the kernel is read", "links/judge",
           "True, PATIENCE\n            link.loop.call_soon(self._next_turn)",
           "True, PATIENCE\n            self._judge()"),
    Mutant(6, "the third time is like the first", "topics/silence",
           "if extra.vain % 3 == 0:", "if False:"),
    Mutant(6, "stale is over when it is confirmed", "topics/board",
           "            if extra.stale:\n                return TopicState.STALE\n", ""),
    Mutant(7, "break before make", "topics/pool",
           "            place.awaited.add(record.name)\n            self.new_leg",
           "            self.new_leg"),
    Mutant(7, "ages are all the same", "topics/pool",
           "OLD = (0.75, 0.9)", "OLD = (0.8, 0.8)"),
    Mutant(7, "thin links are not merged", "topics/pool",
           "all of them are ready\n                self.retire(place, now)",
           "all of them are ready\n                pass"),
    Mutant(7, "without sequences both links count", "topics/sequences",
           "if record.more and update.sequence is None and leg is not self._primary(record):",
           "if False:"),
    Mutant(8, "a fault of a handler ends the delivery", "faults",
           "        try:\n            function(*args)\n        except Exception as exc:",
           "        try:\n            function(*args)\n        except ZeroDivisionError as exc:"),
    Mutant(8, "what could not be built is forgotten", "links/link",
           "            driver.core.not_sent(self, batch, now)\n", ""),
    Mutant(9, "the short way is never taken", "topics/board",
           "            self.handler_of(record)\n            if (",
           "            None\n            if ("),
)  # fmt: skip


def survives(mutant: Mutant) -> bool | None:
    """Whether all tests pass with a mutant; None: its passage is not there."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("reactor", "tests", "examples"):
            ignored = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", copy)
        module = copy / "reactor" / "feeds" / f"{mutant.module}.py"
        text = module.read_text()
        if text.count(mutant.before) != 1:
            return None
        module.write_text(text.replace(mutant.before, mutant.after))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        command += ["--timeout", "60", "--hypothesis-profile", "mutants"]
        done = subprocess.run(
            [*command, "tests/feeds"],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode == 0


def main() -> int:
    """Try all mutants, or those whose description has the word that is given."""
    chosen = [each for each in MUTANTS if all(word in each.what for word in sys.argv[1:])]
    bad = 0
    for mutant in chosen:
        outcome = survives(mutant)
        bad += outcome is not False
        said = {None: "NOT THERE", True: "SURVIVES", False: "found"}[outcome]
        print(f"rule {mutant.rule}: {mutant.what}: {said}", flush=True)
    print(f"{len(chosen) - bad} of {len(chosen)} found")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
