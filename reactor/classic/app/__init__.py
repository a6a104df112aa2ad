"""WebSocketApp, run on the reactor."""
