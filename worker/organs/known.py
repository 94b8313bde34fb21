"""What the embedded mind answers by code: who she is, the time, and what she was told. Its model knows none of this."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Final, TypeAlias

from proto.messages import Perception
from worker.organs.attributes import asks_for_attribute
from worker.organs.product import product_answer
from worker.organs.quoting import best_line
from worker.organs.remembered import remembered, said_about
from worker.organs.statements import (
    CURLY,
    DISLIKES,
    GATHERED,
    HOME,
    LIKES,
    NAME,
    NOTE,
    NOTE_CHARS,
    Fact,
    fold,
    is_bare,
    keeps,
    same_key,
    stated,
    too_long_to_note,
    written,
)
from worker.prompting.due import body_of, is_due
from worker.prompting.origin import without_origins
from worker.prompting.perceived import (
    ear_notes,
    failure,
    is_heard,
    own_words,
    spoken_or_written,
    told_by_files,
    without_ear_notes,
)
from worker.prompting.prompt import Prompt, age

Answerer: TypeAlias = Callable[["Known", "re.Match[str]"], str]

_ORGANS: Final = {"image": "an eye", "audio": "an ear", "document": "a researcher"}
_THINGS: Final = {"image": "a picture", "audio": "a recording", "document": "a document"}
_FINDINGS: Final = {
    "image": "This is what I can tell of your picture: ",
    "audio": "I listened to your recording: ",
    "document": "I have read your document: ",
}

SHOWN_CHARS: Final = 700
"""How many characters of a file's text she repeats without being asked."""

WHAT: Final = "What would you like me to remember? Say it in one sentence: remember that my bicycle is green."
UNKNOWN: Final = "I do not know that yet. Tell me, and I will remember it."
FULL: Final = "I cannot remember that: my memory of you is full. Take something out of person.md, and tell me again."


def known_answer(prompt: Prompt, texts: list[str]) -> str | None:
    """Answer these new messages by code, or return None when one of them needs the model."""
    parts: list[str] = []
    for words in texts:
        part = _answer(prompt, words)
        if part is None:
            return None
        if part not in parts:
            parts.append(part)
    return " ".join(parts) or None


def typed_and_heard(prompt: Prompt) -> list[str]:
    """Return the texts of the new messages. Speech counts like typed text; tasks that came due are nobody's words."""
    words: list[str] = []
    for one in prompt.perceptions:
        text = prompt.perceived.get(one.id, "")
        if is_heard(one, text):
            words.append(without_ear_notes(text))
        elif one.kind == "text" and not is_due(one.content):
            words.append(one.content)
    return words


def arranged_answers(prompt: Prompt) -> list[str]:
    """Return what she says to each task that came due: the answer if code knows one, else what was arranged."""
    tasks = [body_of(one.content) for one in prompt.perceptions if is_due(one.content)]
    return [
        (None if any(stated(task)) else known_answer(prompt, [task])) or f"You asked me for this now: {task}"
        for task in tasks
    ]


def told_of_files(prompt: Prompt) -> list[str]:
    """Return what she says about each file; of speech addressed to her only what she did not hear."""
    told: list[str] = []
    for one in prompt.perceptions:
        text = prompt.perceived.get(one.id, "")
        if is_heard(one, text):
            told += [f"About your recording: {note}" for note in ear_notes(text)]
        elif one.kind != "text":
            told.append(_told(one, text))
    return told


def _told(perception: Perception, text: str) -> str:
    if not text:
        what, organ = _THINGS[perception.kind], _ORGANS[perception.kind]
        return f"You sent me {what}, but I have nothing to perceive it with: I need {organ} for that."
    if reason := failure(text):
        return f"You sent me {_THINGS[perception.kind]}, but I could not understand it: {reason}"
    shown = text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS].rsplit(maxsplit=1)[0]} ..."
    return f"{_FINDINGS[perception.kind]}{shown}"


