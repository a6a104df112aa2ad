"""What connections do, made visible: ``reactor.monitor.record``.

What it is: the public names. docs/recording.md shows how they are used.
"""

from __future__ import annotations

from .recording.recorder import Recorder, record

__all__ = ["Recorder", "record"]
