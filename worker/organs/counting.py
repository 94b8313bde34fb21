"""The tokens of one call of a chat model: reserved before it, and booked as its provider reports them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from proto.costs import Used
from proto.records import Organ, Slot
from worker.organs.metering import MOST, billed
from worker.prompting.exchange import Piece, Question, ToolCall, Usage
from worker.prompting.size import CHARS_A_TOKEN, tokens

PICTURE_TOKENS = 1_600
"""What a picture is taken for: Anthropic bills about that for a large one, and OpenAI's models less.

https://docs.anthropic.com/en/docs/build-with-claude/vision#evaluate-image-size
"""


async def counted(
    organ: Organ, slot: Slot, question: Question, pieces: AsyncGenerator[Piece, None]
) -> AsyncGenerator[Piece, None]:
    """Hand on the pieces of an answer, and book what the call used. Raises Unaffordable before it is made.

    What a provider does not report is estimated by the length of the texts.
    """
    asked, chars, told = _asked(question), 0, Usage()
    async with aclosing(pieces), billed(organ, slot, Used(asked, question.max_tokens)) as bill:
        bill.put(Used(asked), "estimated")
        async for piece in pieces:
            bill.has_begun = True
            match piece:
                case Usage():
                    told = told.and_then(piece)
                case str():
                    chars += len(piece)
                case ToolCall():
                    chars += len(piece.arguments)
            # Known at every moment: the reader may be cancelled at the next piece.
            said = -(-chars // CHARS_A_TOKEN) if told.output is None else max(told.output, 0)
            is_told = told.input is not None and told.output is not None
            used = Used(asked if told.input is None else told.input, min(said, MOST), told.cached or 0)
            bill.put(used, "reported" if is_told else "estimated")
            yield piece


def _asked(question: Question) -> int:
    """Estimate the tokens of the prompt with its tools and picture."""
    tools = sum(tokens(json.dumps(tool.schema()) + tool.description) for tool in question.tools)
    return question.size + tools + PICTURE_TOKENS * (question.picture is not None)
