"""Takeout's My Activity as a web page, its default form: one cell after the other, never more than one in memory.

A cell has the product's name, a line with what was done, the time in the person's language, and the answer:
``Prompted&nbsp;WORDS<br>Jul 11, 2026, 12:00:47 PM MDT<br><p>ANSWER</p>``. In every language a no-break space ends what
was done.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, NamedTuple

from worker.history.imported import from_stamp
from worker.history.markup import plain_text
from worker.history.stream import Readable

WINDOW: Final = 256 * 1024
LARGEST: Final = 4 * 1024 * 1024
"""Characters of the largest cell that is read; a larger one is skipped and counted."""

_CELL: Final = '<div class="outer-cell'
_HEADER: Final = re.compile(r'<p class="mdl-typography--title">(?P<product>[^<]{1,200})')
_CONTENT: Final = re.compile(r'<div class="content-cell[^">]{0,200}body-1">')
_CONTENT_END: Final = '<div class="content-cell'
_BREAK: Final = re.compile(r"<br ?/?>")
_CLOCK: Final = re.compile(r"(?<!\d)(?P<hour>\d{1,2})[:.](?P<minute>\d{2})[:.](?P<second>\d{2})(?!\d)")
_YEAR: Final = re.compile(r"(?<!\d)(?:19|20)\d{2}(?!\d)")
_LONGEST_TIME: Final = 80
_NOON: Final = re.compile(r"\b(?P<half>[AaPp])\.?\s?[Mm]\b")
_ZONE: Final = re.compile(r"(?:GMT|UTC)(?P<sign>[+\-\u2212])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?")
_ZONES: Final = {"CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "BST": 1, "EST": -5, "EDT": -4, "CDT": -5, "MST": -7} | {
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
    "JST": 9,
    "BRT": -3,
    "MSK": 3,
}
"""Hours ahead of UTC. Other names are taken for UTC, because some mean several zones."""

_MONTHS: Final = (
    ("jan", "ene", "gen", "led", "sty", "oca", "янв"),
    ("feb", "fév", "fev", "úno", "lut", "şub", "фев"),
    ("mar", "mär", "mrt", "bře", "мар"),
    ("apr", "avr", "abr", "dub", "kwi", "nis", "апр"),
    ("may", "mai", "mag", "mei", "maj", "kvě", "мая", "май"),
    ("jun", "jui", "giu", "čer", "cze", "haz", "июн"),
    ("jul", "lug", "lip", "tem", "июл"),
    ("aug", "aoû", "ago", "srp", "sie", "ağu", "авг"),
    ("sep", "set", "zář", "wrz", "eyl", "сен"),
    ("oct", "okt", "out", "ott", "říj", "paź", "eki", "окт"),
    ("nov", "lis", "kas", "ноя"),
    ("dec", "dez", "déc", "dic", "pro", "gru", "ara", "дек"),
)
"""The first letters of the months' names, as Google abbreviates them."""
_JULY: Final = ("juil", "červenec", "července", "čvc")


class Entry(NamedTuple):
    """One cell: what was done, to what, when (0 if it cannot be read), and the answer as text."""

    product: str
    action: str
    words: str
    at: int
    answer: str


class ActivityPage:
    """One page as a stream of entries."""

    def __init__(self, file: Readable) -> None:
        self.oversized = 0
        self.position = 0
        """How many bytes have been read."""
        self._file = file

    def entries(self) -> Iterator[Entry]:
        """Yield the entries in the page's order, which is the newest first."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        held, skipping = "", True
        while data := self._file.read(WINDOW):
            self.position += len(data)
            held += decoder.decode(data)
            *cells, held = held.split(_CELL)
            for cell in cells:
                if not skipping and (entry := _entry(cell)):
                    yield entry
                skipping = False
            if len(held) > LARGEST:
                self.oversized += not skipping
                # The end is kept, because it may be the beginning of the next cell's mark.
                held, skipping = held[-len(_CELL) :], True
        if not skipping and (entry := _entry(held)):
            yield entry


def _entry(cell: str) -> Entry | None:
    header, content = _HEADER.search(cell), _CONTENT.search(cell)
    if not header or not content:
        return None
    end = cell.find(_CONTENT_END, content.end())
    lines = _BREAK.split(cell[content.end() : end if end >= 0 else len(cell)])
    written = ((at, _moment(line)) for at, line in enumerate(lines))
    found = next(((at, moment) for at, moment in written if moment is not None), None)
    if not found or not found[0]:
        return None
    at, moment = found
    # The time may end its line, or the answer may follow it at once.
    _, _, rest = lines[at].partition("<")
    answer = plain_text("<br>".join([f"<{rest}" if rest else "", *lines[at + 1 :]]))
    first = html.unescape(lines[0])
    action, mark, words = first.partition("\xa0")
    if not mark:
        action, words = "", first
    asked = plain_text("<br>".join([html.escape(words, quote=False) if mark else lines[0], *lines[1:at]]))
    return Entry(html.unescape(header["product"]).strip(), plain_text(action), asked, moment, answer)


def _moment(line: str) -> int | None:
    """Return the time that a line tells, 0 if its day cannot be read, or None if it tells no time."""
    text = html.unescape(line.partition("<")[0]).strip()
    clock, year = _CLOCK.search(text), _YEAR.search(text)
    if not clock or not year or len(text) > _LONGEST_TIME:
        return None
    day = _day(text[: clock.start()], year)
    if day is None:
        return 0
    hour = int(clock["hour"])
    if half := _NOON.search(text, clock.end()):
        hour = hour % 12 + (12 if half["half"] in "Pp" else 0)
    try:
        moment = datetime(*day, hour, int(clock["minute"]), int(clock["second"]), tzinfo=_zone(text))
    except (ValueError, OverflowError):
        return 0
    return from_stamp(moment.astimezone(UTC).isoformat())


def _day(date: str, year: re.Match[str]) -> tuple[int, int, int] | None:
    others = [int(number) for number in re.findall(r"\d+", date[: year.start()] + " " + date[year.end() :])]
    if month := _month(date):
        return (int(year[0]), month, others[0]) if others else None
    if len(others) < 2:
        return None
    # Where the year stands first, the month follows it; elsewhere a date in figures begins with the day.
    first, second = others[:2]
    is_year_first = not date[: year.start()].strip()
    return (int(year[0]), first, second) if is_year_first else (int(year[0]), second, first)


def _month(date: str) -> int:
    for word in re.findall(r"[^\W\d_]{3,}", date.casefold()):
        if word.startswith(_JULY):
            return 7
        for number, names in enumerate(_MONTHS, 1):
            if word.startswith(names):
                return number
    return 0


def _zone(text: str) -> timezone:
    if named := _ZONE.search(text):
        offset = timedelta(hours=int(named["hours"]) % 24, minutes=int(named["minutes"] or 0) % 60)
        return timezone(offset if named["sign"] == "+" else -offset)
    return timezone(timedelta(hours=_ZONES.get(text.rpartition(" ")[2], 0)))
