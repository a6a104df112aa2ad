"""To see what a reactor does: explain() for one connection, figures, a page, recordings.

``reactor.monitor.prometheus`` and ``reactor.monitor.opentelemetry`` need their packages.
"""

from .explain import Explanation, explain
from .page import Monitor, serve
from .recording.recorder import Recorder, record

__all__ = ["Explanation", "Monitor", "Recorder", "explain", "record", "serve"]
