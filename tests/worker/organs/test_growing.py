"""What may be shown of an answer that still grows."""

from __future__ import annotations

import pytest

from worker.organs.thoughts import begins_within_thoughts, so_far, without_thoughts

WHOLE = [
    "Hello, how are you?",
    "<think>They greet me. <b>Hm.</b></think>Hello!",
    "\n <thinking>one</thinking>First. <thinking>two</thinking> Second.",
    "[THINK]quietly[/THINK]Bonjour < <- not a tag",
    "◁think▷tacitly◁/think▷Ni hao",
    "<|channel|>analysis<|message|>They greet me.<|end|><|start|>assistant<|channel|>final<|message|>Hello<|return|>",
    "<|channel|>final <|constrain|>json<|message|>{}",
    "All done.</s><|im_start|>user\nAnd then?",
    "Use `<think>` in code, or\n```\n<think>\n```\nas here.",
    "<seed:think>a</seed:think><reflection>b</reflection>c",
]
SECRETS = ("greet", "one", "two", "quietly", "tacitly", "analysis", "channel", "And then")


@pytest.mark.parametrize("whole", WHOLE)
def test_nothing_is_shown_that_will_not_stay(whole: str) -> None:
    """However much has come, what is shown is the beginning of what will be said: no thought, and no piece of a tag."""
    final = without_thoughts(whole)
    shown = [so_far(whole[:size]) for size in range(len(whole) + 1)]
    assert [one for one in shown if not final.startswith(one)] == []
    assert not any(secret in one for secret in SECRETS for one in shown if secret not in final)
    assert len(set(shown)) > len(final) / 2


def test_a_thought_that_begins_later_is_held_back() -> None:
    """Whether it ends or not is not known yet."""
    assert so_far("Well. <think>Perhaps they") == "Well."
    assert so_far("Well. <think>Perhaps they</think> Yes.") == "Well.  Yes."


def test_a_model_whose_template_opens_the_thought() -> None:
    """Of its answers nothing is shown before the end of the thought; how they look is seen from a whole one."""
    answer = "They greet me.</think>\n\nHello"
    assert begins_within_thoughts(answer)
    assert not begins_within_thoughts("Hello <think>")
    assert not begins_within_thoughts("The tag `</think>` ends it.")
    shown = {so_far(answer[:size], is_thinking_first=True) for size in range(len(answer) + 1)}
    assert shown == {"", "H", "He", "Hel", "Hell", "Hello"}
