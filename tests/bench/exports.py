"""A ChatGPT export of any size, like that of a person with years of conversations.

By hand: ``python -m tests.bench.exports FILE MEGABYTES``.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any, Final

KINDS: Final = 200
"""The number of different conversations; further ones differ from them in their first words."""

TURNS: Final = (4, 8, 20, 60)
WORDS: Final = (20, 250)
"""The number of words in a question and in an answer."""

VOCABULARY: Final = (
    *("the", "of", "and", "to", "in", "that", "was", "for", "with", "this", "have", "one", "not", "when", "there"),
    *("which", "will", "about", "many", "then", "these", "would", "other", "into", "more", "time", "could", "people"),
    *('"quoted"', "{braces}", "[brackets]", "schön", "—", "back\\slash", "new\nline"),
)

_FIRST: Final = '"parts": ["'


def write_export(path: Path, size: int) -> int:
    """Write an export of at least ``size`` bytes; return the number of its conversations."""
    rng = random.Random(size)
    # Any in this module: the provider's JSON.
    kinds = [json.dumps(_conversation(rng, n), ensure_ascii=bool(n % 2)) for n in range(KINDS)]
    written = count = 0
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        while written < size:
            text = kinds[count % KINDS].replace(_FIRST, f"{_FIRST}{count} ", 1)
            written += len(text.encode())
            file.write("," * bool(count) + text)
            count += 1
        file.write("]")
    return count


def _conversation(rng: random.Random, number: int) -> dict[str, Any]:
    began = 1.7e9 + number * 1000
    tree: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None, "children": []}}
    last = "root"
    for turn in range(rng.choice(TURNS)):
        name = f"{rng.getrandbits(64):016x}"
        tree[last]["children"].append(name)
        tree[name] = {"id": name, "message": _message(rng, turn, began), "parent": last, "children": []}
        last = name
    head = {"title": _words(rng, 4), "create_time": began, "update_time": began + 99, "mapping": tree}
    return {**head, "moderation_results": [], "current_node": last, "conversation_id": str(number), "id": str(number)}


def _message(rng: random.Random, turn: int, began: float) -> dict[str, Any]:
    return {
        "id": f"{rng.getrandbits(64):016x}",
        "author": {"role": ("user", "assistant")[turn % 2], "name": None, "metadata": {}},
        "create_time": began + turn,
        "content": {"content_type": "text", "parts": [_words(rng, WORDS[turn % 2])]},
        "status": "finished_successfully",
        "weight": 1.0,
        "metadata": {
            "model_slug": "gpt-4o",
            "citations": [],
            "finish_details": {"type": "stop", "stop_tokens": [200002]},
        },
        "recipient": "all",
    }


def _words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choices(VOCABULARY, k=count))


if __name__ == "__main__":
    print(write_export(Path(sys.argv[1]), int(sys.argv[2]) * 1_000_000))
