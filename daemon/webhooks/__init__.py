"""Webhooks: the listener that providers call; it serves only ``/hooks/{channel id}``."""

from daemon.webhooks.app import WebhookApp, webhook_url
from daemon.webhooks.channels import WebhookChannels
from daemon.webhooks.providers import WebhookChannel
from daemon.webhooks.server import WebhookListener, listener

__all__ = ["WebhookApp", "WebhookChannel", "WebhookChannels", "WebhookListener", "listener", "webhook_url"]
