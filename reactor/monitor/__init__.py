"""To see what a reactor does: explain() for one connection, figures, and recordings.

``reactor.monitor.prometheus`` and ``reactor.monitor.opentelemetry`` need their packages.
"""

from .explain import Explanation, explain
from .recording.recorder import Recorder, record

__all__ = ["Explanation", "Recorder", "explain", "record"]
