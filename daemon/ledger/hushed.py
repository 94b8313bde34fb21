"""The sign at the end of an answer that she was told to stop, for those who see only its words."""

from __future__ import annotations

from typing import Final

from proto.texts import MAX_TEXT

SIGN: Final = " … (stopped)"
"""For chats and for her mind. The dots show that the sentence went on; the word, that nothing broke. Browsers get the
words as they are, and a field."""


def marked(words: str) -> str:
    """Return the words with the sign."""
    return f"{words[: MAX_TEXT - len(SIGN)].rstrip()}{SIGN}"
