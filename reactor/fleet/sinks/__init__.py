"""Sinks: where the updates of a shard go."""
