"""The Telegram gateway."""

from __future__ import annotations

from worker.gateways.telegram import lazy_models

# Before any module of this folder can import aiogram.
lazy_models.load()
