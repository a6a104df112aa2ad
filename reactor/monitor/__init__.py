"""To see what a reactor does: explain() for one connection, figures for Prometheus and others."""

from .explain import Explanation, explain

__all__ = ["Explanation", "explain"]
