"""Makes the parts, brings the personas up, and stops in order. Only the command imports it."""
