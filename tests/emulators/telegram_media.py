"""Photos, voice messages and other files from people and bots, in the form in which messages carry them."""

from __future__ import annotations

import mimetypes
from pathlib import PurePath
from typing import Final

from tests.emulators.telegram_params import Params
from tests.emulators.telegram_world import ApiError, Json, World

LARGEST_UPLOAD: Final = 50 * 1024 * 1024
LARGEST_PHOTO: Final = 10 * 1024 * 1024
SIZES: Final = (90, 320, 800, 1280)


def photo(world: World, data: bytes, size: int | None = None) -> Json:
    """A photo in several sizes, the largest last.

    The emulator cannot scale: a smaller size is a cut of the file, so a gateway that takes the wrong one is seen.
    """
    sizes = []
    for edge in SIZES:
        last = edge == SIZES[-1]
        part = data if last else data[: len(data) * edge // SIZES[-1]]
        stored = world.add_file(part, "photos", ".jpg", size if last else None)
        sizes.append({**stored.as_json(), "width": edge, "height": edge * 3 // 4})
    return {"photo": sizes}


def voice(world: World, data: bytes, duration: int = 3, size: int | None = None) -> Json:
    """A voice message; Telegram's own apps record OGG with Opus."""
    stored = world.add_file(data, "voice", ".oga", size)
    return {"voice": {**stored.as_json(), "duration": duration, "mime_type": "audio/ogg"}}


def audio(world: World, data: bytes, name: str = "song.mp3", duration: int = 180, size: int | None = None) -> Json:
    """A piece of music."""
    stored = world.add_file(data, "music", PurePath(name).suffix, size)
    about = {"duration": duration, "file_name": name, "mime_type": _mime(name, "audio/mpeg")}
    return {"audio": {**stored.as_json(), **about}}


def video_note(world: World, data: bytes, duration: int = 5, size: int | None = None) -> Json:
    """A round video."""
    stored = world.add_file(data, "video_notes", ".mp4", size)
    return {"video_note": {**stored.as_json(), "length": 384, "duration": duration}}


def document(world: World, data: bytes, name: str = "", size: int | None = None) -> Json:
    """A file of any kind."""
    stored = world.add_file(data, "documents", PurePath(name).suffix, size)
    about = {"file_name": name, "mime_type": _mime(name, "application/octet-stream")} if name else {}
    return {"document": {**stored.as_json(), **about}}


def read_media(world: World, kind: str, params: Params) -> Json:
    """The media of a bot's call: an uploaded file, or the id of one that the server has."""
    upload = params.upload(kind)
    if upload is None:
        return _again(world, kind, params.text(kind))
    data, name = upload.data, upload.name
    if not data:
        raise ApiError(400, "Bad Request: file must be non-empty")
    if len(data) > LARGEST_UPLOAD:
        raise ApiError(413, "Request Entity Too Large")
    duration = params.number("duration")
    if kind == "photo":
        if len(data) > LARGEST_PHOTO:
            raise ApiError(400, f"Bad Request: file of size {len(data)} bytes is too big for a photo")
        return photo(world, data)
    if kind == "voice" and _plays_as_voice(data):
        return voice(world, data, duration)
    if kind == "audio":
        return audio(world, data, name or "audio.mp3", duration)
    return document(world, data, name)


def _again(world: World, kind: str, given: str) -> Json:
    if not given:
        raise ApiError(400, f"Bad Request: there is no {kind} in the request")
    if given.startswith(("http://", "https://")):
        raise ApiError(400, "Bad Request: failed to get HTTP URL content")
    stored = world.files.get(given)
    if not stored:
        raise ApiError(400, "Bad Request: wrong file identifier/HTTP URL specified")
    if kind == "photo":
        return {"photo": [{**stored.as_json(), "width": SIZES[-1], "height": SIZES[-1] * 3 // 4}]}
    timed = {"duration": 0} if kind in ("voice", "audio") else {}
    return {kind: {**stored.as_json(), **timed}}


def _plays_as_voice(data: bytes) -> bool:
    """OGG, MP3 and M4A become a voice message; Telegram shows everything else as a file."""
    return data[:4] == b"OggS" or data[:3] == b"ID3" or data[:1] == b"\xff" or data[4:8] == b"ftyp"


def _mime(name: str, default: str) -> str:
    return mimetypes.guess_type(name)[0] or default
