"""A persona behind the chat completions door, and the programs that talk with her."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any, Final, Generic, Self, TypeVar

import httpx
import openai

from tests.daemon_process import DaemonProcess
from tests.emulators.openai import OpenAIEmulator
from tests.patience import PATIENCE

M = TypeVar("M", bound=OpenAIEmulator)

PATH: Final = "/v1/chat/completions"

_numbers = itertools.count(1)


class Asked(Generic[M]):
    """``persona`` of ``daemon``, whose mind the test holds; use it in a ``with``. Any in this class: JSON of the API.

    ``client`` is the official client, which tries nothing twice.
    """

    def __init__(self, daemon: DaemonProcess, mind: M, name: str) -> None:
        self.daemon = daemon
        self.mind = mind
        self.name = name
        self.persona = daemon.create(
            name, thinking_model="m", thinking_provider="openai", thinking_api_key="k", thinking_url=mind.url
        )

        self.client = openai.OpenAI(base_url=f"{daemon.url}/v1", api_key=daemon.token, max_retries=0, timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def word(self) -> str:
        """A word that nobody has said yet."""
        return f"word{next(_numbers)}x"

    def post(self, *messages: object, **fields: object) -> httpx.Response:
        """Send a request as a program does; a text is a message of the user's."""
        said = [{"role": "user", "content": one} if isinstance(one, str) else one for one in messages]
        return self.daemon.http.post(PATH, json={"model": self.name, "messages": said, **fields})

    def say(self, *messages: object, **fields: object) -> str:
        """Send a request and return her answer."""
        answer = self.post(*messages, **fields)
        assert answer.status_code == 200, answer.text
        words: str = answer.json()["choices"][0]["message"]["content"]
        return words

    def lines(self, word: str) -> list[tuple[str, str]]:
        """The lines of her conversation with this word, with their roles."""
        shown = self.daemon.conversation(self.persona)
        return [(one["role"], one["content"]) for one in shown if word in one["content"]]

    def prompt(self) -> list[dict[str, Any]]:
        """The messages of the last call of her mind."""
        messages: list[dict[str, Any]] = self.mind.journal[-1].body["messages"]
        return messages


def said(role: str, content: object) -> dict[str, object]:
    """A message of a request."""
    return {"role": role, "content": content}


def error(answer: httpx.Response, status: int, code: str | None, param: str | None = None) -> str:
    """The words of an error in OpenAI's form with this status, code and param."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body: Mapping[str, Any] = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert (body["error"]["code"], body["error"]["param"]) == (code, param), body
    kind = "server_error" if status >= 500 else "requests" if status == 429 else "invalid_request_error"
    assert body["error"]["type"] == kind
    words: str = body["error"]["message"]
    return words


def events(text: str) -> list[Any]:
    """The data of a stream's events (Any: JSON); the last one is ``[DONE]`` as text."""
    found: list[Any] = []
    for block in text.split("\n\n"):
        if block.startswith("data: "):
            data = block.removeprefix("data: ")
            found.append(data if data == "[DONE]" else json.loads(data))
        else:
            assert not block or block.startswith(":"), block
    return found
