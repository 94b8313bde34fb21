"""Archives of personas, also damaged and changed ones."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import httpx

from tests.daemon_process import DaemonProcess, wait_for
from tests.patience import PATIENCE

MANIFEST = "manifest.json"


def exported(daemon: DaemonProcess, persona_id: str, query: str = "") -> bytes:
    """Export her archive."""
    answer = daemon.http.get(f"/api/persona/{persona_id}/export{query}")
    assert answer.status_code == 200, answer.text
    return answer.content


def restored(daemon: DaemonProcess, archive: bytes, **fields: str) -> httpx.Response:
    """Send an archive."""
    return daemon.http.post(
        "/api/persona/restore", files={"archive": ("eve.zip", archive)}, data=fields, timeout=PATIENCE
    )


def members(archive: bytes) -> dict[str, bytes]:
    """The archive's members, by name."""
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def manifest_of(archive: bytes) -> dict[str, Any]:
    """The archive's manifest (Any: JSON)."""
    manifest: dict[str, Any] = json.loads(members(archive)[MANIFEST])
    return manifest


def repacked(
    archive: bytes,
    changes: Mapping[str, bytes | None],
    manifest: Mapping[str, object] = MappingProxyType({}),
    *,
    honest: bool = True,
) -> bytes:
    """The archive with other members (None: without); an ``honest`` manifest names them; ``manifest`` changes it."""
    contents = {name: data for name, data in {**members(archive), **changes}.items() if data is not None}
    told = manifest_of(archive)
    if honest:
        told["members"] = [
            {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in contents.items()
            if name != MANIFEST
        ]
    contents[MANIFEST] = json.dumps({**told, **manifest}).encode()
    return zipped(contents)


def zipped(contents: Mapping[str, bytes]) -> bytes:
    """A ZIP file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in contents.items():
            packed.writestr(name, data)
    return buffer.getvalue()


def converse(daemon: DaemonProcess, persona_id: str) -> None:
    """Give her a little of everything: an answered message, a file with a caption, a memory file."""
    with daemon.socket(f"/ws/{persona_id}"):
        assert daemon.read(persona_id, "hello, é ✓\nsecond line").status_code == 200
        wait_for(lambda: len(shown(daemon, persona_id)) == 2, "an answer")
        answer = daemon.http.post(
            f"/api/persona/{persona_id}/attach",
            files={"file": ("ein Brief.txt", b"line\n" * 9000)},
            data={"caption": "what is this?"},
        )
        assert answer.status_code == 200, answer.text
        wait_for(lambda: len(shown(daemon, persona_id)) == 4, "an answer to the file")
    memory = daemon.state_dir / "personas" / persona_id / "memory"
    (memory / "person.md").write_text("- Name: Zoë\n- Likes: tea\n")
    (memory / "wishes.md").write_text("")


def shown(daemon: DaemonProcess, persona_id: str) -> list[dict[str, Any]]:
    """Her conversation as the API shows it, without the ids, which are the ledger's own (Any: JSON)."""
    return [{key: value for key, value in line.items() if key != "id"} for line in daemon.conversation(persona_id)]


def bodies(daemon: DaemonProcess, persona_id: str) -> list[bytes]:
    """Everything that the API shows of her, byte for byte."""
    names = [one["media"] for one in shown(daemon, persona_id) if one.get("media")]
    paths = ["knowledge", *(f"media/{name}" for name in names)]
    said = json.dumps(shown(daemon, persona_id)).encode()
    return [said, *(daemon.http.get(f"/api/persona/{persona_id}/{path}").content for path in paths)]
