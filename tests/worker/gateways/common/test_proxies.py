"""Proxies from the environment: HTTP is spoken to them, anything else is refused in words before the first request."""

from __future__ import annotations

from typing import Final, Literal

import pytest

from proto.gateways import Gateway, Identify, channel_id
from proto.secrets import Secret
from worker.base.proxies import proxy_for
from worker.gateways import gateway_type
from worker.gateways.identify import identify

Kind = Literal["telegram", "discord"]
TOKENS: Final = {"telegram": "123456789:AAF0123456789abcdefghijklmnopqrstuv", "discord": "abcdefgh.ijklmnop.qrstuvwx"}


@pytest.mark.parametrize("proxy", ["socks5://me:secret@127.0.0.1:9050", "socks5h://127.0.0.1:1", "socks4://h:1"])
@pytest.mark.parametrize("kind", ["telegram", "discord"])
async def test_socks_is_refused(monkeypatch: pytest.MonkeyPatch, kind: Kind, proxy: str) -> None:
    """The reason names the setting and the remedy, and no password."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    url = "https://provider.invalid"
    found = await identify(Identify(kind, Secret(TOKENS[kind]), {kind: url}))
    assert f"HTTPS_PROXY names a {proxy.partition(':')[0]} proxy, which is not supported." in found.reason
    assert "NO_PROXY" in found.reason
    assert "secret" not in found.reason
    gateway = Gateway(channel_id(kind, "x"), kind, Secret(TOKENS[kind]))
    trouble = gateway_type(kind).account_type(gateway, url).unreachable()
    assert trouble is not None
    assert trouble.stops


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({"HTTPS_PROXY": "http://127.0.0.1:3128"}, "https://e.org", "http://127.0.0.1:3128"),
        ({"HTTPS_PROXY": "http://127.0.0.1:3128", "NO_PROXY": "e.org"}, "https://e.org", None),
        ({"HTTPS_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "e.org"}, "https://e.org", None),
        ({"HTTPS_PROXY": "http://127.0.0.1:3128"}, "http://127.0.0.1:8081", None),
        ({"ALL_PROXY": "socks5://127.0.0.1:1"}, "https://e.org", None),
    ],
)
async def test_proxy_for(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, proxy: str | None
) -> None:
    """HTTPS_PROXY and NO_PROXY are followed; ALL_PROXY, and addresses without TLS, are not."""
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy
    account = gateway_type("telegram").account_type(Gateway("0" * 16, "telegram", Secret(TOKENS["telegram"])), url)
    assert account.unreachable() is None
