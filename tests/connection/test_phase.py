"""The phases of a connection: the picture, the table, and what connections do."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from reactor.connection import phase
from reactor.connection.phase import TRANSITIONS, Change, Phase, change
from reactor.exceptions import WebSocketStateException
from tests.support.recorder import Recorder
from tests.support.scene import Scene


class Holder:
    """Has a phase, and nothing else."""

    def __init__(self, phase: Phase) -> None:
        self.phase = phase
        self.phases = [0] * len(Phase)


def arrows() -> set[tuple[Phase, Change, Phase]]:
    """Return the arrows of the picture in the module's docstring."""
    assert phase.__doc__ is not None
    found = re.findall(r"(\w+) --(\w+)--> (?=(\w+))", phase.__doc__)
    return {(Phase[before], Change[what], Phase[after]) for before, what, after in found}


def test_the_table_has_the_arrows_of_the_modules_picture_and_no_other() -> None:
    assert arrows() == {(before, what, after) for (before, what), after in TRANSITIONS.items()}


@pytest.mark.parametrize("what", Change)
@pytest.mark.parametrize("before", Phase)
def test_every_change_in_every_phase_is_legal_or_refused_without_effect(
    before: Phase, what: Change
) -> None:
    holder = Holder(before)
    after = {(start, cause): end for start, cause, end in arrows()}.get((before, what))
    if after is not None:
        change(holder, what)
        assert holder.phase is after
        return
    with pytest.raises(WebSocketStateException, match=f"{what.name} .* {before.name}"):
        change(holder, what)
    assert holder.phase is before


def _lose(scene: Scene, recorder: Recorder) -> None:
    scene.fail(OSError("refused"))


def _drop(scene: Scene, recorder: Recorder) -> None:
    scene.sock.shutdown(2)
    scene.turn(count=2)


#: Deeds, one after the other, and the phase that each leads to.
LIVES: dict[str, list[tuple[Callable[[Scene, Recorder], object], Phase]]] = {
    "closed while it connects": [
        (lambda scene, recorder: recorder.close(), Phase.OVER),
    ],
    "refused, and closed while it waits": [
        (_lose, Phase.WAITING),
        (lambda scene, recorder: recorder.close(), Phase.OVER),
    ],
    "open, dropped, open again, ended": [
        (lambda scene, recorder: scene.succeed(), Phase.ATTACHED),
        (_drop, Phase.WAITING),
        (lambda scene, recorder: scene.turn(1.0), Phase.CONNECTING),
        (lambda scene, recorder: (scene.turn(), scene.succeed()), Phase.ATTACHED),
        (lambda scene, recorder: (recorder.abort(), scene.turn()), Phase.OVER),
    ],
}


@pytest.mark.parametrize("life", LIVES.values(), ids=list(LIVES))
def test_a_connection_goes_the_way_of_the_picture(
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    life: list[tuple[Callable[[Scene, Recorder], object], Phase]],
) -> None:
    recorder = Recorder()
    scene.connect(recorder, reconnect=1.0)
    connection = next(iter(scene.loop.connections))
    assert connection.phase is Phase.CONNECTING
    for deed, after in life:
        deed(scene, recorder)
        assert connection.phase is after
