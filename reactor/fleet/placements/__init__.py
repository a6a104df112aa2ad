"""Placements: who starts the processes of shards, and starts them again."""
