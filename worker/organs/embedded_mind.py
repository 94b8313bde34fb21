"""The embedded mind: a 135M-parameter model that runs in the organ host, and code for what it cannot do.

Measured limits that this file is built around: the model does not hold a persona, loops on its own words as history,
and is right about simple facts only greedily and with the system prompt that it was trained on. So it gets no history,
40 tokens and one sentence; her name, the person's facts and the time come from code.
"""

from __future__ import annotations

import re
from typing import Final

from proto.messages import ChatTurn, Line, Memory
from worker.base.organ_errors import OrganUnreachable
from worker.embedded import mind as embedded
from worker.organs.errands import use_tool
from worker.organs.known import known_answer, told_of_files, typed_and_heard
from worker.organs.mind import HostCall, Mind
from worker.organs.quoting import Passage, quote, quote_line
from worker.organs.statements import fold, stated
from worker.prompting.perceived import read_in_pictures, spoken_or_written
from worker.prompting.prompt import Prompt
from worker.prompting.tools import Tools

MOST_TOKENS: Final = 40

WORDS_BYTES: Final = 1500
"""A token is at least one byte, so this many always fit into the model's 2,048 tokens."""

SHORT_SENTENCE: Final = 12
"""A first sentence shorter than this many characters ("Hello!") takes the next one along."""

WORDLESS: Final = "I have no good answer to that: my built-in mind is very small."

_SENTENCE_END: Final = re.compile(r"[.!?]+[\"')\]]*(?=\s|\Z)")


class EmbeddedMind(Mind):
    """Answers by code where it can, else by the organ host's model."""

    def __init__(self, call_host: HostCall, model: str) -> None:
        """``model`` is the path of the operator's own GGUF, or "" for the packaged one."""
        self._call_host = call_host
        self._model = model

    async def think(self, turns: list[ChatTurn], max_tokens: int) -> str:
        answer = await self._call_host(turns, min(max_tokens, MOST_TOKENS))
        return first_sentence(answer) or WORDLESS

    async def answer(self, prompt: Prompt, tools: Tools) -> str:
        words = typed_and_heard(prompt)
        captions = "\n".join(one.content for one in prompt.perceptions if one.kind != "text")
        parts = [*told_of_files(prompt), quote(prompt.passages, captions)]
        if words:
            parts.append(await self._answer(prompt, "\n".join(words), tools))
        return "\n\n".join(part for part in parts if part)

    async def _answer(self, prompt: Prompt, words: str, tools: Tools) -> str:
        """By what she knows, by a tool, by what stands in a document, and at last by the model."""
        if (known := known_answer(prompt)) is not None:
            return known
        if (done := await use_tool(words, tools)) is not None:
            return done
        if quotation := quote(prompt.passages, words):
            return quotation
        pictures = [Passage(title, text) for title, text in read_in_pictures(prompt.history)]
        if quotation := quote_line(pictures, words):
            return quotation
        system = f"You are a helpful AI assistant named {prompt.persona.name}."
        return await self.think([ChatTurn("system", system), ChatTurn("user", tail(words))], MOST_TOKENS)

    async def consolidate(self, name: str, lines: list[Line], memory: Memory) -> Memory:  # noqa: ARG002  part of a Mind
        """Fold what the person stated into person.md by patterns; the model could not."""
        person = memory.get("person", "")
        facts = (fact for line in lines if line.role == "person" for fact in stated(spoken_or_written(line)))
        folded = fold(person, facts)
        return {"person": folded} if folded.strip() != person.strip() else {}

    async def check(self) -> None:
        """Look for the packages; the model itself is loaded when the first words need it."""
        if reason := embedded.check(self._model):
            raise OrganUnreachable(reason, embedded.HINT, permanent=True)


def first_sentence(text: str) -> str:
    """Cut after the first sentence that says something; the model ignores being asked for one."""
    text = " ".join(text.split())
    for end in _SENTENCE_END.finditer(text):
        if end.end() >= SHORT_SENTENCE:
            return text[: end.end()]
    return text


def tail(words: str) -> str:
    """Keep the end of words that are too long for the model."""
    return words.encode()[-WORDS_BYTES:].decode(errors="ignore")
