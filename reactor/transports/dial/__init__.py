"""The way from a host name to a connected socket: names, DNS, Happy Eyeballs."""
