"""Webhooks: the one door that providers themselves knock at, behind which nothing but ``/hooks/{channel id}`` is."""

from daemon.hooks.app import Hooks, webhook_url
from daemon.hooks.channels import HookChannels
from daemon.hooks.providers import HookChannel
from daemon.hooks.server import HookListener, listener

__all__ = ["HookChannel", "HookChannels", "HookListener", "Hooks", "listener", "webhook_url"]
