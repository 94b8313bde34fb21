"""The rooms: which may import which, and why. The table is the map of the tree; the tests hold it to the code.

A room is a folder of ``daemon/`` or ``worker/`` (and each provider's folder under ``worker/gateways/``). The tables go
from top to bottom: a room imports rooms that stand below it, and ``proto``, which imports no room.
All imports count, also those inside functions and those for type checkers only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parent.parent
PROVIDERS: Final = ("telegram", "discord", "slack", "twilio", "whatsapp")


class Room(NamedTuple):
    """A room, what it imports, and why that and no more."""

    name: str
    imports: frozenset[str]
    reason: str


def room(name: str, imports: str, reason: str) -> Room:
    """``imports`` are the rooms below in the same tree, by their short names."""
    tree, _, _ = name.partition(".")
    return Room(name, frozenset(f"{tree}.{short}" for short in imports.split()), reason)


DAEMON: Final = (
    room("daemon.__main__", "cli", "The program is the command line."),
    room(
        "daemon.cli",
        "startup archives personas http ledger logging settings",
        "A client of the HTTP API: it shares formats with the daemon, such as an instruction's file, and only `serve`"
        " brings up the daemon itself."
        " `doctor` and `repair` look at the ledger's file, which may be why no daemon runs.",
    ),
    room(
        "daemon.startup",
        "api webhooks feeding archives supervision costs channels reminders conversations recall personas http ledger"
        " runtime logging settings",
        "The top: it constructs every part and gives each what it uses, so no part has to import it.",
    ),
    room(
        "daemon.api",
        "feeding archives supervision costs channels reminders conversations personas http ledger runtime logging"
        " settings",
        "The front: it turns requests into calls of the rooms below, and none of them knows HTTP.",
    ),
    room(
        "daemon.webhooks",
        "conversations http ledger runtime logging settings",
        "Another front, for providers: it verifies, commits and answers; what a webhook means is for others.",
    ),
    room(
        "daemon.feeding",
        "supervision costs conversations personas ledger runtime logging settings",
        "A feed runs a process of its own beside hers, so it stands on supervision.",
    ),
    room(
        "daemon.archives",
        "channels reminders personas ledger runtime logging",
        "An archive is her files and her rows; her channels come back through their one owner.",
    ),
    room(
        "daemon.supervision",
        "costs channels reminders conversations recall personas ledger runtime logging settings",
        "It hands what a process says to the rooms below it, which know a process as a `Worker` only.",
    ),
    room(
        "daemon.costs",
        "conversations personas ledger runtime logging settings",
        "Every process asks it before a call; a conversation only knows that it has to wait.",
    ),
    room(
        "daemon.channels",
        "conversations personas ledger runtime logging settings",
        "Channels bring messages into conversations; a conversation does not know how its messages came.",
    ),
    room(
        "daemon.reminders",
        "conversations personas ledger runtime logging",
        "What is due becomes a message of hers or a perception; a conversation does not know why it began.",
    ),
    room(
        "daemon.conversations",
        "recall personas ledger runtime logging settings",
        "Inbox, turns and delivery: they talk to a process through the protocol `Worker`, which lies here.",
    ),
    room(
        "daemon.recall",
        "personas ledger runtime logging",
        "It finds what was said before; who asks, and which turn it is for, is not its matter.",
    ),
    room(
        "daemon.personas",
        "ledger runtime logging",
        "Her record and files; a leftover file is kept if the ledger mentions it. Edits that the kernel does not"
        " report are looked for by the clock.",
    ),
    room(
        "daemon.http",
        "runtime logging settings",
        "What both fronts share: guards, tokens, listening, the form of answers; refusals are told once a minute.",
    ),
    room("daemon.ledger", "", "SQL and nothing else: it is told what to write."),
    room("daemon.runtime", "logging", "Clock and owners of tasks, for every room above; a fault is logged."),
    room("daemon.logging", "settings", "Everybody logs, so it knows nobody; its limits are settings."),
    room("daemon.settings", "", "The ground: read before anything else exists."),
)

WORKER: Final = (
    room("worker.__main__", "process", "The program is a process of the role that it is given."),
    room(
        "worker.process",
        "agent history gateways organs embedded base walls",
        "The top: it decides what a process is and brings up its parts.",
    ),
    room("worker.agent", "organs prompting base", "A turn: it asks organs, and knows no provider and no gateway."),
    room(
        "worker.history",
        "organs prompting base",
        "The feeder: it asks a mind about what others wrote, without an agent.",
    ),
    room(
        "worker.gateways",
        " ".join(f"gateways.{provider}" for provider in PROVIDERS) + " gateways.common base",
        "It chooses the provider; above it nobody knows one by name.",
    ),
    *(
        room(
            f"worker.gateways.{provider}", "gateways.common base", "A provider knows the kernel, and no other provider."
        )
        for provider in PROVIDERS
    ),
    room("worker.gateways.common", "base", "The kernel of all gateways: it knows no provider."),
    room(
        "worker.organs",
        "embedded prompting base",
        "An organ gets a question and gives an answer; who asks is not its matter.",
    ),
    room(
        "worker.embedded", "base", "Models on this machine, behind the same questions; loaded in the organ host only."
    ),
    room("worker.prompting", "base", "Texts for minds: pure, so that agent, organs and feeder share them."),
    room("worker.base", "walls", "What every process has: link, life, log, errors."),
    room("worker.walls", "", "What the kernel takes from every process; it knows no role."),
)

RULES: Final = {one.name: one for one in (*DAEMON, *WORKER)}


class Import(NamedTuple):
    """One import of one of our modules by another."""

    importer: str
    imported: str
    place: str


def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    found = {}
    for tree in ("daemon", "worker", "proto"):
        for path in (ROOT / tree).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES: Final = modules()


def imports_of(name: str, source: str) -> Iterator[Import]:
    """All imports of our modules in a module's source, also those inside functions."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                targets = [alias.name for alias in names]
            case ast.ImportFrom(module=module, names=names, level=0):
                # `from package import module` names a module, `from module import name` what is in it.
                inner = [f"{module}.{alias.name}" for alias in names]
                targets = [one if one in MODULES else str(module) for one in inner]
            case ast.ImportFrom():
                raise AssertionError(f"{name}:{node.lineno}: write imports with their whole path")
            case _:
                continue
        for target in targets:
            if target.partition(".")[0] in ("daemon", "worker", "proto"):
                yield Import(name, target, f"{name}:{node.lineno}")


