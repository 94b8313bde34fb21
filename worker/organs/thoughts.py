"""Removes from an answer what a model did not mean to say: its reasoning, and the tokens of its chat template."""

from __future__ import annotations

import re
from typing import Final

_TAGS: Final = ("think", "thinking", "thought", "thoughts", "reasoning", "reflection", "seed:think", "antml:thinking")
_PAIRS: Final = {**{f"<{tag}>": f"</{tag}>" for tag in _TAGS}, "[THINK]": "[/THINK]", "◁think▷": "◁/think▷"}
"""Each opening tag with its end. ``[THINK]`` is Magistral's, ``seed:think`` Seed-OSS's, ``◁think▷`` Kimi's."""

_TAG: Final = re.compile("|".join(map(re.escape, [*_PAIRS, *_PAIRS.values()])))

_FINAL: Final = re.compile(r"<\|channel\|>final(?: <\|constrain\|>\w+)?<\|message\|>")
_CHANNEL: Final = re.compile(r"<\|channel\|>(?:analysis|commentary)")
"""OpenAI's harmony format: only the channel ``final`` is for the person (https://cookbook.openai.com/articles/openai-harmony)."""

_TURN_END: Final = re.compile(
    r"<\|(?:im_end|im_start|eot_id|end_of_text|endoftext|end|return|start|start_header_id|user|eom_id)\|>"
    r"|<(?:end_of_turn|start_of_turn)>|</s>"
)
"""Where a template ends a turn: what follows is a next turn that the model invented."""


def without_thoughts(text: str) -> str:
    """Return the answer without the model's reasoning and without a next turn that it invented."""
    text = _final_channel(text)
    return _unwrapped(text[: end.start()] if (end := _TURN_END.search(text)) else text).strip()


def _final_channel(text: str) -> str:
    if final := _FINAL.search(text):
        return text[final.end() :]
    if channel := _CHANNEL.search(text):
        return text[: channel.start()]
    return text


def _unwrapped(text: str) -> str:
    """Cut out the blocks between tags. A lone end closes a block that began before the text.

    A block without an end is reasoning if the text begins with it, and otherwise a tag that the answer mentions.
    """
    kept, position, fences, is_begun, endless = list[str](), 0, 0, False, set[str]()
    for tag in _TAG.finditer(text):
        if tag.start() < position:
            continue
        before, closing = text[position : tag.start()], _PAIRS.get(tag[0])
        fences += before.count("```")
        is_code = fences % 2 == 1 or text[tag.start() - 1 : tag.start()] == "`"
        if closing is None and not is_code and not position:
            position = tag.end()
            continue
        end = -1 if closing is None or is_code or closing in endless else text.find(closing, tag.end())
        is_begun = is_begun or bool(before.strip())
        if end >= 0 and closing is not None:
            kept.append(before)
            position = end + len(closing)
        elif closing is not None and not is_begun:
            return ""
        else:
            endless |= {closing} if closing is not None and not is_code else set()
            is_begun = True
            kept.append(text[position : tag.end()])
            position = tag.end()
    return "".join([*kept, text[position:]])
