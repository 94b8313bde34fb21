"""Vectors of lines: what is nearest is found exactly, in any number of blocks, and is made again for another model."""

from __future__ import annotations

import math
import random
from typing import Final

from daemon.ledger import Asked, Ledger, Why
from daemon.ledger.meaning import BLOCK, MOST_LINES, Batch, code_of
from proto.feeds import FedLine
from proto.host import VECTOR
from tests.daemon.ledger.gateway_messages import ADAM
from tests.daemon.ledger.test_recall import EVE, NOW, WEB, talk

DICE: Final = random.Random(7)


def vector(*near: bytes) -> bytes:
    """A vector of the length that the model's have; close to another one if it is given."""
    numbers = [DICE.gauss(0, 1) for _ in range(VECTOR)]
    if near:
        base = memoryview(near[0]).cast("b")
        numbers = [one / 20 + other / 10 for one, other in zip(numbers, base, strict=True)]
    length = math.sqrt(sum(one * one for one in numbers))
    return bytes(round(127 * one / length) & 255 for one in numbers)


async def keep(ledger: Ledger, vectors: list[tuple[int, bytes]], model: str = "m") -> None:
    """Keep vectors in batches."""
    for start in range(0, len(vectors), 1000):
        part = vectors[start : start + 1000]
        await ledger.put_meaning(ADAM, model, part, Batch([], part[-1][0], 0))


def test_a_code_has_a_bit_for_each_sign() -> None:
    """In the order of the numbers; zero counts as not negative."""
    code = code_of(bytes([255, 0, 1, 128] + [127] * (VECTOR - 4)))
    assert code[0] == 0b10010000
    assert set(code[1:]) == {0}


async def test_the_nearest_lines_are_found(ledger: Ledger) -> None:
    """Without a word in common, in whichever block they stand."""
    count = BLOCK + 300
    await ledger.put_back(ADAM, talk(*(f"line {number}" for number in range(count)), day=0))
    asked = vector()
    vectors = [(number, vector()) for number in range(1, count + 1)]
    for near in (5, BLOCK, count):
        vectors[near - 1] = (near, vector(asked))
    await keep(ledger, vectors)
    found = await ledger.recall(ADAM, Asked("music", WEB, NOW, vector=asked))
    assert {one.content for one in found} == {"line 4", f"line {BLOCK - 1}", f"line {count - 1}"}
    assert await ledger.recall(ADAM, Asked("music", WEB, NOW, vector=vector())) == []
    assert await ledger.recall(EVE, Asked("music", WEB, NOW, vector=asked)) == []


async def test_words_and_meaning_are_fused(ledger: Ledger) -> None:
    """A line that both find comes before those that one of them finds."""
    await ledger.put_back(ADAM, talk("she plays the cello", "I like music", "the music she plays is by Bach"))
    asked = vector()
    await keep(ledger, [(1, vector(asked)), (2, vector()), (3, vector(asked))])
    found = [one.content for one in await ledger.recall(ADAM, Asked("music plays", WEB, NOW, vector=asked))]
    assert found[0] == "the music she plays is by Bach"
    assert len(found) == 3


async def test_lines_wait_until_there_are_enough(ledger: Ledger) -> None:
    """A full batch is handed out; notices and what is too short have no vector; fed lines have one."""
    await ledger.put_back(ADAM, talk(*(["ok", "I like the old harbour"] * (MOST_LINES // 2 - 1))))
    assert await ledger.meaning_wanted(ADAM, "m") is None
    lines = [FedLine("person", "I adopted a ferret"), FedLine("assistant", "How nice for you")]
    fed = Why("feed", source="chatgpt", key="a" * 64, title="Pets")
    await ledger.begin_change(ADAM, fed, {}, {}, NOW, lines)
    batch = await ledger.meaning_wanted(ADAM, "m")
    assert batch is not None
    assert [line for line, _ in batch.lines if line < 0] == [-1, -2]
    assert len(batch.lines) == MOST_LINES // 2 - 1 + 2
    await ledger.put_meaning(ADAM, "m", [(line, vector()) for line, _ in batch.lines], batch)
    assert await ledger.has_meaning(ADAM)
    assert await ledger.meaning_wanted(ADAM, "m") is None


async def test_another_model_begins_anew(ledger: Ledger) -> None:
    """Its vectors cannot be compared with those of the one before."""
    await ledger.put_back(ADAM, talk(*(f"line number {number}" for number in range(MOST_LINES))))
    batch = await ledger.meaning_wanted(ADAM, "old")
    assert batch is not None
    asked = vector()
    await ledger.put_meaning(ADAM, "old", [(1, asked)], batch)
    assert await ledger.meaning_wanted(ADAM, "old") is None
    again = await ledger.meaning_wanted(ADAM, "new")
    assert again == batch
    await ledger.put_meaning(ADAM, "new", [(2, asked)], batch)
    found = await ledger.recall(ADAM, Asked("music", WEB, NOW, vector=asked))
    assert [one.content for one in found] == ["line number 1"]


async def test_vectors_go_with_her(ledger: Ledger) -> None:
    """A deleted persona leaves none."""
    await ledger.put_back(ADAM, talk("she plays the cello"))
    await keep(ledger, [(1, vector())])
    await ledger.forget(ADAM)
    assert not await ledger.has_meaning(ADAM)
