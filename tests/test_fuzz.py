"""The fuzz targets, with everything that was kept: what was found once is tried ever after."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.targets import TARGETS

KEPT = sorted((Path(__file__).parents[1] / "fuzz" / "kept").glob("*/*"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_kept(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_and_its_beginnings(path: Path) -> None:
    data = path.read_bytes()
    for size in range(len(data)):
        TARGETS[path.parent.name](data[:size])


@pytest.mark.parametrize("target", sorted(TARGETS))
@given(data=st.binary(max_size=200))
def test_anything(target: str, data: bytes) -> None:
    TARGETS[target](data)
