"""What every part of the daemon runs on: the clock and the owners of tasks."""
