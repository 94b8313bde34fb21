"""What gateways share: the kernel that each provider fills in."""
