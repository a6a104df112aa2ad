"""Starting the peers, talking to them, and stopping them."""
