"""The connections of a feed, and the messages on them."""
