"""The tables of docs/reference that say what the code says: options, exceptions, close codes.

    python -m tests.docs.tables      # writes them into the pages

test_reference.py sees that the pages have them as they are made here.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from reactor import ClientOptions, CloseCode, ServerOptions, WebSocketException, exceptions
from reactor.cli.main import load
from reactor.connection.options import ConnectionOptions
from reactor.protocols.rules import check_close

from .blocks import ROOT

__all__ = ["PAGES", "TABLES", "renewed"]

_PLACE = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def options(cls: Any) -> Callable[[], str]:
    """Return what makes the table of the options that a class adds to those it inherits."""

    def make() -> str:
        inherited = () if cls is ConnectionOptions else fields(ConnectionOptions)
        own = {each.name: each for each in fields(cls)}
        for each in inherited:
            own.pop(each.name)
        lines = ["| option | type | default | |", "|---|---|---|---|"]
        for names, meaning in described(cls.__doc__):
            for name in names:
                option = own.pop(name)
                kind = ast.unparse(ast.parse(option.type, mode="eval")).replace("|", "\\|")
                text = meaning if name == names[0] else "see above"
                lines.append(f"| `{name}` | `{kind}` | `{default(option)}` | {text} |")
        assert not own, f"not documented: {list(own)}"
        return "\n".join(lines) + "\n"

    return make


def default(option: Any) -> str:
    """Return a default as one writes it."""
    value = option.default
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1 << 20:
        return f"{value >> 20} * 1024 * 1024"
    return repr(value)


def described(docstring: str | None) -> list[tuple[list[str], str]]:
    """Return the names and the text of each entry of the section "Parameters"."""
    section = (docstring or "").split(
        "Parameters:\n" if "Parameters:" in (docstring or "") else "Args:\n"
    )[1]
    entries: list[tuple[list[str], str]] = []
    for entry in re.split(r"^ {8}(?=\w)", section, flags=re.MULTILINE)[1:]:
        names, _, text = entry.partition(": ")
        plain = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", " ".join(text.split())).replace("``", "`")
        entries.append((names.split(", "), plain.replace("|", "\\|")))
    return entries


def command(*names: str) -> Callable[[], str]:
    """Return what makes the tables of the options of some commands."""

    def make() -> str:
        parts: list[str] = []
        for name in names:
            parser = argparse.ArgumentParser()
            load(name).add_arguments(parser)
            parts += tables_of(name, parser)
        return "\n\n".join(parts) + "\n"

    return make


def tables_of(name: str, parser: argparse.ArgumentParser) -> list[str]:
    """Return the table of a command's options, and those of its own commands."""
    lines = [f"Options of `reactor {name}`:", "", "| option | |", "|---|---|"]
    further: list[str] = []
    for action in parser._actions[1:]:
        if isinstance(action, argparse._SubParsersAction):
            lines += [f"| `{each.dest}` | {each.help} |" for each in action._choices_actions]
            for sub, its_parser in action.choices.items():
                further += tables_of(f"{name} {sub}", its_parser)
            continue
        flags = ", ".join(f"`{flag}`" for flag in action.option_strings or [action.dest])
        text = (action.help or "") % {**vars(action), "prog": "reactor"}
        plain = action.default in (None, False, "", [], argparse.SUPPRESS)
        shown = "default" in text or plain or not action.option_strings
        lines.append(f"| {flags} | {text}{'' if shown else f' (default: {action.default})'} |")
    return ["\n".join(lines), *further]


def tree() -> str:
    """Return the exceptions as a tree; each under the first of its bases that belongs to it."""
    ours = [getattr(exceptions, name) for name in exceptions.__all__ if name != "CloseCode"]
    lines = []

    def show(cls: type, indent: str) -> None:
        others = [base.__name__ for base in cls.__bases__ if base not in parents(cls)]
        besides = f"  [{', '.join(others)}]" if others and cls is not WebSocketException else ""
        lines.append(f"{indent}{cls.__name__}{besides}")
        for each in ours:
            if parents(each)[:1] == [cls]:
                show(each, indent + "    ")

    def parents(cls: type) -> list[type]:
        return [base for base in cls.__bases__ if base in ours][:1]

    show(WebSocketException, "")
    return "```text\n" + "\n".join(lines) + "\n```\n"


def codes() -> str:
    """Return the table of the close codes."""
    lines = ["| code | name | may be sent | meaning |", "|---|---|---|---|"]
    for name, code in vars(CloseCode).items():
        if not name.startswith("_"):
            try:
                sent = "yes" if check_close(code) else "as a frame without a code"
            except ValueError:
                sent = "no"
            lines.append(f"| {code} | `CloseCode.{name}` | {sent} | {MEANINGS[code]} |")
    return "\n".join(lines) + "\n"


MEANINGS = {
    1000: "The purpose is fulfilled; what `close()` sends",
    1001: "A server goes down, or a browser leaves the page; what `Reactor.shutdown()` sends",
    1002: "The peer has violated the protocol",
    1003: "The peer has sent a kind of data that cannot be accepted, binary for example",
    1005: "The close frame had no code",
    1006: "There was no close frame: the connection was lost, or never came about",
    1007: "The data does not fit its type: text that is not UTF-8",
    1008: "A message violates the rules of the endpoint",
    1009: "A message is too big",
    1010: "The client needs an extension that the server did not agree to",
    1011: "The server cannot go on because of an error of its own",
    1012: "The service restarts",
    1013: "The service is overloaded: try again later",
    1014: "A gateway got an invalid answer from the server behind it",
    1015: "TLS has failed",
}

TABLES: dict[str, Callable[[], str]] = {
    "ConnectionOptions": options(ConnectionOptions),
    "ClientOptions": options(ClientOptions),
    "ServerOptions": options(ServerOptions),
    "exceptions": tree,
    "close codes": codes,
    "commands": command("dump"),
    "servers": command("echo", "feed", "exchange"),
    "replay": command("replay"),
    "runs": command("run", "collect"),
    "top": command("top"),
    "fleet": command("fleet"),
}

NAMES = ("options", "exceptions", "close-codes", "command-line")

PAGES = [ROOT / "docs" / "reference" / f"{name}.md" for name in NAMES]


def renewed(page: Path) -> str:
    """Return the text of a page with its tables as the code says."""

    def table(place: re.Match[str]) -> str:
        return place[1] + "\n" + TABLES[place[2]]() + "\n" + place[3]

    return _PLACE.sub(table, page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(renewed(page), encoding="utf-8")
