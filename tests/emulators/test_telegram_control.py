"""The Telegram emulator driven by another process, and by a person at a terminal."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    TelegramNetworkError,
    TelegramRetryAfter,
)
from aiogram.types import BufferedInputFile

from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_clients import PICTURE, connected
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]


async def test_the_controls_over_http(telegram: TelegramEmulator) -> None:
    """Another process drives the emulator: bots, people, faults, waits, an outage."""
    async with httpx.AsyncClient(base_url=f"{telegram.url}/_control") as control:
        token = (await control.post("/bots", json={"username": "second_bot"})).json()["token"]
        about = {"user_id": 6_123_456_789, "token": token}
        said = (await control.post("/say", json={**about, "text": "hello", "username": "bob"})).json()
        picture = {"kind": "photo", "data": base64.b64encode(PICTURE).decode(), "text": "me"}
        await control.post("/say", json={**about, **picture})
        edit = {"kind": "edit", "text": "hello!", "message_id": said["message"]["message_id"]}
        await control.post("/say", json={**about, **edit})
        assert (await control.post("/say", json={"user_id": 1, "text": "to whom?"})).status_code == 400
        await control.post("/faults", json={"kind": "status", "code": 429, "method": "sendMessage", "retry_after": 3})
        async with connected(telegram, token) as bot:
            updates = await bot.get_updates()
            assert [u.event_type for u in updates] == ["message", "message", "edited_message"]
            with pytest.raises(TelegramRetryAfter):
                await bot.send_message(6_123_456_789, "hi")
            await bot.send_message(6_123_456_789, "hi")
            sent = await control.get("/sent", params={"chat_id": 6_123_456_789, "count": 1, "timeout": 5})
            assert sent.json()[0]["text"] == "hi"
            state = (await control.get("/state")).json()["bots"][1]
            assert state["pending"] == [u.update_id for u in updates]
            journal = (await control.get("/journal", params={"method": "sendMessage"})).json()
            assert [call["status"] for call in journal] == [429, 200]
            poll = asyncio.ensure_future(bot.get_updates(offset=updates[-1].update_id + 1, timeout=30))
            await telegram.until_called("getUpdates", 2)
            await control.post("/outage", json={"seconds": 0})
            with pytest.raises(TelegramNetworkError):
                await poll


async def test_by_hand(tmp_path: Path) -> None:
    """A person at a terminal talks to a bot."""
    picture = tmp_path / "me.jpg"
    picture.write_bytes(PICTURE)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.emulators.telegram",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    async with asyncio.timeout(PATIENCE):
        url, token, _ = [(await process.stdout.readline()).decode().strip() for _ in range(3)]
        session = AiohttpSession(api=TelegramAPIServer.from_base(url))
        async with Bot(token, session=session) as bot:
            process.stdin.write(f"Hello\n//user bob\n//photo {picture} that is me\n".encode())
            messages = [u.message for u in await bot.get_updates(timeout=20) if u.message]
            while len(messages) < 2:
                messages = [u.message for u in await bot.get_updates(timeout=20) if u.message]
            assert messages[0].text == "Hello"
            assert messages[1].caption == "that is me"
            await bot.send_message(messages[0].chat.id, "<b>Hi</b> Ann", parse_mode="HTML")
            await bot.send_photo(messages[1].chat.id, BufferedInputFile(PICTURE, "me.jpg"))
            printed = [(await process.stdout.readline()).decode().strip() for _ in range(2)]
            assert printed[0] == "bot to ann: <bold>Hi</bold> Ann"
            saved = re.fullmatch(r"bot to bob: \[photo (\S+)\]", printed[1])
            assert saved
            assert await asyncio.to_thread(Path(saved[1]).read_bytes) == PICTURE
            process.stdin.write(b"//quit\n")
            assert await process.wait() == 0