def _answer(prompt: Prompt, words: str) -> str | None:
    if not words.strip():
        return "Your message was empty."
    own = own_words(words)
    question = _plain(own, prompt.persona.name)
    known = Known(prompt)
    for pattern, answer in _QUESTIONS:
        if match := pattern.match(question):
            return answer(known, match)
    if told := remembered(prompt, question):
        return told
    if is_bare(question):
        return WHAT
    if told := product_answer(question, prompt.persona, visitor=prompt.visitor is not None):
        return told
    if facts := list(stated(own)):
        return _acknowledged(facts) if keeps(known.person, facts) else FULL
    if too_long_to_note(own):
        return f"That is too long for me to keep word for word: tell me in at most {NOTE_CHARS} characters."
    return _looked_up(known, question) if own.rstrip().endswith("?") or _ASKS.match(question) else None


class Known:
    """What an answer can use."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt

    @cached_property
    def facts(self) -> list[Fact]:
        """The facts in person.md, updated with statements in this conversation that are not consolidated yet."""
        return written(self.person)

    @cached_property
    def person(self) -> str:
        """person.md with the statements in this conversation that are not consolidated yet."""
        said = [spoken_or_written(line) for line in self.prompt.history if line.role == "person"]
        said += [own_words(words) for words in typed_and_heard(self.prompt)]
        return fold(self.prompt.memory.get("person", ""), (fact for text in said for fact in stated(text)))


def _plain(text: str, name: str) -> str:
    """Return the text as one line in lower case, without greetings, her name, polite words and final punctuation."""
    line = " ".join(text.casefold().replace(CURLY, "'").split()).strip(" ?!.")
    called = re.escape(" ".join(name.casefold().split()))
    opening = rf"\A(?:(?:hello|hi|hey|ok|okay|so|and|please|well|{called})\b[,!. ]*)+(?=\w)"
    return re.sub(rf",? (?:{called}|please)\Z", "", re.sub(opening, "", line))


def _acknowledged(facts: list[Fact]) -> str:
    names = [fact.value for fact in facts if fact.key == NAME]
    return f"Nice to meet you, {names[-1]}. I will remember your name." if names else "I will remember that."


def _values(facts: list[Fact], key: str) -> list[str]:
    return [fact.value for fact in facts if same_key(fact.key, key)]


def _her_name(known: Known, _match: re.Match[str]) -> str:
    return f"My name is {known.prompt.persona.name}."


def _her_nature(known: Known, _match: re.Match[str]) -> str:
    return (
        f"I am {known.prompt.persona.name}, a persona on this machine. I think with a very small built-in model, "
        "so I remember facts well and talk simply."
    )


def _her_age(known: Known, _match: re.Match[str]) -> str:
    born = age(known.prompt.persona.birthday, known.prompt.now.date())
    return f"I was born on {known.prompt.persona.birthday}, {born} ago." if born else "I do not know when I was born."


def _time(known: Known, _match: re.Match[str]) -> str:
    return f"It is {known.prompt.now:%H:%M}."


def _date(known: Known, _match: re.Match[str]) -> str:
    return f"Today is {known.prompt.now:%A}, {known.prompt.now.day} {known.prompt.now:%B %Y}."


def _person_name(known: Known, _match: re.Match[str]) -> str:
    names = _values(known.facts, NAME)
    return f"Your name is {names[-1]}." if names else "I do not know your name yet. Tell me, and I will remember it."


def _person_home(known: Known, _match: re.Match[str]) -> str:
    homes = _values(known.facts, HOME)
    return f"You live in {homes[-1]}." if homes else "I do not know where you live yet."


def _person_likes(known: Known, _match: re.Match[str]) -> str:
    likes = _values(known.facts, LIKES)
    return f"You like {_listed(likes)}." if likes else "You have not told me what you like yet."


def _person_dislikes(known: Known, _match: re.Match[str]) -> str:
    dislikes = _values(known.facts, DISLIKES)
    return f"You do not like {_listed(dislikes)}." if dislikes else "You have not told me what you dislike yet."


def _person_notes(known: Known, _match: re.Match[str]) -> str:
    notes = _values(known.facts, NOTE)
    return (
        f"You asked me to remember: {'; '.join(notes)}." if notes else "You have not asked me to remember anything yet."
    )


def _everything(known: Known, _match: re.Match[str]) -> str:
    if not known.facts:
        return "I know nothing about you yet. Tell me, and I will remember it."
    return "This is what I know about you:\n" + "\n".join(f"- {fact.key}: {fact.value}" for fact in known.facts)


def _person_thing(known: Known, match: re.Match[str]) -> str:
    thing = (match["thing"] or match["named"]).strip()
    values = _values([fact for fact in known.facts if fact.key not in GATHERED], thing)
    if not values:
        if noted := _noted(known, match.string):
            return noted
        return f"I do not know that yet. Tell me about your {thing}, and I will remember it."
    asked_for_name = match["named"] or re.search(r"(?:name|called|named)(?: is)?\Z", match.string)
    return f"Your {thing} is called {values[-1]}." if asked_for_name else f"Your {thing} is {values[-1]}."


def _looked_up(known: Known, question: str) -> str | None:
    """Answer from person.md. What she was never told of the person's things is not left to the model to make up."""
    if noted := _noted(known, question):
        return noted
    if known.prompt.recalled and (told := said_about(known.prompt, question)):
        return told
    may_be_in_files = known.prompt.passages or told_by_files(known.prompt.history)
    return UNKNOWN if asks_for_attribute(question) and not may_be_in_files else None


