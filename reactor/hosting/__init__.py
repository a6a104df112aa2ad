"""A reactor inside of somebody else's event loop."""
