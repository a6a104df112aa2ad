"""An open connection, in either role: what comes in, what goes out, what time does to it."""
