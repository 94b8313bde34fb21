"""Reading a request's body, and refusing it in Discord's form."""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request as Incoming

from tests.emulators.discord_objects import Json, Upload


class Refusal(Exception):
    """An error in Discord's form."""

    def __init__(self, status: int, code: int, message: str, errors: Json | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"message": message, "code": code}
        if errors is not None:
            self.body["errors"] = errors


async def read(incoming: Incoming) -> tuple[Any, list[Upload], bool]:
    """A request's JSON (Any), its files, and whether the body could be read."""
    kind = incoming.headers.get("content-type", "").partition(";")[0]
    if kind == "multipart/form-data":
        async with incoming.form() as form:
            files = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
            uploads = [Upload(value.filename or name, await value.read()) for name, value in files]
            text, content = form.get("payload_json"), form.get("content")
        raw: str | bytes = text if isinstance(text, str) else json.dumps({"content": content})
    else:
        raw, uploads = await incoming.body(), []
    try:
        return json.loads(raw) if raw else None, uploads, True
    except ValueError:
        return None, uploads, False


def describe(uploads: list[Upload], described: object) -> None:
    """Take over what a body says about its n-th file."""
    if not isinstance(described, dict) or not str(described.get("id")).isdigit():
        return
    number = int(described["id"])
    if number < len(uploads):
        uploads[number].filename = described.get("filename") or uploads[number].filename
        uploads[number].description = described.get("description")
        uploads[number].duration = described.get("duration_secs")


def snowflake(name: str, text: str) -> int:
    if not text.isdigit():
        raise invalid(name, "NUMBER_TYPE_COERCE", f'Value "{text}" is not snowflake.')
    return int(text)


def whole(name: str, text: str, low: int, high: int) -> int:
    if not text.lstrip("-").isdigit():
        raise invalid(name, "NUMBER_TYPE_COERCE", f'Value "{text}" is not int.')
    if int(text) < low:
        raise invalid(name, "NUMBER_TYPE_MIN", f"int value should be greater than or equal to {low}.")
    if int(text) > high:
        raise invalid(name, "NUMBER_TYPE_MAX", f"int value should be less than or equal to {high}.")
    return int(text)


def invalid(field: str, code: str, message: str) -> Refusal:
    """400 50035 about one field."""
    return Refusal(400, 50035, "Invalid Form Body", {field: {"_errors": [{"code": code, "message": message}]}})
