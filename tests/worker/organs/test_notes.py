"""What she was asked to remember, and the questions that find it."""

from __future__ import annotations

import pytest

from proto.messages import Line, Perceive, Reply
from tests.worker.conftest import WEB, SeatMaker
from tests.worker.embedded.test_known_words import asked
from tests.worker.embedded.test_mind import ORGAN
from worker.organs.known import FULL, UNKNOWN
from worker.prompting.memory import FILE_BYTES

NOTED = """\
- Remember: my sister Eva is coming on Friday
- Remember: the code of the garage is 4711
- Remember: my dentist appointment is on Tuesday at ten
- Allergic to: nuts
The boiler was repaired in May.
"""


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When is my sister coming?", "You asked me to remember: my sister Eva is coming on Friday."),
        ("Hello Adam, who is coming on Friday?", "You asked me to remember: my sister Eva is coming on Friday."),
        ("What is the code of the garage?", "You asked me to remember: the code of the garage is 4711."),
        ("what's the garage code", "You asked me to remember: the code of the garage is 4711."),
        (
            "When is my dentist appointment?",
            "You asked me to remember: my dentist appointment is on Tuesday at ten.",
        ),
        ("What am I allergic to?", "You told me: Allergic to: nuts."),
        ("When was the boiler repaired?", "You told me: The boiler was repaired in May."),
        ("When is my exam?", "I do not know that yet. Tell me about your exam, and I will remember it."),
        ("What is a garage?", None),
        ("What is the capital of France?", None),
        ("When does the train to Hamburg leave?", None),
    ],
)
def test_a_noted_fact_is_found_by_its_subject(question: str, answer: str | None) -> None:
    """What she was asked to remember answers the questions about it, however they are put."""
    assert asked(question, person=NOTED) == answer


THINGS = """\
- Remember: my bicycle is green
- Remember: my bicycle cost 500 euros
- Remember: my car was built in 2010
- Remember: my keys are in the drawer
- Remember: my exam is on Monday
- Remember: my rucksack is 60 cm high
- Dog's name: Biscuit
- Favourite colour: blue
"""


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What colour is my bicycle?", "You asked me to remember: my bicycle is green."),
        ("what color is my bicycle", "You asked me to remember: my bicycle is green."),
        ("Which colour does my bicycle have?", "You asked me to remember: my bicycle is green."),
        ("What is the colour of my bicycle?", "You asked me to remember: my bicycle is green."),
        ("what's my bicycle's color?", "You asked me to remember: my bicycle is green."),
        ("Do you know what colour my bicycle is?", "You asked me to remember: my bicycle is green."),
        ("Tell me the colour of my bicycle", "You asked me to remember: my bicycle is green."),
        ("How much was my bicycle?", "You asked me to remember: my bicycle cost 500 euros."),
        ("How old is my car?", "You asked me to remember: my car was built in 2010."),
        ("Where are my keys?", "You asked me to remember: my keys are in the drawer."),
        ("What day is my exam?", "You asked me to remember: my exam is on Monday."),
        ("What size is my rucksack?", "You asked me to remember: my rucksack is 60 cm high."),
        ("Can you remember my dog's name?", "Your dog is called Biscuit."),
        ("Do you remember what my dog is called?", "Your dog is called Biscuit."),
        ("What is my favorite color?", "You told me: Favourite colour: blue."),
        ("What size is my hat?", UNKNOWN),
        ("How tall is my brother?", UNKNOWN),
        ("What colour is the sky?", None),
        ("How old is the universe?", None),
    ],
)
def test_an_attribute_is_found_by_its_subject(question: str, answer: str | None) -> None:
    """A note rarely names the attribute that it tells; what she was not told she does not make up."""
    assert asked(question, person=THINGS) == answer


def test_a_fact_noted_in_this_conversation_is_found() -> None:
    """No consolidation is needed in between, and a note that states a fact is that fact."""
    history = [Line("person", "Hello Adam, please remember that my dentist is Dr. Braun.", 1)]
    assert asked("Who is my dentist?", person="", history=history) == "Your dentist is Dr. Braun."
    assert asked("What did I ask you to remember?", person="", history=history) == (
        "You asked me to remember: my dentist is Dr. Braun."
    )


def test_a_note_that_is_too_long_is_not_promised() -> None:
    """What she cannot keep word for word she says, and does not leave to the model."""
    assert asked(f"Please remember that {'word ' * 300}") == (
        "That is too long for me to keep word for word: tell me in at most 1000 characters."
    )


def test_a_full_memory_promises_nothing() -> None:
    """A fact for which there is no room in person.md is not acknowledged, and one that is there already is."""
    full = "".join(f"- Remember: {'word ' * 150}{number}\n" for number in range(22))[: FILE_BYTES - 10]
    assert asked("Please remember that Eva is coming", person=full) == FULL
    assert asked(f"Please remember that {'word ' * 150}3", person=full) == "I will remember that."
    assert asked("I live in Braga. I live in Porto.", person="") == "I will remember that."


async def test_facts_of_the_owner_are_to_be_folded_at_once(seat: SeatMaker) -> None:
    """The reply says that her owner stated facts; words without any do not, and a visitor has no memory here."""
    for words, visitor, told in (
        ("My name is Sam", None, True),
        ("What is your name?", None, False),
        ("My name is Sam", "Sam", False),
    ):
        adam = seat(ORGAN)
        adam.agent.receive(Perceive(1, WEB, adam.perceptions(words), [], {}, visitor=visitor))
        assert (await adam.first(Reply)).told is told
