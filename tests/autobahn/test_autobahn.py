"""The fast part of the Autobahn suite, over every face.

Left out are category 9 (messages of megabytes) and most of 12 and 13 (a thousand messages a
case, compressed): ``make autobahn`` runs them, too.
"""

from __future__ import annotations

import asyncio

import pytest

from .report import misses
from .runner import FACES, run

pytest.importorskip("kosoku", reason="kosoku, which runs the Autobahn suite, is not installed")

PROTOCOL = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]

#: One size of message of each way to agree on compression; some of them in small fragments.
COMPRESSION = [
    "12.1.3",
    "12.2.5",
    "12.3.11",
    "13.1.3",
    "13.2.3",
    "13.3.11",
    "13.4.3",
    "13.5.3",
    "13.6.11",
    "13.7.3",
]


# The case files of 12 and 13 leave their data files to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    ("cases", "count"),
    [(PROTOCOL, 247), (COMPRESSION, len(COMPRESSION))],
    ids=["protocol", "compression"],
)
def test_every_case_gets_the_best_verdict(face: str, cases: list[str], count: int) -> None:
    result = asyncio.run(run(face, cases, lanes=16))
    assert len(result.outcomes) == count
    assert not result.missed, misses([result])
