"""Programs of the peers that are Python packages: each runs in a process of its own."""
