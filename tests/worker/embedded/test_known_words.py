"""What the embedded mind answers by code, and what it takes from what a person says."""

from __future__ import annotations

from datetime import datetime

import pytest

from proto.messages import (
    Line,
    Perception,
)
from proto.records import EMBEDDED, EMBEDDED_MIND, Organ, Persona
from tests.worker.conftest import WEB
from worker.organs.known import WHAT, known_answer, typed_and_heard
from worker.organs.statements import fold, stated
from worker.prompting.prompt import Prompt

ORGAN = Organ(EMBEDDED_MIND, EMBEDDED)
NOW = datetime.fromisoformat("2026-11-22T09:05:00+01:00")
PERSON = (
    "- Name: Sam\n- Dog's name: Biscuit\n- Likes: jazz\n- Likes: tea\n- Favourite colour: green\n- Lives in: Lisbon\n"
)


def asked(
    *words: str, person: str = PERSON, history: list[Line] | None = None, birthday: str = "2026-11-20"
) -> str | None:
    perceptions = [Perception(number, "text", word, number) for number, word in enumerate(words, 1)]
    adam = Persona(WEB.name, "Adam", ORGAN, birthday=birthday)
    prompt = Prompt(adam, {"person": person}, history or [], perceptions, NOW)
    return known_answer(prompt, typed_and_heard(prompt))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is your name?", "My name is Adam."),
        ("hi, what's your name", "My name is Adam."),
        ("What’s your name?", "My name is Adam."),
        ("How old are you?", "I was born on 2026-11-20, 2 days ago."),
        ("What time is it?", "It is 09:05."),
        ("What day is it today?", "Today is Sunday, 22 November 2026."),
        ("What is my name?", "Your name is Sam."),
        ("Who am I?", "Your name is Sam."),
        ("Where do I live?", "You live in Lisbon."),
        ("What do I like?", "You like jazz and tea."),
        ("What is my dog called?", "Your dog is called Biscuit."),
        ("what's my dog's name?", "Your dog is called Biscuit."),
        ("What is the name of my dog?", "Your dog is called Biscuit."),
        ("What is my favorite colour?", "Your favourite colour is green."),
        ("What is my cat called?", "I do not know that yet. Tell me about your cat, and I will remember it."),
        ("My name is Kim.", "Nice to meet you, Kim. I will remember your name."),
        ("Remember that the door code is 4711", "I will remember that."),
        ("  ", "Your message was empty."),
    ],
)
def test_code_answers(question: str, answer: str) -> None:
    """Questions about her, the time and what she was told are answered from facts, whatever the punctuation."""
    assert (asked(question) or "").replace("favorite", "favourite") == answer


@pytest.mark.parametrize(
    "words",
    ["Hello!", "What is the capital of France?", "Tell me a joke.", "What is your opinion of my name?", "I like it."],
)
def test_model_answers_the_rest(words: str) -> None:
    """Anything but a question of facts is left to the model."""
    assert asked(words) is None


def test_who_are_you_is_honest() -> None:
    """She says who she is and that her built-in mind is very small."""
    answer = asked("Who are you?") or ""
    assert "Adam" in answer
    assert "very small" in answer


def test_what_was_just_said_is_known() -> None:
    """A fact from this conversation is known before any consolidation, and the newest one counts."""
    history = [Line("person", "My name is Kim. I live in Porto.", 1), Line("assistant", "My name is Adam.", 2)]
    assert asked("What is my name?", history=history) == "Your name is Kim."
    assert asked("I live in Braga now.", "Where do I live?", history=history) == (
        "I will remember that. You live in Braga."
    )
    assert asked("What is my name?", person="") == "I do not know your name yet. Tell me, and I will remember it."


