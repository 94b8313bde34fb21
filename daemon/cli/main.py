"""The command line: ``personad [--config FILE] [--url URL] VERB``.

``serve`` is the daemon; every other verb is a thin client of its HTTP API. Exit codes: 0 done, 1 the daemon refused
(its reason is printed) or a check failed, 2 wrong usage, 64 invalid settings, 69 the daemon cannot be reached,
130 interrupted. ``serve`` has its own: see ``daemon/logging/log.py``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from daemon.cli.client import RefusedError, UnreachableError
from daemon.cli.commands import Context, UsageError
from daemon.logging.terminal import one_line
from daemon.settings import version
from daemon.settings.settings import Settings, SettingsError, load
from proto.exits import CONFIG, OK

if TYPE_CHECKING:
    # Generic for type checkers only.
    Verbs: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 (argparse has no public name for it)

REFUSED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 69
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    parsed = _parser().parse_args(arguments)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        # Characters that the locale cannot encode are escaped instead of causing a traceback.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a console's streams are TextIOWrapper
    try:
        context = Context(parsed, _settings(parsed, os.environ), os.environ)
        code: int = importlib.import_module(f"daemon.cli.commands.{parsed.module}").run(context)
        sys.stdout.flush()
    except SettingsError as error:
        if parsed.verb == "doctor":
            from daemon.cli.commands.doctor import broken_settings

            return broken_settings(error, as_json=parsed.json)
        return _fail(str(error), CONFIG)
    except UsageError as error:
        return _fail(str(error), USAGE)
    except RefusedError as error:
        return _fail(str(error), REFUSED)
    except UnreachableError as error:
        return _fail(str(error), UNREACHABLE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the output has closed it, so Python must not flush it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return code


def _settings(parsed: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    if parsed.verb == "token":
        # Without a token, a host that other machines can reach is an error. This verb is about to make the token.
        environ = {**environ, "PERSONAD_HTTP_HOST": "127.0.0.1"}
    return load(parsed.config, environ)


def _fail(text: str, code: int) -> int:
    print(f"personad: {one_line(text)}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="personad", description="Keeps AI personas alive.", allow_abbrev=False)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version, with the commit if it is known")
    _add_config(parser, None)
    _add_url(parser, None)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(
        name: str, module: str, text: str, *, client: bool = True, among: Verbs | None = None
    ) -> argparse.ArgumentParser:
        made = (among or verbs).add_parser(name, help=text, description=text, allow_abbrev=False)
        made.set_defaults(module=module)
        _add_config(made, argparse.SUPPRESS)
        if client and name not in ("create", "organ"):
            # For these verbs --url is a model's address; the daemon's address comes before the verb.
            _add_url(made, argparse.SUPPRESS)
        if client:
            made.add_argument("--json", action="store_true", help="print JSON instead of text")
        return made

    serve = verb("serve", "serve", "Run the daemon in the foreground.", client=False)
    serve.add_argument(
        "--create-first", metavar="NAME", help="create a persona with the embedded mind if there is none"
    )
    serve.add_argument(
        "--accept-loss", action="store_true", help="start although the ledger lost something, with what is left"
    )

    create = verb("create", "create", "Create a persona and start her.")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--provider", help="embedded (default), local, openai, anthropic, xai or gemini")
    create.add_argument("--model", help="the model's name at the provider")
    create.add_argument("--url", dest="mind_url", help="base URL of a compatible server")
    create.add_argument(
        "--no-senses", action="store_true", help="leave out the embedded ear, eye, researcher and mouth"
    )
    create.add_argument("--zone", help="your time zone, an IANA name such as Europe/Oslo (the machine's)")
    _add_keys(create)

    verb("list", "list_personas", "List the personas.")
    for name, text in (
        ("start", "Start a persona."),
        ("hush", "Stop the answer that a persona is giving; what she has said of it stays."),
        ("stop", "Stop a persona until she is started again, also when the daemon restarts."),
        ("restart", "Give a persona a new process."),
        ("delete", "Delete a persona with all her data."),
    ):
        _add_persona(made := verb(name, "lifecycle", text))
        if name == "delete":
            made.add_argument("--yes", action="store_true", help="do not ask")

    _add_persona(retry := verb("retry", "retry", "Take up again the messages that a persona has set aside."))
    retry.add_argument(
        "message", nargs="?", type=_message, metavar="MESSAGE", help="only this one: its number in `personad status`"
    )
    retry.add_argument("--drop", action="store_true", help="close them without an answer")

    _add_persona(chat := verb("chat", "chat", "Talk to a persona, or send her files; Ctrl-D leaves."))
    chat.add_argument(
        "--timeout", type=_seconds, default=180.0, metavar="SECONDS", help="how long to wait for an answer (180)"
    )

    _add_reminder_verbs(verb)
    _add_channel_verbs(verbs, verb)
    _add_persona(pair := verb("pair", "pair", "Claim the code that her bot showed on a channel."))
    pair.add_argument("code", metavar="CODE", help="upper or lower case does not matter")

    _add_knowledge_verbs(verb)
    _add_instruction_verbs(verbs, verb)
    logs = verb("logs", "logs", "Show the daemon's latest events.")
    logs.add_argument("persona", nargs="?", metavar="PERSONA", help="only this persona's events: an id or a name")
    logs.add_argument("-f", "--follow", action="store_true", help="keep printing new events")
    logs.add_argument("-n", "--lines", type=_count, default=100, metavar="N", help="how many events (100)")

    _add_cost_verbs(verb)
    verb("status", "status", "Show the state of the daemon and its personas.")
    repair = verb("repair", "repair", "Salvage a damaged ledger while no daemon runs.", client=False)
    repair.add_argument("--json", action="store_true", help="print JSON instead of text")
    verb("doctor", "doctor", "Check the installation and say what to do.")
    token = verb("token", "token", "Make a token for the API and print it once.")
    token.add_argument(
        "--file", type=Path, metavar="FILE", help="the token file (http.token_file, else STATE_DIR/token)"
    )
    token.add_argument("--read-only", action="store_true", help="a token that may read, and changes nothing")
    return parser


class _Version(argparse.Action):
    """Prints the version. argparse's own action would need the text at every start, this one makes it on request."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(version.described())
        parser.exit(OK)


