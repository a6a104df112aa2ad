"""docs/testing.md names every script of reactor.testing.faults."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "testing.md"


def test_every_script_is_on_the_page() -> None:
    from reactor.testing import faults

    text = PAGE.read_text()
    assert [name for name in faults.__all__ if f"`faults.{name}(" not in text] == []
