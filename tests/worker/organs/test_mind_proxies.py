"""Remote minds behind a proxy: HTTP is spoken to it, anything else is refused in words."""

from __future__ import annotations

import asyncio

import pytest

from proto.records import Organ
from proto.secrets import Secret
from tests.patience import PATIENCE
from tests.worker.organs.test_minds import HELLO, LIMITS, PROVIDERS, no_host
from worker.base.organ_errors import OrganUnreachable
from worker.organs.choice import mind_for


async def refusal(provider: str) -> str:
    """Ask a mind at an address that nobody has, and return why it cannot be reached."""
    mind = mind_for(Organ("m", provider, Secret("sk-test-0123456789"), "https://provider.invalid"), LIMITS, {}, no_host)
    try:
        with pytest.raises(OrganUnreachable) as caught:
            await mind.think(HELLO, 100)
    finally:
        await mind.close()
    return str(caught.value)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_socks_is_refused(monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    """The reason names the setting, and no password."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:secret@127.0.0.1:9050")
    said = await refusal(provider)
    assert "HTTPS_PROXY names a socks5 proxy, which is not supported." in said
    assert "secret" not in said


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_proxy_is_asked_for_the_host(monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    """HTTPS_PROXY is followed, and ALL_PROXY is not."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with asyncio.timeout(PATIENCE), await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
        await refusal(provider)
    assert set(asked) == {b"CONNECT provider.invalid:443 HTTP/1.1\r\n"}
