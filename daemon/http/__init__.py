"""What stands between a connection and a route: protocol limits, tokens, and the rules of Host and Origin."""
