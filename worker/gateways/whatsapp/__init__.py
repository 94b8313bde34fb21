"""The WhatsApp gateway, over Meta's Cloud API."""
