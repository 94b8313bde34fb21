"""Archives: a provider's archive is read without unpacking it, and one that no provider makes is refused."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import pytest

from proto.feeds import Source
from worker.history import archive
from worker.history.imported import HistoryError
from worker.history.reading import History

EXPORTS = Path(__file__).parents[2] / "fixtures" / "exports"
TALK = {"chat_messages": [{"sender": "human", "text": "Hello"}]}
ONE = json.dumps([TALK]).encode()

Members = dict[str, bytes]


def packed(folder: Path, members: Members, method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "upload"
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def titles(path: Path, source: Source) -> list[str]:
    return [found.talk.title or found.talk.lines[0].content for found in History(path, source).talks()]


def refused(path: Path, says: str, source: Source = "claude") -> None:
    with pytest.raises(HistoryError, match=says):
        titles(path, source)


@pytest.mark.parametrize(
    ("source", "members", "expected"),
    [
        ("claude", {"data-1/conversations.json": ONE, "data-1/users.json": b"[]", "x.png": b"\x89PNG"}, ["Hello"]),
        (
            "chatgpt",
            {
                "conversations-001.json": b'[{"title":"b","mapping":{"1":{"message":{"author":{"role":"user"},'
                b'"content":{"parts":["x"]}}}}}]',
                "conversations-000.json": b"[]",
                "shared_conversations.json": b"broken",
                "photo.zip": b"PK\x03\x04",
            },
            ["b"],
        ),
        (
            "gemini",
            {
                "Takeout/Meine Aktivitäten/Gemini-Apps/MeineAktivitäten.json": (
                    EXPORTS / "gemini-activity.json"
                ).read_bytes(),
                "Takeout/Drive/Google AI Studio/Cat": (EXPORTS / "gemini-studio.json").read_bytes(),
                "Takeout/Drive/Google AI Studio/README": b"not JSON",
                "Takeout/Maps/Records.json": b'{"locations": [1, 2]}',
                "Takeout/Search/MyActivity.json": b"[1]",
                "Takeout/archive_browser.html": b"<html>",
            },
            ["(an image)", "What wine goes with cheese?", "Ich liebe Tee", "送信した: お茶"],
        ),
        (
            "grok",
            {
                "ttl/30d/export_data/1/prod-grok-backend.json": (EXPORTS / "grok-archive.json").read_bytes(),
                "ttl/30d/export_data/1/prod-mc-billing.json": b'{"invoices": []}',
            },
            ["Stars"],
        ),
        (
            "personad",
            {"persona.json": b"{}", "conversation.jsonl": (EXPORTS / "personad.jsonl").read_bytes()},
            ["web, 2025-11-30", "telegram, 2025-11-30", "web, 2025-12-01"],
        ),
    ],
)
def test_what_providers_hand_out(source: Source, members: Members, expected: list[str], tmp_path: Path) -> None:
    """Conversations are found at any depth, and by content if names vary; other members are ignored."""
    assert titles(packed(tmp_path, members), source) == expected


def test_progress_is_told_in_unpacked_bytes(tmp_path: Path) -> None:
    """Two members count as one whole."""
    path = packed(tmp_path, {"conversations-000.json": ONE, "conversations-001.json": ONE})
    last = list(History(path, "claude").talks())[-1]
    assert (last.position, last.size) == (2 * len(ONE) - 1, 2 * len(ONE))


def test_names_are_no_paths(tmp_path: Path) -> None:
    """A member is found by the last part of its name, and nothing is ever written."""
    folder = tmp_path / "in"
    folder.mkdir()
    members = {"../../conversations.json": ONE, "/etc/conversations-1.json": ONE}
    assert titles(packed(folder, members), "claude") == ["Hello", "Hello"]
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "upload"]


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({}, "holds no conversations of Claude"),
        ({"readme.txt": b"x"}, "holds no conversations of Claude"),
        ({"inner.zip": b"PK\x03\x04"}, "unpack it, and feed the archive that is in it"),
        ({"conversations.json": b"PK\x03\x04"}, "not JSON"),
        ({"conversations.json": b""}, "is empty"),
        ({"conversations.json": b"[" + b" " * 3_000_000 + b"]"}, "more than 200 times"),
        ({"conversations.json": (EXPORTS / "chatgpt.json").read_bytes()}, "export of ChatGPT, not of Claude"),
    ],
)
def test_archives_without_an_export(members: Members, says: str, tmp_path: Path) -> None:
    """Each is refused with a reason, and a bomb before any byte of it is unpacked."""
    refused(packed(tmp_path, members), says)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_unusual_packing(method: int, tmp_path: Path) -> None:
    """Methods whose memory an archive chooses are refused."""
    refused(packed(tmp_path, {"conversations.json": ONE}, method), "unusual method")


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An oversized directory is refused before it is read into memory."""
    path = packed(tmp_path, {f"{n}": b"" for n in range(21)} | {"conversations.json": ONE})
    monkeypatch.setattr(archive, "MAX_MEMBERS", 20)
    refused(path, "more than 20 members")
    # An archive that declares fewer members.
    content = bytearray(path.read_bytes())
    struct.pack_into("<2H", content, len(content) - 14, 3, 3)
    path.write_bytes(content)
    refused(path, "more than 20 members")
    monkeypatch.setattr(archive, "MAX_DIRECTORY", 100)
    monkeypatch.setattr(archive, "MAX_MEMBERS", 50)
    refused(path, "members")


