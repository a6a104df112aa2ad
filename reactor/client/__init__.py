"""Client connections: from a URL to an open connection, and again after a loss."""
