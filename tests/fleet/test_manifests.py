"""The unit files and manifests in examples/fleet, by the validators of those who read them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reactor.cli import fleet
from reactor.cli.arguments import Parser

EXAMPLES = Path(__file__).parents[2] / "examples" / "fleet"
UNITS = sorted(EXAMPLES.glob("*.service"))


def manifests() -> list[Any]:
    yaml = pytest.importorskip("yaml")
    return list(yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text()))


def parse(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have the command line read arguments; the feed of the example is none."""
    monkeypatch.setenv("REACTOR_NATS", "nats://nats:4222")
    parser = Parser()
    fleet.add_arguments(parser)
    given = ["json:JSONDecoder" if each == "trades:Trades" else each for each in arguments]
    return parser.parse_args(given)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_are_what_systemd_reads(
    unit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = unit.read_text()
    (command,) = re.findall(r"ExecStart=(\S+ (?:.*\\\n)*.*)", text)
    words = shlex.split(command.replace("\\\n", " "))
    assert words[1] == "fleet"
    parse(words[2:], monkeypatch)
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not there")
    copy = tmp_path / unit.name
    copy.write_text(text.replace(words[0], sys.executable))
    done = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_manifests_are_what_kubernetes_reads() -> None:
    validator = pytest.importorskip("kubernetes_validate")
    kinds = []
    for manifest in manifests():
        validator.validate(manifest, validator.latest_version(), strict=True)
        kinds.append(manifest["kind"])
    assert kinds == ["ConfigMap", "Deployment", "Service", "StatefulSet"]


def test_and_their_commands_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for manifest in manifests():
        template = manifest.get("spec", {}).get("template", {})
        for container in template.get("spec", {}).get("containers", ()):
            reactor, command, *words = [*container["command"], *container["args"]]
            assert (reactor, command) == ("reactor", "fleet")
            found.append(parse(words, monkeypatch).what)
    assert found == ["start", "shard"]
