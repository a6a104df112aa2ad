"""Coverage-guided fuzzing with atheris: ``python -m fuzz session --seconds 120``.

Needs the package ``atheris``, which sees what Python code does: so frames.py itself is in use here,
and its compiled twin, where there is one, is what it is compared with.

Input that breaks a target is written to ``fuzz/found/``. What was found, and what the search begins
with, is kept in ``fuzz/kept/`` under the name of the target: tests/test_fuzz.py tries it in every
run of the tests.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent


def main() -> None:
    """Fuzz one target for some time, or until it breaks."""
    os.environ["REACTOR_PURE_PYTHON"] = "1"
    with atheris.instrument_imports(include=["reactor", "fuzz"]):
        from fuzz.targets import TARGETS
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    args = parser.parse_args()
    found, corpus = HERE / "found", HERE / "corpus" / args.target
    found.mkdir(exist_ok=True)
    corpus.mkdir(parents=True, exist_ok=True)
    flags = [
        sys.argv[0],
        f"-max_total_time={args.seconds}",
        f"-artifact_prefix={found}/{args.target}-",
        "-max_len=2048",
        str(corpus),
        str(HERE / "kept" / args.target),
    ]
    (HERE / "kept" / args.target).mkdir(parents=True, exist_ok=True)
    atheris.Setup(flags, TARGETS[args.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
