"""Questions about personad are answered from her record, and every command in an answer is one."""

from __future__ import annotations

import re
import shlex
from datetime import datetime
from pathlib import Path

import pytest

from daemon.cli.main import _parser
from proto.messages import Perception
from proto.records import EMBEDDED, EMBEDDED_MIND, EMBEDDED_SENSES, Organ, Persona
from tests.worker.conftest import WEB
from worker.organs.known import known_answer
from worker.organs.product import product_answer
from worker.prompting.prompt import Prompt

ROOT = Path(__file__).parents[3]
NOW = datetime.fromisoformat("2026-11-22T09:05:00+01:00")
MIND = Organ(EMBEDDED_MIND, EMBEDDED)
EAR, EYE, LIBRARY, MOUTH = (Organ(EMBEDDED_SENSES[name], EMBEDDED) for name in ("ear", "eye", "researcher", "mouth"))
ADA = Persona(WEB.name, "Ada Two", MIND, ear=EAR, eye=EYE, researcher=LIBRARY, mouth=MOUTH)
BARE = Persona(WEB.name, "Adam", MIND, eye=Organ("m", "openai"))

QUESTIONS = [
    "What can you do?",
    "Hello Ada Two, what can you do for me?",
    "help",
    "Can you help me?",
    "How do I connect you to Telegram?",
    "How can I talk to you on Discord?",
    "how do i use you via whatsapp?",
    "Can I reach you by SMS?",
    "how to add a channel",
    "How do I give you a better mind?",
    "Can you use ChatGPT?",
    "Where do you keep my data?",
    "How can I delete what you know?",
    "How do I feed you my ChatGPT history?",
    "How do I move you to another machine?",
    "How do I back you up?",
    "How can I send you a picture?",
    "Can you see pictures?",
    "Can you hear me?",
]


def answer(words: str, persona: Persona = ADA, visitor: str | None = None) -> str | None:
    """What she answers by code."""
    prompt = Prompt(persona, {}, [], [Perception(1, "text", words, 1)], NOW, visitor=visitor)
    return known_answer(prompt, [words])


@pytest.mark.parametrize("words", QUESTIONS)
def test_commands_and_pages_exist(words: str) -> None:
    """The question is answered by code; each command is accepted by the command line, and each page is there."""
    told = answer(words) or ""
    assert told
    for command in re.findall(r"`personad ([^`]+)`", told):
        _parser().parse_args(shlex.split(command.replace("PROVIDER", "openai").replace(" ...", " embedded")))
    for page in re.findall(r"[\w/]+\.md\b", told):
        assert (ROOT / page).is_file()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("How do I connect you to Telegram?", "`personad channel add 'Ada Two' telegram`"),
        ("How do I connect you to Discord?", "`personad channel add 'Ada Two' discord`"),
        ("How do I connect you to Slack?", "/v1 API"),
        ("What can you do?", "read the text in pictures"),
        ("Can you see pictures?", "Yes: I can read the text in pictures."),
    ],
)
def test_answers_are_about_her(words: str, part: str) -> None:
    """The channel that was asked for, her own name and her own organs."""
    assert part in (answer(words) or "")


def test_what_she_lacks_is_said() -> None:
    """She promises nothing that her organs cannot do."""
    told = answer("What can you do?", BARE) or ""
    assert "I can look at pictures." in told
    assert "I cannot hear recordings or read documents or speak yet" in told
    assert (answer("Can you hear me?", BARE) or "").startswith("No, I have no ear.")


@pytest.mark.parametrize("words", QUESTIONS)
def test_a_visitor_learns_nothing_of_her_set_up(words: str) -> None:
    """Commands and paths are for her owner."""
    told = answer(words, visitor="Bo") or ""
    assert "personad" not in told
    assert WEB.name not in told


@pytest.mark.parametrize(
    "words", ["what can you do about the rain in my cellar", "how do i get to berlin", "can you tell me a joke"]
)
def test_other_questions_are_left_alone(words: str) -> None:
    """Questions about the world are not answered with a manual."""
    assert product_answer(words, ADA, visitor=False) is None
