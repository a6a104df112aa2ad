"""Sockets: how to get connected, and the streams over connections."""