def _add_reminder_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    _add_persona(remind := verb("remind", "remind", "Have a persona remind you, once or again and again."))
    remind.add_argument("body", metavar="BODY", help="what she tells you, or does with --task")
    when = remind.add_mutually_exclusive_group(required=True)
    when.add_argument("--at", metavar="TIME", help="ISO 8601, such as 2026-12-01T08:00")
    when.add_argument("--in", dest="wait", type=_duration, metavar="TIME", help="from now, such as 20m, 1h30m or 2d")
    when.add_argument("--cron", metavar="RULE", help='a rule, such as "0 8 * * 1-5" for every weekday at 8:00')
    remind.add_argument("--zone", help="the time zone of TIME or RULE, an IANA name (yours)")
    remind.add_argument("--channel", help="where: web, telegram, or a channel's name (where you wrote last)")
    remind.add_argument("--task", action="store_true", help="a task for her mind, in place of a text that she tells")
    _add_persona(reminders := verb("reminders", "reminders", "List what a persona will remind you of."))
    reminders.add_argument("--cancel", type=_reminder, metavar="ID", help="remove this one")
    _add_persona(hours := verb("hours", "hours", "Show or change your time zone and quiet hours with a persona."))
    hours.add_argument("--zone", help='an IANA name such as Europe/Oslo; "" for the machine\'s')
    hours.add_argument("--quiet", metavar="SPAN", help='when routines wait, such as 22:00-07:00; "" for never')


def _add_knowledge_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    _add_persona(organ := verb("organ", "organ", "Show what a persona perceives and thinks with, or change it."))
    organ.add_argument(
        "organ", nargs="?", metavar="ORGAN", help="thinking, ear, eye, researcher, mouth, imagination, teacher"
    )
    organ.add_argument("provider", nargs="?", help="embedded, local, openai, anthropic, xai or gemini")
    organ.add_argument("model", nargs="?", help="the model's name at the provider; embedded ones need none")
    organ.add_argument("--url", dest="organ_url", help="base URL of a compatible server")
    organ.add_argument("--off", action="store_true", help="remove this organ")
    _add_keys(organ)

    _add_persona(knowledge := verb("knowledge", "knowledge", "Show what a persona knows, and how it came to be."))
    past = knowledge.add_mutually_exclusive_group()
    past.add_argument("--history", nargs="?", const="", metavar="FILE", help="the versions of a file, or all files")
    past.add_argument(
        "--diff", nargs="+", metavar=("FILE", "VERSION"), help="what changed since a version (the one before the last)"
    )
    past.add_argument(
        "--undo", nargs="+", metavar=("FILE", "VERSION"), help="put a version back (the one before the last)"
    )
    _add_persona(feed := verb("feed", "feed", "Let a persona learn from your chat history with another AI."))
    feed.add_argument("file", type=Path, metavar="FILE", help="the export, exactly as you got it from the other AI")
    feed.add_argument(
        "--source", required=True, help="where the export is from: chatgpt, claude, gemini, grok or personad"
    )
    feed.add_argument("--forecast", action="store_true", help="only say about what it would take of her mind")

    _add_persona(export := verb("export", "export", "Write a persona with all her data into one file."))
    export.add_argument("file", type=Path, metavar="FILE", help="a ZIP archive that only you can read")
    export.add_argument("--force", action="store_true", help="replace an existing file")
    export.add_argument("--no-secrets", action="store_true", help="leave out her keys and tokens")
    restore = verb("restore", "restore", "Restore a persona from her archive.")
    restore.add_argument("file", type=Path, metavar="FILE", help="the archive that `personad export` wrote")
    restore.add_argument("--name", metavar="NEW", help="a name instead of her own")
    restore.add_argument("--new-id", action="store_true", help="restore a second persona beside the existing one")


