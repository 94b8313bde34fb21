"""``personad organ``: what she perceives and thinks with."""

from __future__ import annotations

import json
from pathlib import Path

from tests.daemon.cli.command_line import personad
from tests.daemon_process import DaemonProcess
from tests.emulators.openai import OpenAIEmulator

KEY = "sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z"
UNKNOWN = "there is no provider 'none'; use anthropic, embedded, gemini, local, openai, xai"


def test_organs_are_shown_set_and_taken_away(
    shared_daemon: DaemonProcess, eve: str, mind: OpenAIEmulator, tmp_path: Path
) -> None:
    """An embedded organ needs no model, a remote one its model and key; the key is never shown; --off removes it."""
    (tmp_path / "key").write_text(KEY)
    remote = ("openai", "look", "--url", mind.url, "--api-key-file", str(tmp_path / "key"))
    shown = personad(shared_daemon, "organ", "Eve")
    embedded = json.loads(personad(shared_daemon, "organ", "Eve", "ear", "embedded", "--json").stdout)
    eye = personad(shared_daemon, "organ", "Eve", "eye", *remote)
    renamed = personad(shared_daemon, "organ", "Eve", "eye", "openai", "look-closer", "--json")
    record = json.loads((shared_daemon.state_dir / "personas" / eve / "config.json").read_text())
    off = json.loads(personad(shared_daemon, "organ", "Eve", "ear", "--off", "--json").stdout)

    assert [line.split()[0] for line in shown.stdout.splitlines()] == [
        *("ORGAN", "thinking", "imagination", "mouth", "eye", "ear", "teacher", "researcher")
    ]
    assert embedded == {"ear": {"name": "whisper-tiny.en", "provider": "embedded", "url": None}}
    assert eye.returncode == 0, eye.stderr
    assert eye.stdout.splitlines()[1].split() == ["eye", "openai", "look", mind.url]
    assert KEY not in eye.stdout + eye.stderr + renamed.stdout
    assert record["eye"] == {"name": "look-closer", "provider": "openai", "api_key": KEY, "url": mind.url}
    assert off == {"ear": None}


def test_what_is_not_an_organ(shared_daemon: DaemonProcess, eve: str) -> None:
    """Unknown organs, organs without a model, removing the mind and options without an organ are wrong usage."""
    for arguments in (
        ("nose",),
        ("teacher", "embedded"),
        ("eye", "openai"),
        ("thinking", "--off"),
        ("--off",),
        ("eye", "--url", "http://127.0.0.1:1"),
    ):
        refused = personad(shared_daemon, "organ", "Eve", *arguments)
        assert (refused.returncode, refused.stdout) == (2, ""), arguments


def test_what_an_organ_takes_is_said(shared_daemon: DaemonProcess, eve: str) -> None:
    """A word that is no provider, as "none" for taking an organ away, is answered with what there is."""
    for arguments, words in (
        (
            ("mouth", "none"),
            f"{UNKNOWN}; to remove it: personad organ PERSONA mouth --off",
        ),
        (("thinking", "none"), UNKNOWN),
        (("eye", "openai"), "name the model as well: personad organ PERSONA eye openai MODEL"),
        (("eye", "--url", "http://127.0.0.1:1"), "name the provider as well: personad organ PERSONA ORGAN PROVIDER"),
    ):
        refused = personad(shared_daemon, "organ", "Eve", *arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith(f"personad: {words}"), refused.stderr
    made = personad(shared_daemon, "create", "Zoe", "--provider", "none")
    assert (made.returncode, made.stdout) == (2, "")
    assert made.stderr.startswith("personad: there is no provider 'none'; use anthropic, embedded,")


def test_created_on_the_command_line_she_has_senses(shared_daemon: DaemonProcess) -> None:
    """A new persona has the embedded ear, eye, researcher and mouth, unless --no-senses leaves them out."""
    made = [personad(shared_daemon, "create", name, *more) for name, more in (("Ada", ()), ("Bea", ("--no-senses",)))]
    organs = [json.loads(personad(shared_daemon, "organ", name, "--json").stdout) for name in ("Ada", "Bea")]
    for name in ("Ada", "Bea"):
        personad(shared_daemon, "delete", name, "--yes")

    assert [one.returncode for one in made] == [0, 0], made[0].stderr
    assert {slot for slot, organ in organs[0].items() if organ} == {"thinking", "ear", "eye", "researcher", "mouth"}
    assert {slot for slot, organ in organs[1].items() if organ} == {"thinking"}
