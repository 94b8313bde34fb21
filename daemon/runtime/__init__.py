"""What every room runs on: the clock, and the owners of tasks."""
