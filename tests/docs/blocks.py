"""What is on a page: its blocks of code, shown and hidden, from top to bottom.

A block is fenced by ``` and has a language. A comment of HTML that begins with the word "python"
is a hidden block: code that the page needs in order to run, and its reader does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Block", "blocks_of", "pages"]

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\S*)\n(?P<code>.*?)^ *```$"
    r"|^<!-- (?P<hidden>python)\n(?P<hidden_code>.*?)^-->$",
    re.DOTALL | re.MULTILINE,
)
_FILE = re.compile(r"# ([\w-]+\.py)\n")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        language: what stands behind the fence; "hidden" for a hidden block of Python.
        code: the lines within.
        line: the number of its first line on the page.
        follows: whether nothing but blank lines is between it and the block before it.
    """

    language: str
    code: str
    line: int
    follows: bool = False

    @property
    def file(self) -> str | None:
        """The name of the file that this block is: its first line is a comment with that name."""
        named = _FILE.match(self.code) if self.language == "python" else None
        return named[1] if named else None


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    end = 0
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        follows = bool(found) and not text[end : match.start()].strip()
        end = match.end()
        if match["hidden"]:
            found.append(Block("hidden", match["hidden_code"], line, follows))
        else:
            indent = re.compile(rf"^{match['indent']}", re.MULTILINE)
            code = indent.sub("", match["code"])
            found.append(Block(match["language"], code, line, follows))
    return found


def pages() -> list[Path]:
    """Return every page that a user reads, the README included."""
    others = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")]
    return [*others, *sorted((ROOT / "docs").rglob("*.md"))]
