"""Connections that we open: from a URL to an open connection, and again after a loss."""