def room_of(module: str) -> str:
    """The room that a module is in: the longest name that has a rule."""
    name = module
    while name not in RULES and "." in name:
        name = name.rpartition(".")[0]
    return name


def faults(found: Iterable[Import]) -> list[str]:
    """What is wrong with these imports, a line for each."""
    wrong = []
    for importer, imported, place in found:
        here, there = room_of(importer), room_of(imported)
        if here == there or (there == "proto" and here in RULES):
            continue
        rule = RULES.get(here)
        if rule is None or there not in rule.imports:
            reason = rule.reason if rule else "proto imports neither daemon nor worker."
            wrong.append(f"{place} imports {imported}. {reason}")
    return wrong


@cache
def all_imports() -> tuple[Import, ...]:
    """Every import in the tree. Parsed when the first test asks, so that only its process pays for it."""
    return tuple(one for name, path in MODULES.items() for one in imports_of(name, path.read_text()))


def test_imports_keep_to_the_table() -> None:
    """No module imports a room that its own room may not."""
    assert faults(all_imports()) == []


def test_no_rule_is_idle() -> None:
    """Each import that the table allows is used by somebody: the map shows no way that is not there."""
    used = {(room_of(one.importer), room_of(one.imported)) for one in all_imports()}
    idle = [
        f"{rule.name} -> {there}" for rule in RULES.values() for there in rule.imports if (rule.name, there) not in used
    ]
    assert idle == []


@pytest.mark.parametrize("tree", [DAEMON, WORKER], ids=["daemon", "worker"])
def test_rooms_import_downwards(tree: tuple[Room, ...]) -> None:
    """A room imports what stands below it in the table, so there is no circle of rooms."""
    names = [one.name for one in tree]
    for place, one in enumerate(tree):
        assert one.imports <= set(names[place + 1 :]), one.name


def test_every_folder_is_a_room() -> None:
    """Each folder has its rule, and nothing stands on the floors of daemon and worker but the way in."""
    for tree in ("daemon", "worker"):
        assert {path.stem for path in (ROOT / tree).glob("*.py")} == {"__init__", "__main__"}
        assert {f"{tree}.{path.parent.name}" for path in (ROOT / tree).glob("*/__init__.py")} <= RULES.keys()
    assert set(RULES) <= MODULES.keys()


def test_only_serve_imports_the_top() -> None:
    """The command line imports `startup` in one place."""
    importers = {one.importer for one in all_imports() if room_of(one.imported) == "daemon.startup"}
    outside = {name for name in importers if room_of(name) != "daemon.startup"}
    assert outside == {"daemon.cli.commands.serve"}


def test_no_circle_of_modules() -> None:
    """No module imports itself by way of others, inside a room neither."""
    graph: Mapping[str, set[str]] = {name: set() for name in MODULES}
    for one in all_imports():
        if one.imported != one.importer:
            graph[one.importer].add(one.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("daemon.ledger.ledger", "from daemon.personas.personas import Personas"),
        ("daemon.conversations.inbox", "def late() -> None:\n    from daemon.supervision import generation"),
        ("daemon.api.health", "if TYPE_CHECKING:\n    import daemon.startup.serve"),
        ("daemon.settings.settings", "import worker.base.log"),
        ("worker.base.log", "from daemon.logging.log import Log"),
        ("worker.gateways.slack.gateway", "from worker.gateways.telegram import gateway"),
        ("proto.records", "from worker.base import log"),
    ],
)
def test_a_wrong_import_is_found(importer: str, source: str) -> None:
    """The check itself sees imports that run up, across, out of a function and for type checkers only."""
    assert len(faults(imports_of(importer, source))) == 1
