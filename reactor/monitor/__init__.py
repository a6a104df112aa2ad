"""To see what a reactor does: explain() for one connection, figures for Prometheus and others.

``reactor.monitor.prometheus`` and ``reactor.monitor.opentelemetry`` need their packages.
"""

from .explain import Explanation, explain
from .page import Monitor, serve

__all__ = ["Explanation", "Monitor", "explain", "serve"]
