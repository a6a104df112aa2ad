"""The server: listening sockets, and the clients that they accept."""
