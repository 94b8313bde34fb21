"""Webhooks: the one door that providers themselves knock at, behind which nothing but ``/hooks/{channel id}`` is."""

from daemon.webhooks.app import Hooks, webhook_url
from daemon.webhooks.channels import HookChannels
from daemon.webhooks.providers import HookChannel
from daemon.webhooks.server import HookListener, listener

__all__ = ["HookChannel", "HookChannels", "HookListener", "Hooks", "listener", "webhook_url"]
