"""To see what a reactor does: explain() for one connection, figures for Prometheus and others.

``reactor.monitor.prometheus`` and ``reactor.monitor.opentelemetry`` need their packages.
"""

from .explain import Explanation, explain

__all__ = ["Explanation", "explain"]
