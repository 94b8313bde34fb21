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

_NAMES: Final = (
    *("im_end", "im_start", "eot_id", "end_of_text", "endoftext", "end", "return"),
    *("start", "start_header_id", "user", "eom_id"),
)
_TURN_ENDS: Final = (*(f"<|{name}|>" for name in _NAMES), "<end_of_turn>", "<start_of_turn>", "</s>")
_TURN_END: Final = re.compile("|".join(map(re.escape, _TURN_ENDS)))
"""Where a template ends a turn: what follows is a next turn that the model invented."""

_MARKED: Final = "<|channel|>"
_MARKS: Final = (*_PAIRS, *_PAIRS.values(), *_TURN_ENDS, _MARKED)
_LONGEST_MARK: Final = max(map(len, _MARKS))
_HALVES: Final = frozenset(mark[:size] for mark in _MARKS for size in range(1, len(mark)))
_FIRST: Final = frozenset(mark[0] for mark in _MARKS)
"""How marks begin; within a mark these characters do not come again."""


def so_far(text: str, *, is_thinking_first: bool = False) -> str:
    """Return what may be shown of an answer that still grows: nothing that what follows may turn into reasoning.

    ``is_thinking_first``: everything before the first end of a block is reasoning.
    """
    if is_thinking_first and not any(end in text for end in _PAIRS.values()):
        return ""
    final = _FINAL.search(text)
    text = text[final.end() :] if final else text.partition(_MARKED)[0]
    text = text[: end.start()] if (end := _TURN_END.search(text)) else _without_half_a_mark(text)
    return _unwrapped(text, is_whole=False).strip()


def begins_within_thoughts(text: str) -> bool:
    """Return whether an answer begins with reasoning that has an end and no beginning."""
    first = _TAG.search(text)
    return first is not None and first[0] not in _PAIRS and text[first.start() - 1 : first.start()] != "`"


def _without_half_a_mark(text: str) -> str:
    """Cut off an end that may become a mark."""
    at = max(text.rfind(character, max(0, len(text) - _LONGEST_MARK)) for character in _FIRST)
    return text[:at] if at >= 0 and text[at:] in _HALVES else text


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


def _unwrapped(text: str, *, is_whole: bool = True) -> str:
    """Cut out the blocks between tags. A lone end closes a block that began before the text.

    A block without an end is reasoning if the text begins with it, and otherwise a tag that the answer mentions. While
    the text is not whole, the end may still come: what follows the tag is left out.
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
        elif closing is not None and not is_code and not is_whole:
            return "".join([*kept, before])
        else:
            endless |= {closing} if closing is not None and not is_code else set()
            is_begun = True
            kept.append(text[position : tag.end()])
            position = tag.end()
    return "".join([*kept, text[position:]])
