"""Tokens and pairing codes appear nowhere that is read, logged or listed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.daemon.channels.stage import Stage
from tests.daemon_process import DaemonProcess, wait_for
from tests.listener import Listener
from tests.observed import family


def processes(daemon: DaemonProcess) -> str:
    """Command lines and environments of the daemon and of all its processes."""
    found = b""
    for pid in (daemon.pid, *(process.pid for process in family(daemon))):
        for name in ("cmdline", "environ", "comm"):
            try:
                found += Path(f"/proc/{pid}/{name}").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found.decode(errors="replace")


def test_tokens_and_codes_are_nowhere(stage: Stage) -> None:
    """While channels are added, paired, failing and revoked, no log, frame, status, metric or process list has them."""
    daemon = stage.daemon
    with Listener(daemon, stage.id) as web, Listener(daemon, "system") as everything:
        chat = stage.provider.chat(stage.add(), "alice_secret")
        code = chat.ask_for_code("first words")
        assert stage.pair("WRONG2").status_code == 400
        assert stage.pair(code).status_code == 200
        chat.hears("first words")
        seen = processes(daemon)
        stage.provider.fail_sends(503, times=1)
        chat.write("once more")
        chat.hears("once more")
        stage.provider.down()
        wait_for(lambda: stage.channel()["state"] == "degraded", "the outage")
        stage.provider.up()
        stage.connected()
        refused = stage.post("channels", {"kind": stage.provider.kind, "credentials": {"token": stage.token}})
        assert refused.status_code == 400
        stage.provider.revoke(stage.token)
        wait_for(lambda: stage.channel()["state"] == "stopped", "the end of the channel")
        wait_for(lambda: "Gateway changed" in everything.titles, "the frames of /ws/system")
    places = {
        "the log": daemon.log.read_text(),
        "/ws/system": json.dumps(everything.frames),
        "her socket": json.dumps(web.frames),
        "the status": daemon.http.get("/api/status").text,
        "the metrics": daemon.http.get("/metrics").text,
        "the log's tail": daemon.http.get("/api/logs").text,
        "her conversation": daemon.http.get(f"/api/persona/{stage.id}/conversation").text,
        "a refusal": refused.text,
        "processes": seen + processes(daemon),
    }
    secret = stage.token.rpartition(":")[2]
    for place, text in places.items():
        assert text or place == "her conversation", place
        for what in (stage.token, secret, quote(stage.token, safe=""), secret[:16], code):
            assert what not in text, f"a secret in {place}"


def test_codes_are_hashed_at_rest(stage: Stage) -> None:
    """The ledger's files hold neither a code nor a token."""
    chat = stage.provider.chat(stage.add(), "alice_rest")
    code = chat.ask_for_code()
    files = [path for path in stage.daemon.state_dir.iterdir() if path.is_file()]
    assert any(path.stat().st_size > 10_000 for path in files)
    for path in files:
        content = path.read_bytes()
        assert code.encode() not in content
        assert stage.token.encode() not in content


def test_config_is_private(stage: Stage) -> None:
    """The only file with the token is readable by its owner only."""

    stage.add()
    file = stage.daemon.state_dir / "personas" / stage.id / "config.json"
    record: dict[str, Any] = json.loads(file.read_text())
    assert record["channels"][0]["credentials"]["token"] == stage.token
    assert file.stat().st_mode & 0o077 == 0
