"""The embedded eye: it reads the text in a picture and describes what can be found out without seeing."""

from __future__ import annotations

import base64
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Final

from worker.embedded import ocr, weights
from worker.embedded.documents import counted
from worker.embedded.fault import HostFault

if TYPE_CHECKING:
    from PIL import Image

FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP")

LONGEST: Final = 12_000
"""Pixels of the longer side. A picture is scaled down if it is longer, or if its shorter side exceeds SHORTEST."""

SHORTEST: Final = 2_400

SECONDS: Final = 60.0
"""The time limit for reading one picture. A dense page takes 5 to 10 seconds."""

MOST_TEXT: Final = 20_000
"""Characters of text in one picture."""

BLIND: Final = "This eye reads text; it cannot tell what else the picture shows."
SCRIPTS: Final = "this eye knows Latin, Chinese and Japanese letters only."

COPY_SIDES: Final = (1_568, 1_024, 640, 320)
"""Pixels of the longer side of a smaller copy. Claude scales down what is longer than the first
(https://docs.anthropic.com/en/docs/build-with-claude/vision)."""

COPY_QUALITY: Final = 80
COPY_BYTES: Final = 180_000
"""What fits into a text of a frame in base64."""

THUMBNAIL: Final = 64
PHOTO_COLOURS: Final = 150
"""Colours in a 64 by 64 thumbnail, 16 shades per channel. Drawings and pages of text rarely have as many."""

PALETTE: Final[dict[str, tuple[int, int, int]]] = {
    "black": (15, 15, 15),
    "dark grey": (75, 75, 75),
    "grey": (135, 135, 135),
    "light grey": (200, 200, 200),
    "white": (248, 248, 248),
    "red": (215, 30, 35),
    "dark red": (115, 15, 20),
    "pink": (245, 150, 185),
    "orange": (245, 140, 25),
    "yellow": (248, 225, 50),
    "beige": (230, 212, 175),
    "brown": (120, 75, 40),
    "green": (45, 165, 60),
    "dark green": (15, 80, 35),
    "light green": (155, 225, 150),
    "turquoise": (45, 190, 185),
    "light blue": (140, 195, 240),
    "blue": (40, 95, 215),
    "dark blue": (15, 30, 100),
    "purple": (130, 50, 160),
}
"""Colours by their everyday names."""

MUCH: Final = 0.2
"""The share of a picture that a colour must cover to be named."""

TAKEN: Final = 36867
CHANGED: Final = 306
EXIF: Final = 0x8769
"""Tags of the Exif standard (CIPA DC-008): DateTimeOriginal, DateTime, and the directory of the former."""

