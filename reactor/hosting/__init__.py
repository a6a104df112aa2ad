"""A reactor inside another event loop."""
