"""A peer in a process of its own, which obeys commands: see programs/commands.py for the lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tests.support.threads import PATIENCE

Json = dict[str, Any]

#: The folder of the peers' tests, and that of the project.
HERE = Path(__file__).parents[1]
PROJECT = HERE.parents[1]

#: What to do where a peer that is no Python package is missing.
INSTALL = "tests/peers/install.sh installs it"

_numbers = count(1)


class Answer:
    """What a peer says to a command, once it has said it."""

    def __init__(self) -> None:
        self._come = threading.Event()
        self._fields: Json = {}

    @property
    def done(self) -> bool:
        return self._come.is_set()

    def put(self, fields: Json) -> None:
        """The answer has come."""
        self._fields = fields
        self._come.set()

    def get(self, timeout: float = 2 * PATIENCE) -> Json:
        """Wait for the answer, so many seconds at most; return its fields."""
        assert self._come.wait(timeout), "a peer does not answer"
        assert "failure" not in self._fields, self._fields["failure"]
        return self._fields


class Peer:
    """A running peer.

    Parameters:
        command: the program and its arguments.
        environment: further variables.

    Attributes:
        events: what it told of itself, in order.
    """

    def __init__(self, command: Sequence[str], **environment: str) -> None:
        self.events: list[Json] = []
        self._errors = TemporaryFile("w+")  # noqa: SIM115
        self._answers: dict[int, Answer] = {}
        self._urls: dict[str, str] = {}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=PROJECT,
            env=os.environ | environment,
        )
        self._reader = threading.Thread(target=self._read, name="peer")
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            fields = json.loads(line)
            number = fields.pop("id", None)
            if number is None:
                self.events.append(fields)
            else:
                self._answers.pop(number).put(fields)
        self._errors.seek(0)
        failure = f"the peer has ended: {self._errors.read()}"
        for answer in list(self._answers.values()):
            answer.put({"failure": failure})

    def ask(self, command: str, **parameters: Any) -> Answer:
        """Give a command; return where its answer will be."""
        number = next(_numbers)
        answer = self._answers[number] = Answer()
        assert self._process.stdin is not None
        self._process.stdin.write(
            json.dumps({"id": number, "command": command, **parameters}) + "\n"
        )
        self._process.stdin.flush()
        return answer

    def serve(self, **options: Any) -> str:
        """Return the URL of its server with these options, which is started at the first time."""
        key = json.dumps(options, sort_keys=True)
        if key not in self._urls:
            port = self.ask("listen", **options).get()["port"]
            scheme = "wss" if options.get("tls") else "ws"
            self._urls[key] = f"{scheme}://127.0.0.1:{port}"
        return self._urls[key]

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End its input, and wait for its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(PATIENCE)
        self._process.stdout.close()
        self._errors.close()


def python_program(name: str) -> list[str]:
    """Return the command that runs one of programs/."""
    return [sys.executable, "-m", f"tests.peers.programs.{name}"]


def new_path() -> str:
    """Return a path for a URL that no other connection has."""
    return f"/test?n={next(_numbers)}"
