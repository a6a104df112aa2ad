"""One page, and one place for Prometheus to ask, for all shards of a fleet."""

from .serving import FleetMonitor, serve_fleet

__all__ = ["FleetMonitor", "serve_fleet"]
