"""websocket-client's package and its private modules, made of our names."""
