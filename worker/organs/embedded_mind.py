"""The embedded mind: a 135M-parameter model in the organ host, and code for what the model cannot do.

Its measured limits shape this module: the model does not keep up a persona, repeats itself when it sees its own answers
as history, and gets simple facts right only with greedy decoding and the system prompt that it was trained on. So it
gets no history, 40 tokens and one sentence; her name, the person's facts and the time come from code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from proto.messages import ChatTurn, Line, Memory
from worker.base.organ_errors import OrganUnreachable
from worker.embedded import mind as embedded
from worker.organs.appointment_answers import answered
from worker.organs.known import arranged_answers, known_answer, told_of_files, typed_and_heard
from worker.organs.mind import HostCall, Mind
from worker.organs.organ_requests import use_tool
from worker.organs.quoting import Passage, quote, quote_line
from worker.organs.statements import fold, stated
from worker.prompting.perceived import own_words, spoken_or_written, told_by_files
from worker.prompting.prompt import Prompt
from worker.prompting.tools import Tools

MOST_TOKENS: Final = 40

WORDS_BYTES: Final = 1500
"""Bytes of a question. A token is at least one byte, so they always fit into the model's 2,048 tokens."""

SHORT_SENTENCE: Final = 12
"""A first sentence shorter than this many characters ("Hello!") is followed by the next one."""

WORDLESS: Final = "I have no good answer to that: my built-in mind is very small."

_SENTENCE_END: Final = re.compile(r"(?<![.!?])[.!?]++[\"')\]]*+(?=\s|\Z)")


class EmbeddedMind(Mind):
    """Answers by code if possible, otherwise with the organ host's model."""

    def __init__(self, call_host: HostCall, model: str) -> None:
        """``model`` is the path of the operator's own GGUF file, or "" for the packaged one."""
        self._call_host = call_host
        self._model = model

    async def think(self, turns: list[ChatTurn], max_tokens: int) -> str:
        answer = await self._call_host(turns, min(max_tokens, MOST_TOKENS))
        return first_sentence(answer) or WORDLESS

    async def answer(self, prompt: Prompt, tools: Tools, say: Callable[[str], None]) -> str:
        captions = "\n".join(one.content for one in prompt.perceptions if one.kind != "text")
        parts = [*told_of_files(prompt), quote(prompt.passages, captions), *arranged_answers(prompt)]
        rest = list[str]()
        for words in typed_and_heard(prompt):
            said = await answered(words, prompt, tools.planner)
            parts += [said.answer] if said else []
            rest += [words] if said is None else said.rest
        if rest:
            parts.append(await self._answer(prompt, rest, tools))
        answer = "\n\n".join(part for part in parts if part)
        say(answer)
        return answer

    async def _answer(self, prompt: Prompt, texts: list[str], tools: Tools) -> str:
        """Answer from what she knows, with a tool, from a document, or else with the model."""
        if (known := known_answer(prompt, texts)) is not None:
            return known
        words = "\n".join(texts)
        if (done := await use_tool(words, tools)) is not None:
            return done
        if quotation := quote(prompt.passages, words):
            return quotation
        seen = [Passage(title, text) for title, text in told_by_files(prompt.history)]
        if quotation := quote_line(seen, words):
            return quotation
        system = f"You are a helpful AI assistant named {prompt.persona.name}."
        return await self.think([ChatTurn("system", system), ChatTurn("user", tail(words))], MOST_TOKENS)

    def tells(self, prompt: Prompt) -> bool:
        return any(any(stated(own_words(words))) for words in typed_and_heard(prompt))

    async def consolidate(
        self,
        name: str,  # noqa: ARG002  part of a Mind
        lines: list[Line],
        memory: Memory,
        orders: Sequence[str] = (),  # noqa: ARG002  no pattern could follow them
    ) -> Memory:
        """Fold the person's statements into person.md by patterns, because the model is not able to."""
        person = memory.get("person", "")
        facts = (fact for line in lines if line.role == "person" for fact in stated(spoken_or_written(line)))
        folded = fold(person, facts)
        return {"person": folded} if folded.strip() != person.strip() else {}

    async def check(self) -> None:
        """Look for the packages. The model itself is loaded at the first call that needs it."""
        if reason := embedded.check(self._model):
            raise OrganUnreachable(reason, embedded.HINT, permanent=True)


def first_sentence(text: str) -> str:
    """Cut after the first meaningful sentence, because the model ignores a request for one sentence."""
    text = " ".join(text.split())
    for end in _SENTENCE_END.finditer(text):
        if end.end() >= SHORT_SENTENCE:
            return text[: end.end()]
    return text


def tail(words: str) -> str:
    """Return the end of a text that is too long for the model."""
    return words.encode()[-WORDS_BYTES:].decode(errors="ignore")