@pytest.mark.parametrize(("members", "size"), [(60_000, 1000), (5, 1 << 40)])
def test_too_many_members_in_zip64(members: int, size: int, tmp_path: Path) -> None:
    """The 64-bit end record takes precedence."""
    path = tmp_path / "upload"
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, members, members, size, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 4, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(b"PK\x03\x04" + record + locator + end)
    refused(path, "more than 50000 members")


def test_zip64(tmp_path: Path) -> None:
    """An archive of the 64-bit form is read like any other."""
    path = packed(tmp_path, {"conversations.json": ONE})
    content = path.read_bytes()
    *_, members, _, size, start, _ = struct.unpack("<4s4H2LH", content[-22:])
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, members or 1, members or 1, size, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, start + size, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(content[:-22] + record + locator + end)
    assert titles(path, "claude") == ["Hello"]


def edited(path: Path, field: str, number: int) -> Path:
    """Change a field of the first member, in the directory and in its own header."""
    directory, header, form = {
        "flags": (8, 6, "<H"),
        "crc": (16, 14, "<L"),
        "packed": (20, 18, "<L"),
        "size": (24, 22, "<L"),
    }[field]
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    struct.pack_into(form, content, at + directory, number)
    struct.pack_into(form, content, header, number)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("field", "number", "says"),
    [
        ("flags", 1, "with its password"),
        ("crc", 7, "is damaged: Bad CRC-32"),
        ("size", len(ONE) - 9, "is damaged|ends in the middle"),
        ("size", len(ONE) + 9, "shorter than its directory says"),
        ("packed", 100_000, "members overlap"),
        ("packed", 9, "is damaged|ends in the middle"),
    ],
)
def test_directories_that_lie(field: str, number: int, says: str, tmp_path: Path) -> None:
    """What a directory says of a member is checked against the member."""
    refused(edited(packed(tmp_path, {"conversations.json": ONE}), field, number), says)


def test_members_that_share_bytes(tmp_path: Path) -> None:
    """Two names for the same bytes are a way to make a small archive unpack to a huge one."""
    path = packed(tmp_path, {"conversations-1.json": ONE, "conversations-2.json": ONE})
    content = bytearray(path.read_bytes())
    second = content.rindex(b"PK\x01\x02")
    struct.pack_into("<L", content, second + 42, 0)
    path.write_bytes(content.replace(b"conversations-2", b"conversations-1"))
    refused(path, "members overlap")


def test_a_break_in_a_member_told_by_its_content(tmp_path: Path) -> None:
    """A member with a conversation is an export, and its damage is reported; what came before it is kept."""
    activity = (EXPORTS / "gemini-activity.json").read_bytes()
    path = packed(tmp_path, {"a.json": b"[1]", "b.json": activity[:-20]})
    found: list[object] = []
    with pytest.raises(HistoryError, match="ends in the middle"):
        found.extend(History(path, "gemini").talks())
    assert len(found) == 1


@pytest.mark.parametrize("keep", [3, 4, 30, 60, -1, -22])
def test_half_an_archive(keep: int, tmp_path: Path) -> None:
    """An archive without its end is broken, and one that is cut in its first bytes is not even recognized."""
    path = packed(tmp_path, {"conversations.json": ONE})
    path.write_bytes(path.read_bytes()[:keep])
    refused(path, "archive is broken|cannot be read|not JSON")


def test_garbage_in_the_data(tmp_path: Path) -> None:
    """What was digested before the damage is kept; the damage is reported."""
    buffer = io.BytesIO()
    many = json.dumps([{"chat_messages": [{"sender": "human", "text": f"{n} {hash(str(n))}"}]} for n in range(60_000)])
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("conversations.json", many)
    content = bytearray(buffer.getvalue())
    content[-5000:-4900] = bytes(100)
    path = tmp_path / "upload"
    path.write_bytes(content)
    found: list[object] = []
    with pytest.raises(HistoryError, match="is damaged"):
        found.extend(History(path, "claude").talks())
    assert len(found) > 1000
