"""Models behind a server: the protocol, a client, and a server to copy."""
