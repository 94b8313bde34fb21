"""Gemini's history in the person's own language: Takeout's web page, and its JSON."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.worker.history.exports import export, read, shown
from worker.history.imported import ForeignError


def cell(words: str, when: str, answer: str, product: str = "Gemini Apps") -> str:
    """A cell of My Activity as a web page."""
    return (
        '<div class="outer-cell mdl-cell mdl-cell--12-col mdl-shadow--2dp"><div class="mdl-grid">'
        f'<div class="header-cell mdl-cell"><p class="mdl-typography--title">{product}<br></p></div>'
        f'<div class="content-cell mdl-cell mdl-cell--6-col mdl-typography--body-1">{words}<br>{when}{answer}</div>'
        '<div class="content-cell mdl-cell mdl-cell--6-col mdl-typography--body-1 mdl-typography--text-right"></div>'
        f'<div class="content-cell mdl-cell mdl-typography--caption"><b>Products:</b><br>&emsp;{product}</div>'
        "</div></div>"
    )


PAGES = {
    "en": (
        "Prompted",
        ("Jul 11, 2026, 12:00:47\u202fPM MDT", "Jul 11, 2026, 11:58:00\u202fAM GMT-06:00"),
        "2026-07-11T17:58:00",
    ),
    "de": ("Eingegebener Prompt:", ("11.07.2026, 19:00:47 MESZ", "11.07.2026, 18:58:00 MESZ"), "2026-07-11T16:58:00"),
    "sv": ("Gav instruktionen", ("4 juli 2026 09:15:00 CEST", "4 juli 2026 09:13:00 CEST"), "2026-07-04T07:13:00"),
    "pt": (
        "Prompt enviado:",
        ("10 de mai. de 2026, 03:46:09 BRT", "10 de mai. de 2026, 03:40:00 BRT"),
        "2026-05-10T06:40:00",
    ),
    "zh": ("已提交提示", ("2026年6月20日 00:28:51 UTC", "2026年6月20日 00:20:00 UTC"), "2026-06-20T00:20:00"),
    "fr": (
        "Prompt envoyé\u202f:",
        ("20 juil. 2026, 15:04:05 UTC", "20 juil. 2026, 15:00:00 UTC"),
        "2026-07-20T15:00:00",
    ),
    "ru": ("Запрос", ("20 сент. 2026, 15:04:05 MSK", "20 сент. 2026, 15:00:00 MSK"), "2026-09-20T12:00:00"),
}


@pytest.mark.parametrize(("action", "times", "began"), PAGES.values(), ids=PAGES.keys())
@pytest.mark.parametrize("zipped", [False, True])
def test_gemini_as_a_web_page(tmp_path: Path, action: str, times: tuple[str, str], began: str, zipped: bool) -> None:
    """Takeout's default form is read in any language: prompts, also unanswered ones, without what was done."""
    page = (
        '<html><head><style>.outer-cell{}</style></head><body><div class="mdl-grid">'
        + cell(f"{action}&nbsp;And with fish?<br>Attached 1 file.<br>- <a href='a.png'>a.png</a>", times[0], "")
        + cell("Sökte efter&nbsp;wine", times[0], "", "Search")
        + cell("Created Gemini Canvas titled&nbsp;Tea", times[0], "<br>")
        + cell(
            f"{action}&nbsp;What &lt;wine&gt; goes with cheese?",
            times[1],
            "<br><p>Red &amp; <b>dry</b>.</p>\n<ul><li>or white</li></ul>",
        )
        + "</div></body></html>"
    )
    path = tmp_path / "export"
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("Takeout/Min aktivitet/Gemini-appar/MinAktivitet.html", page)
            archive.writestr("Takeout/archive_browser.html", "<html><body>Hello</body></html>")
    else:
        path.write_text(page)
    (talk,), skipped = read(path, "gemini")
    title, at, lines = shown(talk)
    assert (at, skipped) == (began, 0)
    assert lines == [
        "person: What <wine> goes with cheese?",
        "assistant: Red & dry.\n- or white",
        "person: And with fish?\nAttached 1 file.\n- a.png",
    ]
    assert title == "What <wine> goes with cheese?"


def test_a_page_of_something_else(tmp_path: Path) -> None:
    """A web page without Gemini is refused as such, and one cell that is too large costs no other."""
    path = tmp_path / "export"
    path.write_text("<html>" + cell("Searched for&nbsp;wine", "Jul 11, 2026, 1:00:00 PM UTC", "", "Search"))
    with pytest.raises(ForeignError, match="no activity of Gemini"):
        read(path, "gemini")
    when = "Jul 11, 2026, 1:00:00 PM UTC"
    huge = cell("Prompted&nbsp;big", when, f"<p>{'x' * 5_000_000}</p>")
    path.write_text(
        "<html>" + cell("Prompted&nbsp;a", when, "<p>b</p>") + huge + cell("Prompted&nbsp;c", when, "<p>d</p>")
    )
    (talk,), skipped = read(path, "gemini")
    assert ([line.content for line in talk.lines], skipped) == (["c", "d", "a", "b"], 1)


@pytest.mark.parametrize("action", ["A envoyé le prompt : ", "Prompt inviato: ", "Prompt\xa0enviado: ", "Запрос: "])
def test_gemini_in_other_languages(tmp_path: Path, action: str) -> None:
    """What My Activity calls a prompt is learned from the entries, so that those without an answer are kept."""
    entries = [
        {
            "header": "Gemini Apps",
            "title": f"{action}{words}",
            "time": f"2026-07-11T12:0{number}:00Z",
            **({"safeHtmlItem": [{"html": "<p>Yes.</p>"}]} if number != 1 else {}),
        }
        for number, words in enumerate(["Do cats swim?", "Alone", "What is tea?", "Is it late?", "Why not?"])
    ]
    feedback = {"header": "Gemini Apps", "title": "Note donnée", "time": "2026-07-11T12:09:00Z"}
    (talk,), _ = read(export(tmp_path, [*reversed(entries), feedback]), "gemini")
    assert [line.content for line in talk.lines if line.role == "person"] == [
        "Do cats swim?",
        "Alone",
        "What is tea?",
        "Is it late?",
        "Why not?",
    ]
