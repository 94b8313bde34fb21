"""Archives of personas, from strangers' machines: opened and whole, or refused with an ArchiveError."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Final

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.archives.archive import CONVERSATION, FED, HISTORY, MANIFEST, RECORD, ArchiveError, Manifest, Member, opened
from daemon.archives.lines import FORMS, as_today
from daemon.ledger import ArchivedVersion
from proto.records import Persona, from_json, to_json
from proto.unicode_text import valid_json
from tests.fuzz.strategies import (
    DEEP,
    SECRET,
    bent,
    documents,
    json_values,
    numbers,
    objects,
    outcome,
    packed,
    words,
    written,
)

ID: Final = "0" * 8 + "-0000-0000-0000-" + "0" * 12
HER: Final = written({"id": ID, "name": "Ada", "thinking": {"name": "m", "api_key": SECRET}})
WHOLE: Final = {RECORD: HER, CONVERSATION: b"", FED: b"", HISTORY: b""}
"""What every archive has."""


def archive(members: dict[str, bytes], manifest: object = None) -> bytes:
    """An archive with these members, and a manifest that tells of them unless there is another one."""
    named = [Member(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in members.items()]
    ours = Manifest(id=ID, name="Ada", exported_at="", secrets=True, consolidated=0, members=named)
    return packed({**members, MANIFEST: msgspec.json.encode(ours) if manifest is None else written(manifest)})


def read(data: bytes) -> str:
    """Read all of an archive, as a restore does; return why it is none."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()

        def reading() -> None:
            with opened(Path(file.name)) as found:
                found.verify()
                found.record()

        return outcome(reading, ArchiveError)


names = st.sampled_from(
    [
        RECORD,
        CONVERSATION,
        FED,
        "memory/person.md",
        "memory/../x.md",
        "instructions/greet.md",
        "instructions/../x.md",
        "media/a.png",
        "media/",
        "../x",
        "/etc/passwd",
        "",
        "a\\b",
    ]
)
archives = st.dictionaries(names, st.binary(max_size=60), max_size=6).map(lambda members: archive({**WHOLE, **members}))
manifests = objects(
    {
        "format": st.just("personad-archive"),
        "version": st.sampled_from([1, 2, 3]),
        "id": st.just(ID) | words,
        "name": words,
        "exported_at": words,
        "secrets": st.booleans(),
        "consolidated": numbers,
        "members": st.lists(objects({"name": names | words, "size": numbers, "sha256": st.just("0" * 64)}), max_size=4),
    }
)


@given(bent(archives) | manifests.map(lambda one: archive(WHOLE, one)))
@example(archive({**WHOLE, "": b""}))
@example(archive(WHOLE)[1:])
@example(packed({MANIFEST: b"[" * DEEP}))
@example(packed({MANIFEST: b'{"members": [], "x": ' + b"[" * DEEP}))
def test_archives(data: bytes) -> None:
    """Any file, whole or bent: its bytes are what the manifest says, or it is refused; no secret is quoted."""
    assert SECRET not in read(data)


def test_a_whole_one() -> None:
    """What an export writes is taken."""
    assert not read(archive({**WHOLE, "media/a.png": b"x"}))


@given(st.sampled_from([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_STORED]), st.integers(0, 60))
def test_cut_archives(method: int, left: int) -> None:
    """A file that was cut off, or is packed in another way, is refused."""
    whole = packed(WHOLE, method)
    assert read(whole[: len(whole) - left])


lines = objects(
    {
        "role": st.sampled_from(["person", "assistant"]),
        "content": words,
        "at": numbers,
        "channel": objects({"type": words, "name": words, "id": words}),
        "chat": words,
        "talk": words,
        "media": words,
        "title": words,
        "notice": st.booleans(),
    }
)


@given(st.sampled_from(sorted(FORMS)), lines.map(written) | documents)
@example(2, b'{"role": "person", "content": "x", "at": %d, "channel": {"type": "web", "name": "x"}}' % 10**25)
def test_lines(version: int, raw: bytes) -> None:
    """A line fits the ledger, or is refused with the errors that a restore names."""
    found: list[Any] = []

    def decoding() -> None:
        found.append(as_today(msgspec.json.decode(valid_json(raw), type=FORMS[version])))

    outcome(decoding, msgspec.DecodeError, RecursionError)
    for line in found:
        assert 0 <= line.at < 2**63
        msgspec.json.encode(line).decode()


versions = objects(
    {
        "file": st.just("person") | words,
        "version": numbers,
        "at": numbers,
        "why": objects({"cause": st.just("talk") | words, "last": numbers, "title": words}),
        "body": words | st.none(),
    }
)


@given(versions.map(written) | documents)
def test_versions(raw: bytes) -> None:
    """A version fits the ledger, and its file's name is no path."""
    found: list[ArchivedVersion] = []
    decode = msgspec.json.Decoder(ArchivedVersion).decode
    outcome(lambda: found.append(decode(valid_json(raw))), msgspec.DecodeError, RecursionError)
    for one in found:
        assert 0 <= one.at < 2**63
        assert 0 <= one.why.last < 2**63
        assert "/" not in one.file
        assert decode(msgspec.json.encode(one)) == one


_organ = objects({"name": words, "provider": words, "api_key": st.just(SECRET), "url": words})
records = objects(
    {
        "id": st.just(ID) | words,
        "name": words,
        "thinking": _organ,
        "ear": _organ,
        "status": st.sampled_from(["active", "hibernate", "sick"]) | words,
        "idle_timeout": numbers,
        "channels": st.lists(
            objects({"type": words, "name": words, "credentials": st.dictionaries(words, st.just(SECRET))}), max_size=2
        ),
    }
)


@given(records.map(written) | documents | bent(st.just(HER)))
@example(b'{"id": ' + b"[" * DEEP)
@example(b'{"channels": [{"credentials": ' + b"[" * DEEP)
@example(b'{"name": "\xff"}')
@example(written({"id": ID, "name": "A", "thinking": {"name": "m", "api_key": {SECRET: 1}}}))
@example(written({"id": ID, "name": "A", "thinking": {"name": "m"}, SECRET: 1}))
def test_records(raw: bytes) -> None:
    """A record that somebody edited is read back as it is written, or its fault is named without her keys."""
    found: list[Persona] = []
    outcome(lambda: found.append(from_json(raw, Persona)), msgspec.DecodeError, UnicodeDecodeError)
    for persona in found:
        assert from_json(to_json(persona), Persona) == persona
        assert SECRET not in repr(persona)


@given(json_values)
def test_values_of_records(value: object) -> None:
    """A key of the wrong type is not quoted."""
    raw = written({"id": ID, "name": "A", "thinking": {"name": "m", "api_key": [SECRET, value]}})
    assert SECRET not in outcome(lambda: from_json(raw, Persona), msgspec.DecodeError)
