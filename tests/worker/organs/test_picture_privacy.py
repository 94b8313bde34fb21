"""What leaves for a remote eye: the picture, and nothing that its camera wrote."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise

import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from worker.organs.picture_privacy import UnclearError, bare

SECRETS = (b"GPS-Ada", b"Ada Lovelace", b"2026:05:01")


def photo(form: str, turn: int = 6, **options: object) -> bytes:
    """A small picture with Exif data: its place, its owner and its time."""
    exif = Image.Exif()
    exif[274] = turn
    exif[315] = "Ada Lovelace"
    exif[306] = "2026:05:01 14:03:22"
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 59.0, 24.0), 27: b"GPS-Ada"})
    image = Image.linear_gradient("L").resize((60, 40)).convert("P" if form == "GIF" else "RGB")
    file = BytesIO()
    image.save(file, form, exif=exif, **options)
    return file.getvalue()


def png() -> bytes:
    """A PNG with texts, compressed and plain."""
    notes = PngInfo()
    notes.add_text("Author", "Ada Lovelace")
    notes.add_itxt("Comment", "GPS-Ada")
    notes.add_text("Place", "GPS-Ada", zip=True)
    return photo("PNG", pnginfo=notes)


def gif() -> bytes:
    """An animation that repeats, with a comment."""
    frames = [Image.new("P", (8, 8), number) for number in range(3)]
    file = BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], loop=0, comment=b"Ada Lovelace", duration=90)
    return file.getvalue()


PICTURES = {
    "jpeg": photo("JPEG", comment=b"Ada Lovelace"),
    "progressive": photo("JPEG", progressive=True),
    "with a video behind it": photo("JPEG") + b"ftyp GPS-Ada video",
    "upright": photo("JPEG", turn=1),
    "png": png(),
    "webp": photo("WEBP", xmp=b"<x>Ada Lovelace</x>"),
    "webp without loss": photo("WEBP", lossless=True),
    "gif": gif(),
}


@pytest.mark.parametrize("data", PICTURES.values(), ids=PICTURES.keys())
def test_only_the_picture_is_left(data: bytes) -> None:
    """Place, owner and time are gone; every pixel, the orientation and the frames are as they were."""
    assert any(secret in data for secret in SECRETS)
    left = bare(data)
    assert not any(secret in left for secret in SECRETS)
    with Image.open(BytesIO(data)) as before, Image.open(BytesIO(left)) as after:
        assert set(after.getexif()) <= {274}
        assert getattr(after, "n_frames", 1) == getattr(before, "n_frames", 1)
        assert after.info.get("loop") == before.info.get("loop")
        assert ImageOps.exif_transpose(after).size == ImageOps.exif_transpose(before).size
        assert ImageOps.exif_transpose(after).tobytes() == ImageOps.exif_transpose(before).tobytes()


@pytest.mark.parametrize("data", PICTURES.values(), ids=PICTURES.keys())
def test_a_picture_that_breaks_off_is_not_passed_on_as_it_is(data: bytes) -> None:
    """However it is cut, either its parts can be told apart, or it is refused; nothing hangs and nothing leaks."""
    for _, size in pairwise(range(0, len(data), max(1, len(data) // 200))):
        try:
            left = bare(data[:size])
        except UnclearError:
            continue
        assert not any(secret in left for secret in SECRETS)


@pytest.mark.parametrize(
    "data", [b"", b"%PDF", b"\xff\xd8\xff\xe1", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8X\xff\xff\xff\xff"]
)
def test_what_is_no_picture(data: bytes) -> None:
    """It is refused by one error."""
    with pytest.raises(UnclearError):
        bare(data)
