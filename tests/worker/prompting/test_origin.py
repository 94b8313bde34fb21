"""Notes of origin: once on every new line, never on older ones; old conversations do not overwrite newer facts."""

from __future__ import annotations

import pytest

from worker.organs.statements import Fact, fold, written
from worker.prompting.memory import FILE_BYTES
from worker.prompting.origin import Origin, merged, without_origins

MAY = Origin("ChatGPT", (2024, 5))
NOTE = "(from ChatGPT, May 2024)"


def folded(before: str, after: str, origin: Origin = MAY) -> str:
    """The file after a feed, as it was when nothing changes."""
    return merged({"person": before}, {"person": after}, origin).get("person", before)


def test_origin_of_a_conversation() -> None:
    """Source and month, or the source alone if the export has no time."""
    assert Origin.of("chatgpt", 1714550400 * 10**9).note() == NOTE
    assert Origin.of("personad", 0).note() == "(from personad)"
    assert Origin.of("grok", 1735689599 * 10**9).note() == "(from Grok, December 2024)"


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [
        ("", "- Sails\n", f"- Sails {NOTE}\n"),
        ("# Ada\n\n- Calm\n", "# Ada\n\n- Calm\n- Sails", f"# Ada\n\n- Calm\n- Sails {NOTE}\n"),
        ("- Sails\n", "- sails.\n* Sails\n", "- Sails\n"),
        ("- Sails (from Grok, May 2023)\n", "- Sails\n- Sings\n", f"- Sails (from Grok, May 2023)\n- Sings {NOTE}\n"),
        ("", f"- Sails {NOTE}\n", f"- Sails {NOTE}\n"),
        ("", "- Sails (from Grok, May 2023)\n", f"- Sails {NOTE}\n"),
        ("", "- A gift (from mum)\n", f"- A gift (from mum) {NOTE}\n"),
        ("- Sails\n- Sings\n", "- Sings\n", "- Sings\n"),
        ("- Sails\n", "- Sails\n\n\n", "- Sails\n"),
    ],
)
def test_new_lines_get_a_note(before: str, after: str, result: str) -> None:
    """New lines get it once, headings do not; a line that differs only in note, bullet, case or stop is not new."""
    assert folded(before, after) == result


@pytest.mark.parametrize(
    ("known", "stays"),
    [
        ("- Lives in: Graz", True),
        ("- Lives in: Graz (from Claude, June 2024)", True),
        ("- Lives in: Graz (from Claude, May 2024)", False),
        ("- Lives in: Graz (from Claude, January 2023)", False),
        ("- Lives in: Graz (from Claude)", False),
    ],
)
def test_the_past_does_not_replace_the_present(known: str, stays: bool) -> None:
    """A fact from the person or from a later conversation stays when an older conversation contradicts it."""
    kept = known if stays else f"- Lives in: Linz {NOTE}"
    assert folded(f"- Name: Ada\n{known}\n", "- Name: Ada\n- Lives in: Linz\n") == f"- Name: Ada\n{kept}\n"


def test_nothing_new_changes_no_file() -> None:
    """Unchanged files are not in the result."""
    before = {"person": f"- Sails {NOTE}\n", "traits": "- Calm"}
    assert merged(before, {"person": "- Sails\n", "traits": "- Calm\n"}, MAY) == {}


def test_files_stay_within_their_bound() -> None:
    """New lines that do not fit with their note are left out; a file that was made too large by hand stays as it is."""
    lines = [f"- fact {n}" for n in range(FILE_BYTES // 14)]
    result = folded("- first\n", "- first\n" + "\n".join(lines))
    assert len(result.encode()) <= FILE_BYTES < len(result.encode()) + 40
    assert result.startswith(f"- first\n- fact 0 {NOTE}\n")
    large = "".join(f"- by hand {n}\n" for n in range(FILE_BYTES // 10))
    assert folded(large, large + "- y\n") == large


def test_the_built_in_mind_reads_past_the_notes() -> None:
    """A note is not part of a fact: it is not repeated in answers, and the same fact is not written twice."""
    person = f"- Name: Ada {NOTE}\n- Likes: tea {NOTE}\n"
    assert written(person) == [Fact("Name", "Ada"), Fact("Likes", "tea")]
    assert fold(person, [Fact("Name", "Ada"), Fact("Likes", "tea")]) == person
    assert fold(person, [Fact("Name", "Eve")]) == f"- Name: Eve\n- Likes: tea {NOTE}\n"
    assert without_origins(person) == "- Name: Ada\n- Likes: tea\n"


def test_a_line_that_moves_into_another_file_keeps_its_origin() -> None:
    """What was known before is not learned here, whichever file it stands in now."""
    before = {"person": "- Name: Sam\n- Sails (from Claude, June 2024)\n"}
    after = {"person": "- Name: Sam\n", "person-sea": "- Sails\n- Owns a boat\n"}
    assert merged(before, after, MAY) == {
        "person": "- Name: Sam\n",
        "person-sea": f"- Sails (from Claude, June 2024)\n- Owns a boat {MAY.note()}\n",
    }
