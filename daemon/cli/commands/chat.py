"""``personad chat PERSONA``: a conversation on the terminal, or line by line from a pipe.

A line ``/attach FILE [caption]`` sends a file, whether somebody types it or a script writes it. On a terminal her words
appear as they come, and a line ``/hush`` stops her answer.
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from daemon.cli.client import Client, Persona, RefusedError, UnreachableError
from daemon.cli.commands import Context, UsageError
from daemon.cli.commands.chat_draft import ChatDraft
from daemon.cli.commands.chat_socket import ChatSocket, Heard
from daemon.logging.terminal import lines, one_line

HISTORY_LINES: Final = 10
CHANNEL_SECONDS: Final = 10.0
"""How long her web channel may take to open after the socket, for example while she restarts."""
MORE_SECONDS: Final = 0.2
"""How long to wait for another message of the same answer."""
NO_ANSWER: Final = 1
PROMPT: Final = "> "
ATTACH: Final = re.compile(r'/attach\s+(?:"([^"]+)"|(\S+))\s*(.*)')
"""A line that sends a file: its path, in quotes if it has spaces, and an optional caption."""
HUSH: Final = "/hush"
CLEAR_LINE: Final = "\r\x1b[K"


def run(context: Context) -> int:
    """Chat until the input ends."""
    arguments = context.arguments
    client = Client(context.settings, context.environ, arguments.url)
    persona = client.find(arguments.persona)
    if not persona.running:
        raise RefusedError(409, f"{persona.name} is not running; start her with: personad start {persona.name}")
    socket = ChatSocket(client, persona)
    socket.wait_until_open()
    if sys.stdin.isatty() and sys.stdout.isatty() and not arguments.json:
        _chat(client, persona, socket)
        return 0
    return _pipe(client, persona, socket, arguments.timeout, as_json=arguments.json)


def _send(client: Client, persona: Persona, line: str) -> None:
    """Deliver what was typed: a message, or a file. Raises UsageError, RefusedError, UnreachableError."""
    if line.split(maxsplit=1)[0] != "/attach":
        _deliver(lambda: client.post(f"/api/persona/{persona.id}/read", {"message": line}))
        return
    attachment = ATTACH.fullmatch(line.strip())
    if attachment is None:
        raise UsageError("a file is sent by: /attach FILE [caption], with double quotes around a path that has spaces")
    name, caption = attachment[1] or attachment[2], attachment[3]
    try:
        file = Path(name).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{name}: cannot be read: this user has no home directory") from error
    try:
        _deliver(lambda: client.upload(f"/api/persona/{persona.id}/attach", "file", file, {"caption": caption}))
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{name}: cannot be read: {error}") from error


def _deliver(post: Callable[[], object]) -> None:
    deadline = time.monotonic() + CHANNEL_SECONDS
    while True:
        try:
            post()
        except RefusedError as error:
            if "Web channel" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(MORE_SECONDS)
        else:
            return


def _pipe(client: Client, persona: Persona, socket: ChatSocket, timeout: float, *, as_json: bool) -> int:
    """Send each line after the previous one is answered; return 0 when all were answered in time."""
    for line in sys.stdin:
        message = line.rstrip("\r\n")
        if not message.strip():
            continue
        while not socket.heard.empty():
            # A message that came before this one cannot be its answer.
            _print_one(socket.heard.get(), as_json=as_json)
        _send(client, persona, message)
        if not _print_answer(client, persona, socket, timeout, as_json=as_json):
            return NO_ANSWER
    return 0


def _print_answer(client: Client, persona: Persona, socket: ChatSocket, timeout: float, *, as_json: bool) -> bool:
    """Print her messages until she has answered; return whether she has. To be told of a refusal is no answer."""
    deadline = time.monotonic() + timeout
    answered = False
    while True:
        left = MORE_SECONDS if answered else deadline - time.monotonic()
        try:
            heard = socket.heard.get(timeout=max(0.0, left))
        except queue.Empty:
            if not answered:
                _complain(f"no answer within {timeout:g} s; {persona.name} keeps your message and answers when she can")
            return answered
        _print_one(heard, as_json=as_json)
        if heard.kind == "said":
            # While her mind is unreachable, the message is only a notice, and the answer is still to come.
            answered = answered or not _mind_is_down(client, persona)
        elif heard.kind == "set_aside":
            return False
        elif heard.kind == "end":
            return answered


def _print_one(heard: Heard, *, as_json: bool) -> None:
    """Print her messages to standard output and everything else to standard error."""
    if heard.kind == "said":
        sys.stdout.write((json.dumps(heard.frame) if as_json else lines(heard.text)) + "\n")
        sys.stdout.flush()
    elif heard.kind not in ("typing", "delta"):
        _complain(heard.text)


def _mind_is_down(client: Client, persona: Persona) -> bool:
    try:
        status = client.get("/api/status")
    except (RefusedError, UnreachableError):
        return False
    personas = status.get("personas", []) if isinstance(status, dict) else []
    return any(one.get("id") == persona.id and one.get("mind") == "down" for one in personas)


def _complain(text: str) -> None:
    print(f"personad: {one_line(text)}", file=sys.stderr, flush=True)


def _chat(client: Client, persona: Persona, socket: ChatSocket) -> None:
    """Chat on a terminal: her messages appear above the line that is being typed."""
    import readline

    name = one_line(persona.name)
    print(f"Talking to {name}; Ctrl-D leaves.")
    print("A file: /attach FILE [caption]. Stop her answer: /hush")
    _print_history(client, persona)

    def show(text: str) -> None:
        sys.stdout.write(f"{CLEAR_LINE}{text}\n{PROMPT}{readline.get_line_buffer()}")
        sys.stdout.flush()

    draft = ChatDraft(name, show)
    threading.Thread(target=_print_heard, args=(socket, name, show, draft), name="chat-printer", daemon=True).start()
    # Ctrl-D ends the input.
    with contextlib.suppress(EOFError):
        while True:
            message = input(PROMPT)
            draft.covered()
            if not message.strip():
                continue
            try:
                if message.strip() == HUSH:
                    _hush(client, persona)
                else:
                    _send(client, persona, message)
            except (UsageError, RefusedError, UnreachableError) as error:
                print(f"(not sent: {one_line(str(error))})")
    print()


def _hush(client: Client, persona: Persona) -> None:
    """Stop her answer. Its end comes over the socket."""
    answer = client.post(f"/api/persona/{persona.id}/hush")
    if isinstance(answer, dict) and answer.get("status") != "hushed":
        print("(she is not answering)")


def _print_history(client: Client, persona: Persona) -> None:
    answer = client.get(f"/api/persona/{persona.id}/conversation?limit={HISTORY_LINES}")
    messages = answer.get("messages", []) if isinstance(answer, dict) else []
    for message in messages[-HISTORY_LINES:]:
        speaker = persona.name if message.get("role") == "assistant" else "you"
        # A voice message has no file name; its transcript is shown instead.
        file, content = message.get("title"), message.get("content") or ""
        text = f"[{file}] {content}".rstrip() if file else content or message.get("perceived", "")
        print(lines(f"{speaker}: {text}"))


def _print_heard(socket: ChatSocket, name: str, show: Callable[[str], None], draft: ChatDraft) -> None:
    typing = False
    while True:
        heard: Heard = socket.heard.get()
        frame = heard.frame or {}
        if heard.kind == "delta":
            offset = frame.get("offset")
            draft.grow(frame.get("turn"), offset if isinstance(offset, int) else 0, heard.text)
            typing = True
            continue
        if heard.kind == "said":
            draft.end(frame.get("turn"), heard.text)
            typing = False
            continue
        if heard.kind == "typing":
            # The signal repeats every few seconds. Show it once until her message comes.
            if not typing:
                draft.covered()
                show(f"({name} is typing)")
        else:
            draft.covered()
            show(f"({one_line(heard.text)})")
        typing = heard.kind == "typing"
        if heard.kind == "end":
            show("(no more messages; Ctrl-D leaves)")
            return
