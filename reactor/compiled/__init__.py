"""The compiled twins of what every message passes, and the list of what they replace."""
