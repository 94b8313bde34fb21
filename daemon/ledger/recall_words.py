"""Words as the full-text index holds them, and a question as the query that it takes.

The index has FTS5's tokenizer ``unicode61`` under ``porter`` (https://www.sqlite.org/fts5.html#tokenizers), so "walked"
finds "walking". It knows words by the spaces between them; scripts that are written without get a space behind each
character here, and are searched by pairs of neighbours. The tokenizer ``trigram`` would find no word of two characters,
which most Chinese words are, and makes the index of English text four times as large.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

QUERY_CHARS: Final = 2_000
"""Characters of a question that are looked at: the last ones, where the question usually is."""

MOST_TERMS: Final = 24
"""Words of one query; those that carry no meaning are left out first."""

LINE_CHARS: Final = 20_000
"""Characters of one line that are searchable. A document's text can be longer; her researcher searches that."""

_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0002ffff"
)
"""Thai, Lao, Burmese, Khmer, Chinese, Japanese and Korean."""

_SPACED_OUT: Final = re.compile(f"([{_UNSPACED}])")
_TERM: Final = re.compile(f"[{_UNSPACED}]+|[^\\W_{_UNSPACED}]+")

_EMPTY_WORDS: Final = """
a about after again ago all also always am an and any anything are as asked at away be because been before
being but by can could date dear did do does doing done don earlier even ever exactly few first for from get
give given go got had has have having he hello her here hers hey hi him his how i if in into is it its just
last let lately like many may me mean mention mentioned might mine month months more most much my name never
new no not now of off oh ok okay on once one only or other our ours out over please really recall recently
remember remembered said same say says she should since so some someone something still talk talked talking
tell than thank thanks that the their them then there these they thing things think this those time to today
told tomorrow too up us very was we week weeks well were what when where which while who whom whose why will
with would year years yes yesterday yet you your yours s t re ve ll d m
"""
_EMPTY: Final = frozenset(_EMPTY_WORDS.split())
"""Words of a question that say nothing about its subject. They are left out when there are others."""

_SUFFIXES: Final = ("ingly", "edly", "ings", "ing", "ies", "ied", "ed", "es", "ly", "s", "e", "y")


def indexed(*texts: str) -> str:
    """Return what stands in the index for a line with these texts."""
    text = "\n".join(one for one in texts if one)[:LINE_CHARS]
    return text if text.isascii() else _spaced_out(unicodedata.normalize("NFC", text))


def terms(words: str, most: int = MOST_TERMS) -> list[str]:
    """Return the words of a question that say what it is about, each once, in small letters."""
    text = unicodedata.normalize("NFC", words[-QUERY_CHARS:].casefold())
    found = list(dict.fromkeys(one for run in _TERM.findall(text) for one in _pairs(run)))
    return [one for one in found if one not in _EMPTY][:most]


def query(found: list[str]) -> str:
    """Return the FTS5 query for a line with any of these words.

    Each is in quotes, so that none of them is an operator (https://www.sqlite.org/fts5.html#fts5_strings).
    """
    return " OR ".join(f'"{_spaced_out(one).strip()}"' for one in found)


def stem(word: str) -> str:
    """Return the word without its usual English endings: enough to tell whether two lines speak of the same."""
    if len(word) > 3:
        for suffix in _SUFFIXES:
            if word.endswith(suffix) and len(word) - len(suffix) >= 3:
                return word[: -len(suffix)]
    return word


def stems(words: str) -> frozenset[str]:
    """Return the stems of what a text is about."""
    return frozenset(stem(one) for one in terms(words[:QUERY_CHARS], most=400))


def _spaced_out(text: str) -> str:
    return _SPACED_OUT.sub(r"\1 ", text)


def _pairs(run: str) -> Iterator[str]:
    """Yield a word; of a run without spaces each two neighbours."""
    if len(run) < 2 or not _SPACED_OUT.match(run):
        yield run
    else:
        yield from (run[place : place + 2] for place in range(len(run) - 1))
