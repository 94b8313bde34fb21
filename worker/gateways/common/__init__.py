"""The kernel that all gateways share; each provider fills in its part."""
