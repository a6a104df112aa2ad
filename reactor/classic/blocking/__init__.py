"""WebSocket and create_connection, in the thread of the caller."""
