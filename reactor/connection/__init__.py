"""A connection in either role: reading, sending, calling the handlers, and the watches over it."""
