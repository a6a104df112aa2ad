"""To see what a reactor does: explain() for one connection, figures, a page, recordings.

``reactor.monitor.prometheus`` and ``reactor.monitor.opentelemetry`` need their packages.
"""

from ..protocols.history import LifeEvent, Step
from .explain import Explanation, explain
from .fleet.serving import FleetMonitor, serve_fleet
from .page import Monitor, serve
from .recording.recorder import Recorder, record

__all__ = [
    "Explanation",
    "FleetMonitor",
    "LifeEvent",
    "Monitor",
    "Recorder",
    "Step",
    "explain",
    "record",
    "serve",
    "serve_fleet",
]
