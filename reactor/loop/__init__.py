"""The event loop: descriptors, timers, calls, coroutines, helper threads; nothing of WebSocket."""
