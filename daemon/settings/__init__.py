"""Settings: read once from personad.toml and the environment, and checked before anything else happens."""
