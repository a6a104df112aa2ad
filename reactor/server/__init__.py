"""Connections that come in: listening sockets, and who is let in."""