DAMAGE: Final = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    ArithmeticError,
    TypeError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What Pillow raises for broken files. UnidentifiedImageError is an OSError; the WebP decoder may raise MemoryError."""


class Eye:
    """Looks at one picture at a time. It blocks, so it runs on a thread."""

    def __init__(self) -> None:
        """Load nothing yet. Raises HostFault when a package is missing."""
        weights.require("eye")

    def look(self, path: str) -> str:
        """Describe the picture at ``path`` in English sentences, with its text word for word.

        Raises HostFault when the picture cannot be read or is too large.
        """
        with _opened(path) as image:
            told = [_sort(image), *_particulars(image)]
            picture = upright(image)
        told[0] = told[0].format(look=_look(picture), colours=_colours(picture))
        return " ".join([*told, _text(ocr.shared().read(picture, SECONDS))])

    def shrunk(self, path: str) -> str:
        """Return a copy of the picture that fits a frame and every remote eye: an upright JPEG in base64.

        Nothing that a camera wrote is in it. Raises HostFault as ``look`` does.
        """
        from PIL import Image

        with _opened(path) as image:
            picture = upright(image)
        data = b""
        for side in COPY_SIDES:
            picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
            file = BytesIO()
            picture.save(file, "JPEG", quality=COPY_QUALITY)
            data = file.getvalue()
            if len(data) <= COPY_BYTES:
                break
        return base64.b64encode(data).decode()


@contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    """Open a picture. Raises HostFault when it, or what is done with it, fails for its content."""
    from PIL import Image

    # This filter applies to the whole process. It turns Pillow's warning about too many pixels into an error.
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        with Image.open(path, formats=FORMATS) as image:
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise HostFault("This picture has too many pixels to be looked at: send a smaller one.") from error
    except FileNotFoundError as error:
        raise HostFault("The picture is not there any more.") from error
    except DAMAGE as error:
        raise HostFault("This file is no PNG, JPEG, GIF or WebP picture, or it is damaged.") from error


def upright(image: Image.Image) -> Image.Image:
    """Return the first frame as RGB: upright by its Exif data, within the eye's bounds, without transparency."""
    from PIL import Image, ImageOps

    image.draft("RGB", _bounded(image.size))
    image.load()
    turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith(("I", "F")):
        turned = _in_eight_bits(turned)
    if turned.has_transparency_data:
        turned = _on_background(turned.convert("RGBA"))
    turned = turned.convert("RGB")
    if _bounded(turned.size) != turned.size:
        return turned.resize(_bounded(turned.size), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return turned


def _bounded(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, LONGEST / max(size), SHORTEST / min(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey levels of 16 bits to 8, because Pillow would cut them off and leave a white picture.

    PNG samples fill their range (https://www.w3.org/TR/png-3/#13Sample-depth-scaling).
    """
    import numpy as np
    from PIL import Image

    levels = np.asarray(image).astype(np.float32) / 257
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def _on_background(image: Image.Image) -> Image.Image:
    """Put a picture with transparent parts on a white background, or on a black one if the picture is light."""
    from PIL import Image, ImageStat

    opaque = image.getchannel("A")
    light = ImageStat.Stat(image.convert("L"), mask=opaque).mean[0] if opaque.getbbox() else 0
    background = Image.new("RGBA", image.size, "black" if light > 160 else "white")
    background.alpha_composite(image)
    return background


def _sort(image: Image.Image) -> str:
    width, height = image.size
    turned = image.getexif().get(274, 1) in (5, 6, 7, 8)
    name = {"MPO": "JPEG", "WEBP": "WebP"}.get(image.format or "", image.format)
    size = f"{height}x{width}" if turned else f"{width}x{height}"
    return f"It is a {{look}}{name} of {size} pixels, {{colours}}."


def _particulars(image: Image.Image) -> list[str]:
    """Return when the picture was taken and whether it is animated, but never where it was taken."""
    told = []
    if taken := _taken(image):
        told.append(f"Its camera says that it was taken on {taken:%Y-%m-%d at %H:%M}.")
    if getattr(image, "is_animated", False):
        told.append("It is animated; only its first frame was read.")
    return told


def _taken(image: Image.Image) -> datetime | None:
    exif = image.getexif()
    for written in (exif.get_ifd(EXIF).get(TAKEN), exif.get(CHANGED)):
        try:
            # A camera's clock has no time zone.
            return datetime.strptime(str(written).strip("\0 "), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007
        except ValueError:
            continue
    return None


def _look(picture: Image.Image) -> str:
    from PIL import Image

    small = picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    shades = small.point(lambda shade: shade // 16)
    return "photo-like " if len(set(_pixels(shades))) > PHOTO_COLOURS else ""


def _colours(picture: Image.Image) -> str:
    from PIL import Image

    small = picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    counts = dict.fromkeys(PALETTE, 0)
    for pixel in _pixels(small):
        counts[min(PALETTE, key=lambda name: _distance(PALETTE[name], pixel))] += 1
    ranked = sorted(counts, key=lambda name: -counts[name])
    named = [name for name in ranked[:2] if counts[name] >= MUCH * THUMBNAIL**2]
    return f"mostly {' and '.join(named)}" if named else "of many colours"


def _pixels(picture: Image.Image) -> list[tuple[int, int, int]]:
    raw = picture.tobytes()
    return list(zip(raw[::3], raw[1::3], raw[2::3], strict=True))


def _distance(one: Sequence[int], other: Sequence[int]) -> int:
    """Return roughly how different two colours look. The weights differ because eyes see green best and blue worst."""
    red, green, blue = (left - right for left, right in zip(one, other, strict=True))
    return 3 * red * red + 4 * green * green + 2 * blue * blue


def _text(reading: ocr.Reading) -> str:
    notes = _notes(reading)
    if not reading.text:
        missing = "No text was found in it"
        if not reading.whole:
            missing = "Its text took too long to be read"
        elif reading.unread:
            missing = "There is text in it, which could not be read"
        return f"{missing}. ({notes}{BLIND})"
    return f"The text in it reads:\n{reading.text[:MOST_TEXT]}\n({notes}{BLIND})"


def _notes(reading: ocr.Reading) -> str:
    """Return what must be known about a text besides its letters, as sentences that each end with a blank."""
    notes = []
    if reading.turned:
        notes.append(f"The picture {reading.turned} and was turned to be read.")
    if not reading.whole or len(reading.text) > MOST_TEXT:
        notes.append("There is more text, which was not read.")
    if reading.unread:
        notes.append(f"{counted(reading.unread, 'line')} could not be read: {SCRIPTS}")
    if reading.doubtful:
        notes.append(f"{counted(reading.doubtful, 'line')} may be wrong.")
    return "".join(f"{note} " for note in notes)
