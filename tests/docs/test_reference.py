"""The reference has every public name, and its tables are those of the code."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from reactor.cli.main import COMMANDS

from .blocks import ROOT
from .tables import PAGES, renewed

#: Where the names of a module are.
MODULES = {
    "reactor": ["reactor", "options", "exceptions", "close-codes"],
    "reactor.feeds": ["feeds", "reactor"],
    "reactor.asyncio": ["asyncio", "reactor"],
    "reactor.testing": ["testing"],
    "reactor.testing.faults": ["testing"],
    "reactor.testing.frames": ["testing"],
    "reactor.monitor": ["monitor"],
    "reactor.classic": ["classic", "exceptions"],
    "reactor.fleet": ["fleet"],
    "reactor.tasks": ["reactor"],
    "reactor.hosting.asyncio": ["hosting"],
    "reactor.hosting.trio": ["hosting"],
    "reactor.hosting.qt": ["hosting"],
    "reactor.hosting.tkinter": ["hosting"],
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_tables_are_those_of_the_code(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == renewed(page), "python -m tests.docs.tables"


@pytest.mark.parametrize(("module", "pages"), MODULES.items())
def test_every_public_name_is_in_the_reference(module: str, pages: list[str]) -> None:
    if module == "reactor.hosting.trio":
        pytest.importorskip("trio")
    text = "".join((ROOT / f"docs/reference/{name}.md").read_text() for name in pages)
    names = import_module(module).__all__
    assert [name for name in names if not re.search(rf"(::|`).*\b{name}\b", text)] == []


def test_every_command_is_in_the_reference() -> None:
    text = (ROOT / "docs/reference/command-line.md").read_text()
    assert [name for name in COMMANDS if f"Options of `reactor {name}`" not in text] == []
    assert [name for name in COMMANDS if f"| `reactor {name}" not in text] == []


def test_the_index_has_every_page() -> None:
    docs = ROOT / "docs"
    index = (docs / "index.md").read_text()
    names = {str(page.relative_to(docs).with_suffix("")) for page in docs.rglob("*.md")}
    listed = set(re.findall(r"^([\w/-]+)$", index, re.M))
    assert names - {"index"} == listed & names - {"index"}