def _noted(known: Known, question: str) -> str | None:
    """Answer with the line of person.md that a question is about, or return None."""
    lines = [without_origins(line).strip(" -*\t") for line in known.person.splitlines() if not line.startswith("#")]
    found = best_line([line for line in lines if line], question)
    if not found:
        return None
    note = found.rstrip(".").removeprefix(f"{NOTE}: ")
    return f"You told me: {note}." if found.startswith(note) else f"You asked me to remember: {note}."


def _listed(values: list[str]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} and {values[-1]}"


_ASKS: Final = re.compile(r"(?:what|who|whom|whose|when|where|which|how|why|do|does|did|is|are|was|were|tell me)\b")
_IS: Final = r"(?:'s| is| are|s)"
_NATURES: Final = "(?:ai|bot|robot|human|real|real person|person|machine|persona)"
_RECALL: Final = r"(?:do|can|could|will) you (?:still )?(?:know|remember|recall)"
_THING: Final = (
    rf"(?:(?:what|who|when){_IS}|{_RECALL}(?: what| who| when)?) my (?P<thing>[\w' -]{{2,40}}?)(?: is| are)?"
    r"(?:'s name| name| called| named)?(?: is| are)?"
)
_NAME_OF: Final = r"(?:what|who)(?:'s| is) the name of my (?P<named>[\w' -]{2,40})"

_ASKED: Final[tuple[tuple[str, Answerer], ...]] = (
    (rf"(?:what{_IS}|tell me) your name|do you have a name|your name|what are you called", _her_name),
    (
        rf"(?:who|what) are you|introduce yourself|what model are you|are you (?:an? )?{_NATURES}",
        _her_nature,
    ),
    (rf"how old are you|when were you born|(?:when|what){_IS} your birthday|what{_IS} your age", _her_age),
    (rf"what time is it(?: now)?|what{_IS} the time(?: now)?|tell me the time", _time),
    (rf"what (?:day|date) is (?:it|today)(?: today)?|what{_IS} (?:the |today's )date(?: today)?", _date),
    (rf"what{_IS} my name|who am i|{_RECALL} (?:my name|who i am|what my name is)|what am i called", _person_name),
    (rf"where do i live|what{_IS} my (?:home|city)|{_RECALL} where i live", _person_home),
    (rf"what do i (?:like|love|enjoy)(?: to do)?|{_RECALL} what i like", _person_likes),
    (r"what do i (?:hate|dislike|not like)|what don't i like", _person_dislikes),
    (r"what did i (?:ask|tell) you to remember|what should you remember", _person_notes),
    (r"what do you (?:know|remember)(?: about me)?|tell me (?:what you know )?about me", _everything),
    (f"{_THING}|{_NAME_OF}", _person_thing),
)
_QUESTIONS: Final = tuple((re.compile(rf"(?:{pattern})\Z"), answer) for pattern, answer in _ASKED)
