"""What a person may ask about personad itself, answered from her record and from what the commands and pages say."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Final

from proto.records import EMBEDDED, ORGANS, OrganName, Persona

_ABILITIES: Final[dict[OrganName, tuple[str, str]]] = {
    "ear": ("hear recordings", "hear recordings in English"),
    "eye": ("look at pictures", "read the text in pictures"),
    "researcher": ("read documents", "read documents and quote from them"),
    "mouth": ("speak", "speak English when you speak to me"),
    "imagination": ("paint pictures", "paint pictures"),
    "teacher": ("ask a larger model for advice", "ask a larger model for advice"),
}
"""What each organ is good for: a remote one, and an embedded one, which can do less."""

_ORGAN_OF: Final[dict[str, OrganName]] = {
    "hear": "ear",
    "listen": "ear",
    "see": "eye",
    "look": "eye",
    "read": "researcher",
    "speak": "mouth",
    "talk": "mouth",
    "paint": "imagination",
    "draw": "imagination",
}

_OPEN_CHANNELS: Final = (
    "{channel} is a channel for everybody who writes to you there. It is created with the /v1 API: "
    "daemon/api/v1/README.md shows how, step by step."
)
_PAIRED: Final = (
    "Make a bot on {channel} and copy its token; daemon/channels/README.md shows how. Then run "
    "`personad channel add {name} {kind}` and paste the token, write anything to the bot, and claim the code that it "
    "answers with: `personad pair {name} CODE`."
)
_CHANNELS: Final[dict[str, tuple[str, str]]] = {
    "telegram": ("Telegram", _PAIRED),
    "discord": ("Discord", _PAIRED),
    "slack": ("Slack", _OPEN_CHANNELS),
    "whatsapp": ("WhatsApp", _OPEN_CHANNELS),
    "sms": ("SMS", _OPEN_CHANNELS),
    "twilio": ("SMS", _OPEN_CHANNELS),
}
_OTHER_CHANNELS: Final = (
    "I can be reached on the web, in the terminal (`personad chat {name}`), and on Telegram, Discord, Slack, SMS and "
    "WhatsApp. For Telegram and Discord run `personad channel add {name} telegram` or `personad channel add {name} "
    "discord`; the others are created with the /v1 API."
)

_VISITED: Final = "I answer questions here, as well as my very small built-in mind can."


def product_answer(question: str, persona: Persona, *, visitor: bool) -> str | None:
    """Answer a question about personad, or return None for any other question.

    ``question`` is one line in lower case without greetings and final punctuation. A ``visitor`` learns nothing of how
    she is set up.
    """
    for pattern, answer in _QUESTIONS:
        if match := pattern.match(question):
            return _VISITED if visitor else answer(persona, match)
    return None


def _can(persona: Persona, _match: re.Match[str]) -> str:
    able = [_ability(persona, organ) for organ in ORGANS if getattr(persona, organ)]
    missing = [_ABILITIES[organ][0] for organ in ("ear", "eye", "researcher", "mouth") if not getattr(persona, organ)]
    lines = ["I remember what you tell me about yourself (try `Please remember that ...`), and tell you the time."]
    if able:
        lines.append(f"I can {_listed(able)}.")
    if missing:
        lines.append(f"I cannot {' or '.join(missing)} yet: `personad organ {_name(persona)}` shows what I lack.")
    lines.append("I can be reached on Telegram, Discord, Slack, SMS and WhatsApp, too: ask me how.")
    lines.append(f"My built-in mind is very small; {_better_mind(persona)}")
    return " ".join(lines)


def _can_sense(persona: Persona, match: re.Match[str]) -> str:
    organ = _ORGAN_OF[match["sense"]]
    if getattr(persona, organ):
        return f"Yes: I can {_ability(persona, organ)}."
    return f"No, I have no {organ}. `personad organ {_name(persona)} {organ} ...` gives me one."


def _channel(persona: Persona, match: re.Match[str]) -> str:
    title, words = _CHANNELS.get(match["channel"], ("", _OTHER_CHANNELS))
    return words.format(channel=title, name=_name(persona), kind=title.lower())


def _mind(persona: Persona, _match: re.Match[str]) -> str:
    better = _better_mind(persona)
    return f"{better[:1].upper()}{better[1:]}"


def _memory(persona: Persona, _match: re.Match[str]) -> str:
    return (
        "I write what you tell me into Markdown files on this machine. "
        f"`personad knowledge {_name(persona)}` shows them; they are yours to edit, in personas/{persona.id}/memory."
    )


def _feeding(persona: Persona, _match: re.Match[str]) -> str:
    return (
        "Request an export of your data from ChatGPT, Claude, Gemini or Grok, and run "
        f"`personad feed {_name(persona)} FILE --source chatgpt` (or claude, gemini, grok)."
    )


def _moving(persona: Persona, _match: re.Match[str]) -> str:
    return (
        f"`personad export {_name(persona)} FILE.zip` writes me into an archive, and `personad restore FILE.zip` "
        "brings me up on another machine. The archive holds my keys in the clear."
    )


def _sending(persona: Persona, _match: re.Match[str]) -> str:
    return (
        f"Send me files through a channel, or to POST /api/persona/{persona.id}/attach. I take pictures, recordings, "
        "and documents as PDF, CSV, JSON, text or Markdown."
    )


def _better_mind(persona: Persona) -> str:
    return (
        f"`personad organ {_name(persona)} thinking PROVIDER MODEL` gives me a better one: openai, anthropic, xai, "
        "gemini, or local for an Ollama on this machine."
    )


def _ability(persona: Persona, organ: OrganName) -> str:
    remote, embedded = _ABILITIES[organ]
    return embedded if getattr(persona, organ).provider == EMBEDDED else remote


def _name(persona: Persona) -> str:
    return shlex.quote(persona.name)


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


_HOW: Final = r"(?:how (?:do|can|could|should|would) (?:i|we|you)|how to|can i|can you|is it possible to|i want to)"
_YOU: Final = r"(?:you |yourself |me |us |this |my account )?"
_VIA: Final = "(?:you |yourself |me |us |this |up |to |with |via |on |over |through |from |by |it )*"
_CONNECT: Final = r"(?:connect|add|link|use|reach|talk|chat|write|get|put|set|message|pair|text)"
_ASKED: Final[tuple[tuple[str, Callable[[Persona, re.Match[str]], str]], ...]] = (
    (
        (
            r"(?:what|which things) (?:can|could) you do(?: for me)?|what are you (?:able to do|good at|good for)|"
            r"(?:can you |please )?help(?: me)?|what (?:are your|features|abilities)[\w ]*|how (?:do|can) i use you|"
            r"how do(?:es)? (?:you|this|it) work|what can i (?:do|ask)(?: you)?(?: with you)?"
        ),
        _can,
    ),
    (
        (
            r"can you (?P<sense>hear|listen|see|look|read|speak|talk|paint|draw)"
            r"(?: (?:me|at|to|in|images?|pictures?|photos?|documents?|files?|pdfs?|voice messages?|recordings?|my|a))*"
        ),
        _can_sense,
    ),
    (
        (
            rf"{_HOW} (?:also )?{_CONNECT} {_VIA}"
            r"(?P<channel>telegram|discord|slack|whatsapp|sms|twilio|phone|my phone|a channel|channels)"
            r"(?: (?:to you|with you|bot|account|too))*"
        ),
        _channel,
    ),
    (
        (
            rf"{_HOW} (?:give|get|set|change|use|connect|choose|make) {_YOU}(?:to |with |up )?"
            r"(?:a |an |your |another )?(?:better |bigger |larger |other |new |different |smarter )*"
            r"(?:mind|model|brain|openai|chatgpt|anthropic|claude|ollama|gemini|grok|smarter)(?: for you)?"
        ),
        _mind,
    ),
    (
        (
            r"(?:where|how) (?:do|are|is) (?:you|my|the) (?:keep|store|save|data|memor(?:y|ies)|facts?|remember)[\w ]*|"
            rf"{_HOW} (?:see|edit|change|correct|delete|erase|remove) (?:your|my|the|what) [\w ]*"
            r"(?:memor(?:y|ies)|data|facts|know|remember)[\w ]*"
        ),
        _memory,
    ),
    (rf"{_HOW} (?:feed|import|give|load|bring) {_YOU}[\w ]*(?:history|export|chats|conversations)[\w ]*", _feeding),
    (rf"{_HOW} (?:(?:move|export|back ?up|take|copy|restore) {_YOU}[\w ]*|back (?:you|yourself) up)", _moving),
    (rf"{_HOW} (?:send|show|give) you [\w ]*(?:pictures?|photos?|files?|documents?|pdfs?|recordings?)", _sending),
)
_QUESTIONS: Final = tuple((re.compile(rf"(?:{pattern})\Z"), answer) for pattern, answer in _ASKED)