def _add_cost_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    usage = verb("usage", "usage", "Show what remote minds and organs used, by day, model and purpose.")
    usage.add_argument("persona", nargs="?", metavar="PERSONA", help="only this persona: an id or a name")
    usage.add_argument("--from", dest="first", metavar="DAY", help="the first day, such as 2026-01-31")
    usage.add_argument("--to", dest="last", metavar="DAY", help="the last day (today)")
    budget = verb("budget", "budget", "Show or change what a persona may use of remote minds and organs.")
    _add_persona(budget)
    amount = '"200000 tokens", "2.50 USD", "unlimited", or "" for the setting'
    budget.add_argument("--day", metavar="LIMIT", help=f"in a day: {amount}")
    budget.add_argument("--month", metavar="LIMIT", help="in a month")
    budget.add_argument("--visitors-day", metavar="LIMIT", help="for visitors in a day, apart from the others")
    budget.add_argument("--visitors-month", metavar="LIMIT", help="for visitors in a month")


def _add_instruction_verbs(verbs: Verbs, verb: Callable[..., argparse.ArgumentParser]) -> None:
    text = "List, write or remove a persona's instructions: what she is asked to do, and when."
    instruction = verbs.add_parser("instruction", help=text, description=text, allow_abbrev=False)
    actions = instruction.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_persona(verb("list", "instruction", "List her instructions.", among=actions))
    _add_persona(put := verb("set", "instruction", "Write an instruction, or replace it.", among=actions))
    put.add_argument("name", metavar="NAME", help="small letters, digits and dashes, such as be-brief")
    put.add_argument("file", type=Path, metavar="FILE", help="Markdown; its first heading says when. - is the input")
    put.add_argument("--visitors", action="store_true", help="visitors' conversations follow it, too")
    _add_persona(remove := verb("remove", "instruction", "Remove an instruction.", among=actions))
    remove.add_argument("name", metavar="NAME", help="the name that `personad instruction list` shows")


def _add_channel_verbs(verbs: Verbs, verb: Callable[..., argparse.ArgumentParser]) -> None:
    text = "Add, remove or list the channels on which a persona is reached from outside."
    channel = verbs.add_parser("channel", help=text, description=text, allow_abbrev=False)
    actions = channel.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_persona(add := verb("add", "channel", "Add a bot as a channel; asks for the token.", among=actions))
    add.add_argument("kind", choices=("telegram", "discord"), metavar="KIND", help="telegram or discord")
    tokens = add.add_mutually_exclusive_group()
    tokens.add_argument("--token-file", type=Path, metavar="FILE", help="a file that holds the bot's token")
    tokens.add_argument("--token-env", metavar="NAME", help="an environment variable that holds the bot's token")
    _add_persona(remove := verb("remove", "channel", "Remove a channel.", among=actions))
    remove.add_argument("name", metavar="NAME", help="the name that `personad channel list` shows")
    _add_persona(verb("list", "channel", "List a persona's channels and what to do next.", among=actions))


def _add_config(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument("--config", type=Path, default=default, metavar="FILE", help="the settings file")


def _add_url(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument(
        "--url", default=default, metavar="URL", help="the daemon's address, if not the one in the settings"
    )


def _add_keys(parser: argparse.ArgumentParser) -> None:
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument("--api-key-file", type=Path, metavar="FILE", help="a file that holds the provider's key")
    keys.add_argument("--api-key-env", metavar="NAME", help="an environment variable that holds the provider's key")


def _add_persona(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("persona", metavar="PERSONA", help="an id or a unique name")


def _message(text: str) -> int:
    if not _whole(text, 1, 2**63 - 1):
        raise argparse.ArgumentTypeError("must be a message's number, which `personad status` shows")
    return int(text)


def _reminder(text: str) -> int:
    if not _whole(text, 1, 2**63 - 1):
        raise argparse.ArgumentTypeError("must be a reminder's number, which `personad reminders` shows")
    return int(text)


def _duration(text: str) -> int:
    """Return seconds."""
    found = re.fullmatch(r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,8})s)?", text, re.ASCII)
    units = (86_400, 3600, 60, 1)
    seconds = sum(int(count or 0) * unit for count, unit in zip(found.groups(), units, strict=True)) if found else 0
    if not seconds:
        raise argparse.ArgumentTypeError("must be a time such as 20m, 1h30m or 2d")
    return seconds


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError("must be a number of seconds, more than 0 and at most 86400")
    return seconds


def _count(text: str) -> int:
    if not _whole(text, 0, 100_000):
        raise argparse.ArgumentTypeError("must be a whole number from 0 to 100000")
    return int(text)


def _whole(text: str, least: int, most: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 19 and least <= int(text) <= most