def test_burst_with_one_question_for_the_model() -> None:
    """Code answers a burst only when it can answer all of it."""
    assert asked("What is your name?", "What is my name?") == "My name is Adam. Your name is Sam."
    assert asked("What is your name?", "Tell me a joke.") is None


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ("My name is Sam.", [("Name", "Sam")]),
        ("my name is sam", [("Name", "sam")]),
        ("Please call me Anna Maria!", [("Name", "Anna Maria")]),
        ("Call me later", []),
        ("My name is on the list", []),
        ("I live in Lisbon, near the river.", [("Lives in", "Lisbon, near the river")]),
        ("My name is Robert and I live in Berlin.", [("Name", "Robert"), ("Lives in", "Berlin")]),
        ("I love Rome and my wife.", [("Likes", "Rome and my wife")]),
        ("I really love old maps", [("Likes", "old maps")]),
        ("I like it", []),
        ("I like Italian food", [("Likes", "Italian food")]),
        ("I don’t like loud places.", [("Dislikes", "loud places")]),
        ("My dog is called Biscuit. My sister's name is Ana.", [("Dog's name", "Biscuit"), ("Sister's name", "Ana")]),
        ("I have a cat named Tom", [("Cat's name", "Tom")]),
        ("My favourite colour is green", [("Favourite colour", "green")]),
        ("Remember that I am allergic to nuts", [("Remember", "I am allergic to nuts")]),
        ("Remember me?", []),
        ("Is my name Sam?", []),
        ("My day is terrible", []),
        ("He said my name is Sam", []),
        ("My dog is sick", []),
        ("In Paris, I love the rain", []),
        ("I live in Bremen now, not in Hamburg.", [("Lives in", "Bremen")]),
        ("I like tea, not coffee", [("Likes", "tea")]),
        ("My dentist is Dr. Braun.", [("Dentist's name", "Dr. Braun")]),
        ("Remember the door is locked, not open", [("Remember", "the door is locked, not open")]),
        ("Hello Ada, please remember that Eva is coming.", [("Remember", "Eva is coming")]),
        ("Hello Adam, Please remember that Eva is coming", [("Remember", "Eva is coming")]),
        ("Ada, remember that Eva is coming", [("Remember", "Eva is coming")]),
        ("Good morning Ada! Please remember: Eva is coming", [("Remember", "Eva is coming")]),
        ("Can you please remember that Eva is coming?", [("Remember", "Eva is coming")]),
        ("Don\u2019t forget that Eva is coming", [("Remember", "Eva is coming")]),
        ("Please note that Eva is coming", [("Remember", "Eva is coming")]),
        ("Do you remember that Eva is coming?", []),
        ("Remember when Eva came?", []),
        ("Hi Ada, my name is Sam.", [("Name", "Sam")]),
        ("Remember that my name is Sam.", [("Remember", "my name is Sam"), ("Name", "Sam")]),
        (f"Remember that {'a word ' * 40}counts", [("Remember", f"{'a word ' * 40}counts")]),
        ("Please remember that.", []),
        ("Remember something for me", []),
        ("Can you remember my dog's name?", []),
        ("Write down a poem", []),
        ("My bicycle is green. Please remember that.", [("Remember", "My bicycle is green")]),
        ("My name is Sam. Remember it!", [("Name", "Sam")]),
        (
            "Remember this:\n- my bicycle is green\n- my name is Sam\nWhat time is it?",
            [("Remember", "my bicycle is green"), ("Remember", "my name is Sam"), ("Name", "Sam")],
        ),
    ],
)
def test_statements(words: str, facts: list[tuple[str, str]]) -> None:
    """Plain statements about the person are found; questions, remarks in passing and moods are not."""
    assert [tuple(fact) for fact in stated(words)] == facts


@pytest.mark.parametrize(
    "request_words",
    [
        "Remember that {}",
        "I need you to remember that {}.",
        "I'd like you to remember that {}",
        "I want you to remember: {}",
        "You should remember that {}",
        "Make sure you remember that {}",
        "Do remember that {}",
        "Can you remember that {}?",
        "Could you please remember {}?",
        "Would you keep in mind that {}?",
        "Don't forget that {}",
        "Never forget that {}",
        "Note that {}",
        "Note to self: {}",
        "Make a note that {}",
        "Please make a mental note of this: {}",
        "Take note: {}",
        "Keep in mind that {}",
        "Keep this in mind: {}",
        "Bear in mind that {}",
        "Write down that {}",
        "For the record, {}",
        "Adam, for the record: {}",
        "For future reference, {}",
        "FYI {}",
        "Just so you know, {}",
    ],
)
def test_every_way_to_ask_her_to_remember(request_words: str) -> None:
    """However it is put, the same note is kept, she says so, and a question for the attribute finds it."""
    words = request_words.format("my bicycle is green")
    assert [tuple(fact) for fact in stated(words)] == [("Remember", "my bicycle is green")]
    history = [Line("person", words, 1)]
    assert asked("What colour is my bicycle?", person="", history=history) == (
        "You asked me to remember: my bicycle is green."
    )


@pytest.mark.parametrize(
    "words", ["Please remember that", "Remember!", "Hello Adam, keep it in mind", "note this down"]
)
def test_a_request_that_says_nothing_is_asked_back(words: str) -> None:
    """Words that do not say what is to be remembered are not a note."""
    assert asked(words, person="") == WHAT


def test_fold_keeps_what_a_person_wrote() -> None:
    """Facts replace or join their own bullets; other lines of the file stay as they are."""
    file = "# About Sam\n\n- Name: Sam\nfree words: here\n- Likes: jazz\n"
    folded = fold(file, [*stated("My name is Samuel"), *stated("I like Jazz"), *stated("I like tea")])
    assert folded == "# About Sam\n\n- Name: Samuel\nfree words: here\n- Likes: jazz\n- Likes: tea\n"
    assert fold(folded, stated("I like tea")) == folded
