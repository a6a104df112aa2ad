"""What docs/feeds.md shows runs as it is printed."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from reactor import Reactor
from reactor.cli import exchange

from ..support.driving import run_until

PAGE = Path(__file__).parents[2] / "docs" / "feeds.md"


def test_the_tutorial_runs_as_it_is_printed() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    program, resuming = blocks[0], blocks[1]
    definitions, body = program.split("loop = Reactor()")
    parser = argparse.ArgumentParser()
    exchange.add_arguments(parser)
    flags = "--ack-delay 0.05 --ack-twice 0.1 --busy 0.02 --topics 50 --args 10 --messages 10"
    with Reactor() as loop:
        market = exchange.Exchange(loop, parser.parse_args([*flags.split(), "--replay", "100"]))
        listener = loop.listen("127.0.0.1", 0, lambda: exchange.Client(market))
        shown: list[Any] = []
        names: dict[str, Any] = {"print": lambda *args: shown.append(args)}
        exec(definitions + resuming, names)
        names["loop"] = loop
        body = body.replace(":9003", f":{listener.port}").replace("loop.run_forever()", "")
        exec(body, names)
        run_until(loop, lambda: ("all topics are live",) in shown)
        run_until(loop, lambda: len({line[0] for line in shown if len(line) == 2}) > 100)
        assert len(names["feed"].links) == 4
        names["feed"].close()
