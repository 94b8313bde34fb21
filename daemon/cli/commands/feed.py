"""``personad feed PERSONA FILE --source SOURCE``: her owner's chat history with another AI, to learn from."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from typing import Final

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from daemon.cli.client import Client, Persona, RefusedError
from daemon.cli.commands import Context, UsageError, say, say_json
from daemon.cli.commands.chat_socket import MAX_FRAME, OPEN_TIMEOUT, SUBPROTOCOL
from daemon.logging.terminal import one_line

TIMEOUT: Final = 7 * 86_400.0
"""Seconds for a feed: years of conversation take a mind many hours."""
LAST_COUNT: Final = 2.0
"""Seconds to wait for the final count of a feed that has ended."""
BAR: Final = 30
CLEAR_LINE: Final = "\r\x1b[K"


def run(context: Context) -> int:
    """Send the file, show her progress, and wait until she has read all of it."""
    arguments = context.arguments
    client = Client(context.settings, context.environ, arguments.url)
    persona = client.find(arguments.persona)
    display = _Display(persona)
    if arguments.forecast:
        return _forecast(context, client, persona, display)
    watch = _Watch(client, persona, display)
    watch.start()
    try:
        texts = {"source": arguments.source}
        client.upload(f"/api/persona/{persona.id}/feed", "history", arguments.file, texts, TIMEOUT, display.sent)
    except OSError as error:
        raise UsageError(f"{arguments.file}: cannot be read: {error.strerror}") from error
    except KeyboardInterrupt:
        display.end()
        print("personad: she finishes the current conversation; feed the same file again to continue", file=sys.stderr)
        raise
    finally:
        display.end()
    watch.ended.wait(LAST_COUNT)
    counts = {key: watch.last.get(key) for key in ("conversations", "applied", "known", "undigested")}
    if arguments.json:
        say_json({"id": persona.id, "name": persona.name, "source": arguments.source, **counts})
    elif watch.ended.is_set():
        say(f"{persona.name}: {_conversations(counts['conversations'])} read, {counts['applied']} new to her")
        if counts["undigested"]:
            failed = _conversations(counts["undigested"])
            say(f"Her mind could not digest {failed}; feed the same file again to retry.")
    else:
        say(f"{persona.name}: fed")
    return 0


def _forecast(context: Context, client: Client, persona: Persona, display: _Display) -> int:
    """Print about what the feed would take of her mind; she learns nothing."""
    arguments = context.arguments
    path, texts = f"/api/persona/{persona.id}/feed/forecast", {"source": arguments.source}
    try:
        found = client.upload(path, "history", arguments.file, texts, TIMEOUT, display.sent)
    except OSError as error:
        raise UsageError(f"{arguments.file}: cannot be read: {error.strerror}") from error
    finally:
        display.end()
    if not isinstance(found, dict):
        raise RefusedError(500, "the daemon's answer holds no forecast")
    if arguments.json:
        say_json(found)
        return 0
    new = f"{_conversations(found.get('conversations'))}, {found.get('new')} new to {persona.name}"
    tokens = f"about {found.get('input'):,} tokens of input and {found.get('output'):,} of output"
    cost = f"{found['cost']} {found.get('currency')}".strip() if found.get("cost") is not None else ""
    money = f": about {cost}" if cost else "; [prices] in personad.toml has no price for her mind"
    say(f"{new}: {found.get('calls')} calls of her mind, {tokens}{money}")
    return 0


def _conversations(count: object) -> str:
    return f"{count} conversation" if count == 1 else f"{count} conversations"


class _Display:
    """A feed's progress on standard error: a bar on a terminal, otherwise a line per step."""

    def __init__(self, persona: Persona) -> None:
        self._name = persona.name
        self._is_terminal = sys.stderr.isatty()
        self._last = ""

    def sent(self, gone: int, size: int) -> None:
        """Show how many bytes of the file the daemon has."""
        self._show("sending", gone, size, "")

    def read(self, details: Mapping[str, object]) -> None:
        """Show the progress that the daemon reported."""
        position, size = details.get("position"), details.get("size")
        if isinstance(position, int) and isinstance(size, int):
            counts = f", {_conversations(details.get('conversations'))}, {details.get('applied')} new"
            self._show("reading", position, size, counts)

    def end(self) -> None:
        """Clear the line."""
        if self._is_terminal and self._last:
            sys.stderr.write(CLEAR_LINE)
            sys.stderr.flush()
        self._last = ""

    def _show(self, step: str, done: int, size: int, counts: str) -> None:
        percent = 100 * done // max(size, 1)
        line = f"{self._name}: {step} {percent:3d} %{counts}"
        if line == self._last or (not self._is_terminal and step == "sending" and percent % 10):
            return
        self._last = line
        if self._is_terminal:
            filled = BAR * percent // 100
            sys.stderr.write(f"{CLEAR_LINE}[{'#' * filled}{'.' * (BAR - filled)}] {one_line(line)}")
        else:
            sys.stderr.write(one_line(line) + "\n")
        sys.stderr.flush()


class _Watch(threading.Thread):
    """Listens to the daemon's signals. Only the display depends on them."""

    def __init__(self, client: Client, persona: Persona, display: _Display) -> None:
        super().__init__(name="feed-watch", daemon=True)
        self.last: Mapping[str, object] = {}
        self.ended = threading.Event()
        self._client = client
        self._persona = persona
        self._display = display

    def run(self) -> None:
        """Listen until the feed or the connection ends."""
        offered = [Subprotocol(SUBPROTOCOL)]
        if self._client.token:
            offered.append(Subprotocol(f"bearer.{self._client.token}"))
        address = f"{self._client.socket_url}/ws/system"
        try:
            with connect(
                address, subprotocols=offered, open_timeout=OPEN_TIMEOUT, max_size=MAX_FRAME, proxy=None
            ) as socket:
                for message in socket:
                    self._receive(json.loads(message))
        except (OSError, ValueError, WebSocketException):
            return

    def _receive(self, frame: Mapping[str, object]) -> None:
        details = frame.get("details")
        if not isinstance(details, dict) or frame.get("title") not in ("Feeding", "Fed"):
            return
        of = details.get("persona")
        if not isinstance(of, dict) or of.get("id") != self._persona.id:
            return
        self.last = details
        if frame["title"] == "Fed":
            self.ended.set()
        else:
            self._display.read(details)
