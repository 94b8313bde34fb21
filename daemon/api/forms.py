"""Multipart forms with one file, parsed while they arrive: never more than one piece of the file is in memory.

What is accepted and refused, and the words for it, are FastAPI's (see ``daemon/api/bodies.py``): unknown fields
are ignored, and of two fields with one name the last counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException

from daemon.api.errors import Unprocessable
from daemon.http.answers import Fault
from proto.unicode_text import valid_text

MAX_PARTS: Final = 100
UTF8_BYTES: Final = 4
"""At most so many bytes are in one character."""

_HOW: Final = "send it as multipart/form-data, as `curl -F` does."

# Its warnings are about what a client sent, and the client is told.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


class Sink(Protocol):
    """Where the pieces of a file go."""

    def write(self, data: memoryview, /) -> None:
        """Take one piece."""


class Form:
    """One body. ``feed`` calls ``file`` with the file's name, and the sink that it returns with each piece.

    ``texts`` are the text fields and how many characters each may have; those in ``required`` must be there and not be
    empty. Afterwards ``values`` holds their values.
    """

    def __init__(
        self,
        content_type: str,
        field: str,
        file: Callable[[str], Sink | None],
        texts: Mapping[str, int],
        required: Collection[str] = (),
    ) -> None:
        """Raise Unprocessable for a body that is no multipart form, HTTPException for one that has no boundary."""
        self._field = field
        self._file = file
        self._limits = texts
        self._raw: dict[str, bytearray] = {}
        self._required = required
        self._faults = {name: _missing(name) for name in (field, *required)}
        self._parts = 0
        self._ended = False
        self._header = bytearray()
        self._disposition = bytearray()
        self._in_disposition = False
        self._data: Callable[[memoryview], None] = _ignore
        self.values: dict[str, str] = {}
        self._parser = self._parser_of(content_type)

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body. Raises HTTPException, and what the sink raises."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _malformed(str(error)) from error

    def finish(self) -> None:
        """The body has ended: raise HTTPException or Unprocessable, or set ``values``."""
        if not self._ended:
            raise _malformed("it ends before its last boundary")
        for name, raw in self._raw.items():
            if not raw and name in self._required:
                self._faults[name] = _missing(name)
                continue
            try:
                self.values[name] = valid_text(raw.decode())
            except UnicodeDecodeError:
                words = "Input should be a valid string, unable to parse raw data as a unicode string"
                self._faults[name] = Fault("string_unicode", ("body", name), words)
        if self._faults:
            raise Unprocessable([self._faults[name] for name in (self._field, *self._limits) if name in self._faults])
        for name, value in self.values.items():
            if len(value) > self._limits[name]:
                raise self._too_long(name)

    def _parser_of(self, content_type: str) -> MultipartParser:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data":
            raise Unprocessable(list(self._faults.values()))
        if not options.get(b"boundary"):
            raise _malformed("its Content-Type names no boundary")
        try:
            return MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._on_part,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._header.clear,
                    "on_headers_finished": self._on_headers,
                    "on_part_data": lambda data, start, end: self._data(memoryview(data)[start:end]),
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise _malformed(str(error)) from error

    def _on_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise HTTPException(400, f"The form has over {MAX_PARTS} fields: send only those that are documented.")
        self._disposition.clear()
        self._data = _ignore

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition += data[start:end]

    def _on_headers(self) -> None:
        _, options = parse_options_header(bytes(self._disposition))
        if b"name" not in options:
            raise _malformed("a part of it has no name")
        name = options[b"name"].decode(errors="replace")
        if name == self._field:
            self._begin_file(options.get(b"filename"))
        elif name in self._limits:
            self._begin_text(name, is_file=b"filename" in options)

    def _begin_file(self, filename: bytes | None) -> None:
        if filename is None:
            self._faults[self._field] = _missing(self._field)
            self._data = self._not_a_file
            return
        self._faults.pop(self._field, None)
        sink = self._file(valid_text(filename.decode(errors="replace")))
        self._data = sink.write if sink else _ignore

    def _not_a_file(self, _data: memoryview) -> None:
        words = "Value error, Expected UploadFile, received: <class 'str'>"
        self._faults[self._field] = Fault("value_error", ("body", self._field), words)

    def _begin_text(self, name: str, *, is_file: bool) -> None:
        self._raw.pop(name, None)
        self._faults.pop(name, None)
        if is_file:
            self._faults[name] = Fault("string_type", ("body", name), "Input should be a valid string")
            return
        raw = self._raw[name] = bytearray()
        limit = self._limits[name] * UTF8_BYTES

        def add(data: memoryview) -> None:
            raw.extend(data)
            if len(raw) > limit:
                raise self._too_long(name)

        self._data = add

    def _on_end(self) -> None:
        self._ended = True

    def _too_long(self, name: str) -> HTTPException:
        return HTTPException(413, f"The {name} is over {self._limits[name]} characters: shorten it.")


def _missing(name: str) -> Fault:
    return Fault("missing", ("body", name), "Field required")


def _ignore(_data: memoryview) -> None:
    """Drop a piece of an unknown field."""


def _malformed(why: str) -> HTTPException:
    return HTTPException(400, f"The form cannot be read: {why}; {_HOW}")
