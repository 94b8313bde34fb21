"""Instructions that somebody wrote with any editor, and answers of minds about memory: taken, or refused in words."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from daemon.personas.instruction_files import FILE_BYTES, InstructionFault, checked, parsed, rendered
from proto.unicode_text import valid_text
from tests.fuzz.strategies import outcome, words
from worker.prompting.memory import (
    FILE_BYTES as MEMORY_BYTES,
)
from worker.prompting.memory import (
    ConsolidationError,
    parse_consolidation,
    shown_files,
)

lines = st.sampled_from(["---", "visitors: yes", "visitors: no", "visitors:", "# When", "## Then", "", "Say hello."])
files = st.lists(lines | words.map(valid_text), max_size=8).map("\n".join)


@given(files.map(str.encode) | st.binary(max_size=80))
@example(b"---\nvisitors: yes\n---\n# \xc2\xa0\nSay.")
@example(b"# a\xe2\x80\xa8b\nSay.")
def test_instructions(data: bytes) -> None:
    """What is taken is small, says when and what, and is the same when it is written and read again."""
    found = []
    outcome(lambda: found.append(parsed("x.md", data)), InstructionFault)
    for one in found:
        assert one.body.strip()
        assert one.intention == one.intention.strip() != ""
        assert "\n" not in one.intention
        assert len(rendered(one)) <= FILE_BYTES
        assert checked(parsed("x.md", rendered(one))) == one


sections = st.sampled_from(
    ["## person", "## person-garden", "## end", "## diary", "- Name: Sam", "- a plant", "(empty)", "```", "", "## "]
)
answers = st.lists(sections | words.map(valid_text), max_size=12).map("\n".join)
bodies = st.sampled_from(["", "- Name: Sam\n", "- a plant\n" * 1300, "- a plant and a tree\n" * 2000])


@given(answers, st.dictionaries(st.sampled_from(["person", "person-garden", "zoo"]), bodies))
def test_consolidations(answer: str, memory: dict[str, str]) -> None:
    """Only files that were shown or may be new change, and each fits; anything else is refused as a whole."""
    shown = shown_files([], memory)
    found: list[dict[str, str]] = []
    outcome(lambda: found.append(parse_consolidation(answer, memory, shown)), ConsolidationError)
    for changed in found:
        assert all(name in shown or name not in memory for name in changed)
        assert all(body.strip() and len(body.encode()) <= MEMORY_BYTES + 1 for body in changed.values())
