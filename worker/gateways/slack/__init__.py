"""The Slack gateway."""
