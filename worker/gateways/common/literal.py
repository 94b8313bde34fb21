"""What CommonMark takes for markup although its writer meant the characters: sums, names in code, paths and formulas.

Minds write Markdown loosely. By the rules of CommonMark (https://spec.commonmark.org/0.31.2/#emphasis-and-strong-emphasis)
``2*3*4`` is 2, an italic 3 and 4, and ``__init__.py`` is a bold init. People then read 234 and init.py.
"""

from __future__ import annotations

import re
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter

# Bounded, so that many beginnings without an end cost no more than their number.
_NAME: Final = re.compile(r"__\w{0,64}[^\W_]__(?!\w)")
_FORMULA: Final = re.compile(
    r"\\\((?P<round>.{1,1000}?)\\\)|\\\[(?P<square>.{1,1000}?)\\\]|\$\$.{1,1000}?\$\$", re.DOTALL
)
_IS_FORMULA: Final = re.compile(r"[\\^_=+*/<>{}|]|\d")
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""Scripts that put no space between words, or attach their particles: there, emphasis may begin inside a word."""

_NEVER_OPENS_AFTER: Final = frozenset(")]}/\\%")
_NEVER_CLOSES_BEFORE: Final = frozenset("([{")
_PATH: Final = frozenset("/\\")


def leave_literal(parser: MarkdownIt) -> MarkdownIt:
    """Teach a parser to leave these as they were written, and return it."""
    parser.inline.ruler.at("emphasis", _emphasis)
    parser.inline.ruler.before("escape", "formula", _formula)
    return parser


def _formula(state: StateInline, silent: bool) -> bool:
    r"""Keep a formula in ``\(...\)``, ``\[...\]`` or ``$$...$$`` with its delimiters and everything inside."""
    found = _FORMULA.match(state.src, state.pos, state.posMax)
    if found is None or not _IS_FORMULA.search(found["round"] or found["square"] or "1"):
        return False
    if not silent:
        state.push("text", "", 0).content = found[0]
    state.pos = found.end()
    return True


def _emphasis(state: StateInline, silent: bool) -> bool:
    """Add each ``*`` or ``_`` as text and as a possible delimiter, as markdown-it does, but not where it is none."""
    marker = state.src[state.pos]
    if silent or marker not in "_*":
        return False
    before = state.src[state.pos - 1] if state.pos else " "
    name = _NAME.match(state.src, state.pos, state.posMax)
    if name and not before.isalnum():
        state.push("text", "", 0).content = name[0]
        state.pos = name.end()
        return True
    scanned = state.scanDelims(state.pos, marker == "*")
    after = state.src[state.pos + scanned.length : min(state.pos + scanned.length + 2, state.posMax)]
    opens, closes = scanned.can_open, scanned.can_close
    if marker == "*":
        opens = opens and _may_open(before, after, single=scanned.length == 1)
        closes = closes and _may_close(before, after, single=scanned.length == 1)
    for _ in range(scanned.length):
        state.push("text", "", 0).content = marker
        token = len(state.tokens) - 1
        state.delimiters.append(Delimiter(ord(marker), scanned.length, token, -1, opens, closes))
    state.pos += scanned.length
    return True


def _may_open(before: str, after: str, *, single: bool) -> bool:
    """Whether emphasis may begin here: not in a word, a product, a path (``src/*``) or a pattern (``*.py``)."""
    if _inside_word(before, after) or before in _PATH or after[:1] == "/":
        return False
    pattern = after[:1] == "." and after[1:].isalnum()
    return not pattern and not (single and before in _NEVER_OPENS_AFTER)


def _may_close(before: str, after: str, *, single: bool) -> bool:
    """Whether emphasis may end here. ``**API**s`` is strong emphasis with an ending; ``*p*2`` is a product."""
    if before in _PATH:
        return False
    if single:
        return not _inside_word(before, after) and after[:1] not in _NEVER_CLOSES_BEFORE
    return not (_inside_word(before, after) and after[:1].isdigit())


def _inside_word(before: str, after: str) -> bool:
    after = after[:1]
    return before.isalnum() and after.isalnum() and not _UNSPACED.match(before) and not _UNSPACED.match(after)
