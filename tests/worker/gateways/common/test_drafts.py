"""The pace of drafts and their end, with a provider and a time that the test holds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from proto.conversation import Conversation
from proto.gateways import Gateway
from proto.secrets import Secret
from proto.streaming import Delta
from tests.daemon.fakes.clock import JumpingLoop
from worker.base.backoff import Backoff
from worker.base.log import WorkerLog
from worker.gateways.common.account import Account, Identity
from worker.gateways.common.budget import Pace
from worker.gateways.common.drafts import LATEST, MAX_CHARS, MAX_TURNS, TRIES, Drafts
from worker.gateways.common.sending import Part, Sender
from worker.gateways.common.splitting import Rich
from worker.gateways.common.trouble import Refusal

CHAT: Final = "7"
GATHER: Final = 0.3
REFUSED: Final = Refusal(400, 400, "Bad Request: TEXTDRAFT_PEER_INVALID")


class Nobody(Account):
    """An account that is never asked."""

    provider = "Nowhere"

    async def whoami(self) -> Identity:
        raise NotImplementedError

    async def chunks(self, url: str) -> AsyncIterator[bytes]:
        yield b""


class Shows(Sender[Nobody]):
    """Records each draft with its time. ``errors`` are raised in turn; ``slow`` is how long each draft takes."""

    chat_pace = Pace(rate=1.0, burst=3.0)
    bot_pace = Pace(rate=30.0, burst=30.0)
    max_message = max_caption = 4000
    slow = 0.0

    def cut(self, markdown: str) -> list[Rich]:
        return [Rich(markdown)]

    async def send(self, chat: str, part: Part) -> str:
        raise NotImplementedError

    def may_draft(self, chat: str) -> bool:
        return not chat.startswith("-")

    async def show_draft(self, chat: str, turn: int, text: str) -> None:
        self.asked.append((asyncio.get_running_loop().time(), chat, text))
        await asyncio.sleep(self.slow)
        if self.errors:
            raise self.errors.pop(0)
        self.shown.append(text)

    def watch(self) -> None:
        """Begin to record."""
        self.asked: list[tuple[float, str, str]] = []
        self.shown: list[str] = []
        self.errors: list[Exception] = []


class Rig:
    """The drafts of one channel, its sender and its tasks."""

    def __init__(self, folder: Path) -> None:
        self.log_file = folder / "log"
        self._log = os.open(self.log_file, os.O_WRONLY | os.O_CREAT, 0o600)
        settings, log = Gateway("0" * 16, "slack", Secret("a-token-of-hers")), WorkerLog(self._log)
        account = Nobody(settings, "http://nowhere")
        self.sender = Shows(settings, account, folder, lambda _: None, lambda _: None, log)
        self.sender.watch()
        self.tasks: set[asyncio.Task[None]] = set()
        self.drafts = Drafts(self.sender, self._spawn, lambda: Backoff(0.5, 60.0), GATHER, log)

    def says(self, text: str, *, turn: int = 1, offset: int = 0, chat: str = CHAT, aloud: bool = False) -> None:
        """Hear the next words of a turn."""
        self.drafts.hear(Delta(turn, Conversation("slack", "slack", "0" * 16, chat), offset, text, aloud))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        return task

    async def close(self) -> None:
        """Stop what still runs. Fails with its error if a task had one."""
        for task in self.tasks:
            task.cancel()
        for found in await asyncio.gather(*self.tasks, return_exceptions=True):
            assert found is None or isinstance(found, asyncio.CancelledError), found
        os.close(self._log)


def play(folder: Path, scene: Callable[[Rig], Coroutine[Any, Any, None]]) -> Rig:
    """Run a scene on a loop whose time jumps."""

    async def whole() -> Rig:
        rig = Rig(folder)
        try:
            await scene(rig)
        finally:
            await rig.close()
        return rig

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(whole())


def test_words_are_merged_at_the_pace_that_messages_leave(tmp_path: Path) -> None:
    """A hundred pieces become a few drafts, the last one with every word, and a message could always go at once."""

    async def scene(rig: Rig) -> None:
        text = ""
        for number in range(100):
            piece = f"{number} "
            rig.says(piece, offset=len(text))
            text += piece
            await asyncio.sleep(0.05)
            assert rig.sender.budget.ahead(CHAT) == 0.0
        await asyncio.sleep(5.0)
        assert rig.sender.shown[-1] == text

    rig = play(tmp_path, scene)
    times = [at for at, _, _ in rig.sender.asked]
    assert times[0] == pytest.approx(GATHER, abs=0.01)
    assert len(times) <= 8
    assert all(later - earlier >= 0.9 for earlier, later in pairwise(times[1:]))
    assert all(later.startswith(earlier) for earlier, later in pairwise(rig.sender.shown))


def test_a_quick_answer_gets_no_draft(tmp_path: Path) -> None:
    """An answer that is finished at once goes out as it always did."""

    async def scene(rig: Rig) -> None:
        rig.says("Yes.")
        await asyncio.sleep(GATHER / 2)
        rig.drafts.end(1)
        await asyncio.sleep(10.0)

    assert play(tmp_path, scene).sender.asked == []


def test_an_answer_that_begins_anew(tmp_path: Path) -> None:
    """An offset takes back what follows it; words whose beginning was missed are not shown."""

    async def scene(rig: Rig) -> None:
        rig.says("I think that")
        await asyncio.sleep(5.0)
        rig.says("No, ", offset=0)
        rig.says("wait", offset=4)
        rig.says("lost", offset=99)
        rig.says("in the middle", turn=2, offset=5)
        await asyncio.sleep(5.0)

    assert play(tmp_path, scene).sender.shown == ["I think that", "No, wait"]


def test_what_gets_no_drafts(tmp_path: Path) -> None:
    """A spoken answer and a chat without drafts get none; a text that is too long, or too many turns, are bounded."""

    async def scene(rig: Rig) -> None:
        rig.says("spoken", aloud=True)
        rig.says("typed", turn=3, chat="9")
        rig.says("and now spoken", turn=3, chat="9", aloud=True)
        await asyncio.sleep(0.1)
        rig.says("in a group", turn=2, chat="-7")
        for turn in range(10, 10 + MAX_TURNS + 3):
            rig.says("x" * (MAX_CHARS + 1), turn=turn, chat=str(turn))
        await asyncio.sleep(60.0)

    rig = play(tmp_path, scene)
    assert [len(text) for text in rig.sender.shown] == [MAX_CHARS] * MAX_TURNS


@pytest.mark.parametrize("status", [400, 403])
def test_a_refusal_ends_the_drafts_of_a_chat(tmp_path: Path, status: int) -> None:
    """One refused draft is the last one in its chat, with one line in the log; other chats keep theirs."""

    async def scene(rig: Rig) -> None:
        rig.sender.errors = [Refusal(status, status, "no")]
        for turn in (1, 2):
            rig.says("words", turn=turn)
            await asyncio.sleep(30.0)
            rig.drafts.end(turn)
        rig.says("other words", turn=3, chat="8")
        await asyncio.sleep(5.0)

    rig = play(tmp_path, scene)
    assert ([chat for _, chat, _ in rig.sender.asked], rig.sender.shown) == ([CHAT, "8"], ["other words"])
    assert rig.log_file.read_text().count("gateway.drafts_off") == 1
    assert '"level":"debug"' in rig.log_file.read_text().replace(" ", "")


def test_a_refusal_after_a_draft_ends_those_of_the_answer(tmp_path: Path) -> None:
    """Where a draft was taken, a refusal concerns that answer: the next one is shown again."""

    async def scene(rig: Rig) -> None:
        rig.says("words")
        await asyncio.sleep(5.0)
        rig.sender.errors = [REFUSED]
        for number in range(3):
            rig.says(" more", offset=5 + 5 * number)
            await asyncio.sleep(5.0)
        rig.drafts.end(1)
        rig.says("the next", turn=2)
        await asyncio.sleep(5.0)

    rig = play(tmp_path, scene)
    assert ([text for _, _, text in rig.sender.asked], rig.sender.shown) == (
        ["words", "words more", "the next"],
        ["words", "the next"],
    )


@pytest.mark.parametrize("status", [401, 404])
def test_an_unknown_method_ends_all_drafts(tmp_path: Path, status: int) -> None:
    """A provider without drafts is asked once, and the channel does not stop."""

    async def scene(rig: Rig) -> None:
        rig.sender.errors = [Refusal(status, status, "Not Found: method not found")]
        for turn in (1, 2):
            rig.says("words", turn=turn, chat=str(turn))
            await asyncio.sleep(30.0)
        assert not rig.sender.closed

    assert len(play(tmp_path, scene).sender.asked) == 1


def test_a_rate_limit_rests_the_drafts_alone(tmp_path: Path) -> None:
    """After a 429 the next draft waits as long as the provider asks; a message may still go at once."""

    async def scene(rig: Rig) -> None:
        rig.sender.errors = [Refusal(429, 429, "Too Many Requests", 20.0)]
        rig.says("one")
        await asyncio.sleep(1.0)
        assert rig.sender.budget.ahead(CHAT) == 0.0
        rig.says(" two", offset=3)
        await asyncio.sleep(60.0)

    rig = play(tmp_path, scene)
    first, second = (at for at, _, _ in rig.sender.asked)
    assert second - first >= 20.0
    assert rig.sender.shown == ["one two"]


def test_trouble_ends_the_drafts_of_one_answer(tmp_path: Path) -> None:
    """A network that is down costs a few tries; the next answer tries again."""

    async def scene(rig: Rig) -> None:
        rig.sender.errors = [ConnectionResetError(104, "reset"), TimeoutError(), Refusal(502, None, "a page")]
        rig.says("words")
        await asyncio.sleep(300.0)
        assert (len(rig.sender.asked), rig.sender.shown) == (TRIES, [])
        rig.says("more words", turn=2)
        await asyncio.sleep(5.0)

    assert play(tmp_path, scene).sender.shown == ["more words"]


@pytest.mark.parametrize(("slow", "waits"), [(0.4, 0.3), (4.0, LATEST)])
def test_a_message_waits_for_the_draft_on_its_way(tmp_path: Path, slow: float, waits: float) -> None:
    """A draft that arrived after the message would stand below it: the message waits, but not long."""

    async def scene(rig: Rig) -> None:
        rig.sender.slow = slow
        rig.says("words")
        await asyncio.sleep(GATHER + 0.1)
        rig.drafts.end(1)
        began = asyncio.get_running_loop().time()
        await rig.drafts.settled("8")
        assert asyncio.get_running_loop().time() == began
        await rig.drafts.settled(CHAT)
        assert asyncio.get_running_loop().time() - began == pytest.approx(waits, abs=0.01)
        await asyncio.sleep(10.0)

    rig = play(tmp_path, scene)
    assert len(rig.sender.asked) == 1
    assert rig.sender.shown == (["words"] if slow < LATEST else [])


def test_nothing_is_left_of_a_turn(tmp_path: Path) -> None:
    """A turn that ended, in whatever way, leaves no task; late words of it are dropped."""

    async def scene(rig: Rig) -> None:
        for turn in range(100):
            rig.says("words", turn=turn)
            await asyncio.sleep(0.5)
            rig.drafts.end(turn)
            rig.says(" too late", turn=turn, offset=5)
        await asyncio.sleep(1.0)
        assert all(task.done() for task in rig.tasks)
        assert not rig.drafts.shows(CHAT)

    play(tmp_path, scene)


def test_typing_rests_while_words_are_shown(tmp_path: Path) -> None:
    """Right after a draft typing would say nothing more; when the words pause it is shown again."""

    async def scene(rig: Rig) -> None:
        rig.says("words")
        assert not rig.drafts.shows(CHAT)
        await asyncio.sleep(1.0)
        assert rig.drafts.shows(CHAT)
        assert not rig.drafts.shows("8")
        await asyncio.sleep(10.0)
        assert not rig.drafts.shows(CHAT)

    play(tmp_path, scene)
