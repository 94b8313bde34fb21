"""The parameters of a Bot API call, from any of the four body forms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import UploadFile
from starlette.requests import Request

from tests.emulators.telegram_world import ApiError


@dataclass(frozen=True)
class Upload:
    """A file that came in a multipart body."""

    name: str
    data: bytes


class Params:
    """Named values with the conversions and complaints of the Bot API."""

    def __init__(self, values: Mapping[str, object], files: Mapping[str, Upload]) -> None:
        self.values = dict(values)
        self.files = dict(files)

    def text(self, name: str, default: str = "") -> str:
        """A value as text."""
        value = self.values.get(name)
        return default if value is None else value if isinstance(value, str) else json.dumps(value)

    def number(self, name: str, default: int = 0) -> int:
        """A value as a whole number; an invalid one counts as the default, as on the real server."""
        try:
            return int(self.text(name) or default)
        except ValueError:
            return default

    def flag(self, name: str) -> bool:
        """A value as yes or no."""
        return self.text(name).lower() in ("true", "1", "yes")

    def parsed(self, name: str) -> Any:
        """A JSON value (Any: it may be anything), which forms carry as text; None if it is missing."""
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value else None
        except ValueError:
            raise ApiError(400, f"Bad Request: can't parse {name} JSON object") from None

    def upload(self, name: str) -> Upload | None:
        """The file behind a value: ``attach://NAME`` or a part of the value's own name."""
        value = self.text(name)
        return self.files.get(value.removeprefix("attach://") if value.startswith("attach://") else name)


async def read_params(request: Request) -> Params:
    """Read a call's query and body; a body that cannot be read raises ApiError 400."""
    values: dict[str, object] = dict(parse_qsl(request.url.query, keep_blank_values=True))
    files: dict[str, Upload] = {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        values |= _json_object(await request.body())
    elif kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        async with request.form(max_part_size=1 << 22) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    files[name] = Upload(value.filename or "", await value.read())
                else:
                    values[name] = value
    return Params(values, files)


def _json_object(body: bytes) -> dict[str, object]:
    try:
        found = json.loads(body) if body else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ApiError(400, "Bad Request: can't parse request body as JSON object")
    return found
